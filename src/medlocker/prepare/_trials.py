"""What models answer on images under veils of many styles; every answer is asked for once and kept."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from medlocker.classifiers import Canvas, Classifier, batch_for, in_batches
from medlocker.images import Image, viewed
from medlocker.logo import Logo, blend
from medlocker.marking import render_layer
from medlocker.prepare._reduced import ReducedImage
from medlocker.prepare._viewtransforms import ViewTransform, draw_view_transform
from medlocker.protect import DecoySource, Settings
from medlocker.protect.legibility import visible_change
from medlocker.protect.veiled import draw, reduce_opacity
from medlocker.veilstyle import VeilStyle

_THREADS = 2

Logits = list[NDArray[np.float32]]
"""Of each model, (N, K)."""


@dataclass(frozen=True)
class TrialView:
    """One look at one image: the same image, key and glance for every style, so that styles compare well.

    Args:
        image: Its number in the sample.
        half: 0 or 1: which half of the sample it belongs to.
        glance: At the veiled picture.
    """

    image: int
    half: int
    key: bytes
    glance: ViewTransform


class VeilRenderer:
    """Puts veils on reduced images as ``protect`` would on the files.

    Args:
        settings: Legibility and decoys, as they will be used.
        with_decoys: Whether ``protect`` will draw decoys.

    Attributes:
        donors: Regions of the sample, which decoys are made like; None at first.
    """

    def __init__(self, logo: Logo, settings: Settings, *, with_decoys: bool) -> None:
        self._logo, self._settings, self._with_decoys = logo, settings, with_decoys
        self.donors: DecoySource | None = None

    def settings_of(self, style: VeilStyle) -> Settings:
        """Return the settings of a run with a prepared veil of this style."""
        return replace(self._settings, style=style, size=None, opacity=None)

    def veil(
        self, style: VeilStyle, one: ReducedImage, key: bytes, *, as_drawn: bool = False
    ) -> tuple[Image, float]:
        """Return an image under its veil, and its PSNR in dB; infinite if nothing changed.

        Args:
            as_drawn: Do not make it more transparent where legibility asks for it.

        Raises:
            NoRoomError: If regions leave too little of the image, or it is too small.
        """
        settings = self.settings_of(style)
        veil = draw(
            settings,
            self._logo,
            one.image,
            one.boxes,
            key=key,
            with_decoys=self._with_decoys,
            donors=self.donors,
        )
        while True:
            layer = render_layer(veil, logo=self._logo, image=one.image)
            pixels = one.image.pixels.copy()
            pixels[layer.window] = blend(pixels[layer.window], layer.color, layer.weight)
            marked = replace(one.image, pixels=pixels)
            psnr = visible_change(one.image, marked).psnr_db
            weaker = None if as_drawn else reduce_opacity(veil, psnr_db=psnr, settings=settings)
            if weaker is None:
                return marked, psnr
            veil = weaker


class StyleTrials:
    """Asks all models about veiled images, and remembers. Use it as a context: it has threads.

    Set its ``shots``, the looks in the order in which they are taken, before asking about veils.

    Args:
        veiler: Puts the veils on.
        advance: Called with the number of evaluations after each batch.
    """

    def __init__(
        self,
        veiler: VeilRenderer,
        images: Sequence[ReducedImage],
        classifiers: Sequence[Classifier],
        *,
        advance: Callable[[int], None],
    ) -> None:
        self.veiler, self.images, self.classifiers = veiler, images, classifiers
        self.shots: Sequence[TrialView] = ()
        self.evaluations = 0
        self._advance = advance
        self._seen: dict[VeilStyle, list[Logits]] = {}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="veil")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(cancel_futures=True)

    def ask(self, styles: Iterable[VeilStyle], *, shots: int) -> None:
        """Take the first ``shots`` shots of each style, as far as they were not taken yet."""
        missing = [(style, k) for style in styles for k in range(self._taken(style), shots)]
        answers = self._answers([partial(self._views, style, k) for style, k in missing])
        for (style, _), row in zip(missing, answers, strict=True):
            self._seen.setdefault(style, []).append(row)

    def originals(self) -> Logits:
        """Return what the models answer on the images as they are, (images, K) of each."""
        found = list(self._answers([partial(self._canvases, viewed(one.image)) for one in self.images]))
        return [np.concatenate(parts) for parts in zip(*found, strict=True)]

    def logits(self, style: VeilStyle, model: int, chosen: Sequence[int]) -> NDArray[np.float32]:
        """Return what a model answered at some of the shots that were taken, (chosen, K)."""
        rows = self._seen[style]
        return np.concatenate([rows[k][model] for k in chosen])

    def _taken(self, style: VeilStyle) -> int:
        return len(self._seen.get(style, ()))

    def _views(self, style: VeilStyle, number: int) -> list[Canvas]:
        shot = self.shots[number]
        marked, _ = self.veiler.veil(style, self.images[shot.image], shot.key)
        return self._canvases(shot.glance.at(viewed(marked)))

    def _canvases(self, picture: NDArray[np.uint8]) -> list[Canvas]:
        return [model.canvas(picture) for model in self.classifiers]

    def _answers(self, makers: Sequence[Callable[[], list[Canvas]]]) -> Iterable[Logits]:
        """Yield what each model answers on each picture, (1, K), in order; pictures are made ahead."""
        ahead: deque[list[Future[list[Canvas]]]] = deque()
        for some in in_batches(makers, batch_for(self.classifiers)):
            ahead.append([self._threads.submit(maker) for maker in some])
            if len(ahead) > 1:
                yield from self._classified(ahead.popleft())
        for futures in ahead:
            yield from self._classified(futures)

    def _classified(self, futures: Sequence[Future[list[Canvas]]]) -> Iterable[Logits]:
        views = [future.result() for future in futures]
        answers = [
            model.logits(np.stack([canvases[k] for canvases in views]))
            for k, model in enumerate(self.classifiers)
        ]
        count = len(views) * len(self.classifiers)
        self.evaluations += count
        self._advance(count)
        for i in range(len(views)):
            yield [one[i : i + 1] for one in answers]


def make_trial_views(
    images: Sequence[ReducedImage], answers: NDArray[np.int64], *, repeats: int, seed: int
) -> list[TrialView]:
    """Return the looks at a sample, spread so that its beginning holds all classes and both halves alike.

    Args:
        answers: (N,) a model's answers on the originals.
        repeats: Looks at each image, each with another key and glance.
        seed: Of keys, glances and the order.
    """
    order: list[int] = np.random.default_rng([seed, 1]).permutation(len(images)).tolist()
    places: dict[int, tuple[int, int, int]] = {}
    seen: Counter[int] = Counter()
    for image in order:
        answer = int(answers[image])
        number = seen[answer]
        seen[answer] += 1
        # of odd classes in turn one more in the one half and in the other
        places[image] = number // 2, answer, (number + answer) % 2
    dealt = sorted(order, key=lambda image: places[image])
    shots = []
    for repeat in range(repeats):
        for image in dealt:
            text = f"{seed} {repeat} {images[image].name}"
            key = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
            glance = draw_view_transform(np.random.default_rng(list(key[16:])))
            shots.append(TrialView(image, places[image][2], key[:16], glance))
    return shots
