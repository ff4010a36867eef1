"""Attack 15: the classifier itself, prepared for marks it has not seen.

Clean, labelled images are painted on with random marks of this open program, anew in every round, and the
classifier is trained on. It needs no marked image and no key, so nothing in a release can keep it away.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.attacks import Bytes, as_bytes
from medlocker.classifiers import Classifier, resize_canvas
from medlocker.evaluate.removal._painter import MarkPainter
from medlocker.evaluate.removal._trainingattack import TrainingAttack, to_canvas
from medlocker.evaluate.removal.windows import Painter
from medlocker.machine import usable_cores

_LARGER = 1.5
"""Images are kept, and painted on, at this many times the target's input: marks keep their form."""


@dataclass(frozen=True)
class PrepareOptions:
    """How to train.

    Args:
        copies: How often each image is painted on, anew, in a round.
        clean: How often it is shown as it is in a round.
        draws: How often each validation image is painted on.
        most_rounds: Stop there at the latest.
        patience: Stop after so many rounds that gained less than ``gain``.
        gain: Of the number that the weights are chosen by.
        lr: Highest learning rate of a round.
        batch_size: Images per step.
        minutes: Of one half of the images; the round that runs then is finished.
    """

    copies: int = 3
    clean: int = 1
    draws: int = 3
    most_rounds: int = 10
    patience: int = 2
    gain: float = 0.01
    lr: float = 4e-4
    batch_size: int = 16
    minutes: float = 10.0


class RandomMarkTraining(TrainingAttack):
    """Trains a target on clean images with random marks."""

    name: ClassVar[str] = "classifier prepared"
    knows: ClassVar[str] = "the classifier, the logo, this program, and clean images with labels"
    number: ClassVar[int] = 15
    most_images: ClassVar[int] = 400
    done: ClassVar[str] = "prepared"
    needs: ClassVar[str] = "the logo, a torch network and eight labelled images"

    def __init__(self, target: Classifier, options: PrepareOptions | None = None) -> None:
        super().__init__(target)
        self._options = options or PrepareOptions()
        self._clean: list[Bytes] = []
        self.painter: MarkPainter | None = None
        """Set before :meth:`learn`; without one nothing is learned."""

    def keep(self, clean: NDArray[Any], marked: NDArray[Any]) -> None:
        """Keep the clean image in its own shape."""
        self._clean.append(shrunk_to_shorter(as_bytes(clean), round(_LARGER * self.target.height)))

    def learn(self, *, seed: int) -> dict[str, tuple[int, int]]:
        """Train on clean images of each half, painted on, and judge the other; see
        :class:`TrainingAttack`."""
        return super().learn(seed=seed) if self.painter is not None else {}

    def teach(
        self, network: Any, learned: NDArray[np.int64], checked: NDArray[np.int64], *, seed: int
    ) -> None:
        """Train in rounds, until painted validation images gain no more; the best round's weights stay."""
        from medlocker.train.augment import MARGIN  # optional library
        from medlocker.train.loop import Split, fit

        how, labels = self._options, np.array(self.labels, np.int64)
        side = self.target.height
        own, judges = ([self._clean[i] for i in some] for some in (learned, checked))
        looks = [painted(judges, self.painter, side=side, seed=(seed, 0, k)) for k in range(how.draws)]
        look = Split(np.concatenate(looks), np.tile(labels[checked], how.draws))
        large = round(side * MARGIN)
        plain = [painted(own, None, side=large, seed=())] * how.clean
        answers = np.tile(labels[learned], how.clean + how.copies)
        best: tuple[float, Any] | None = None
        mark, idle, began = -np.inf, 0, time.perf_counter()
        for number in range(1, how.most_rounds + 1):
            fresh = [
                painted(own, self.painter, side=large, seed=(seed, number, k)) for k in range(how.copies)
            ]
            options = self.options(epochs=1, batch_size=how.batch_size, lr=how.lr, seed=seed + number)
            metrics = fit(
                network,
                Split(np.concatenate([*plain, *fresh]), answers),
                look,
                options,
                on_images=lambda count: None,
                on_epoch=lambda row: None,
                classes=len(self.target.classes),
            ).metrics
            value = metrics.value(options.criterion)
            if best is None or value > best[0]:
                best = value, copy.deepcopy(network.state_dict())
            idle = 0 if value > mark + how.gain else idle + 1
            mark = value if idle == 0 else mark
            if idle >= how.patience:
                break
            if time.perf_counter() - began > 60 * how.minutes and number < how.most_rounds:
                rounds = "one round" if number == 1 else f"{number} rounds"
                self.notes.append(
                    f"model {self.target.name}: preparing it on one half of the images was stopped after "
                    f"{how.minutes:g} minutes and {rounds}; longer may give more"
                )
                break
        if best is not None:
            network.load_state_dict(best[1])


def painted(pictures: Sequence[Bytes], paint: Painter | None, *, side: int, seed: Sequence[int]) -> Bytes:
    """Return (N, side, side, 3) uint8 canvases of (H, W, 3) pictures, painted on if there is a painter.

    Args:
        pictures: In their own shapes, uint8.
        paint: Puts random marks on a picture.
        side: Of the canvases, pixels.
        seed: Each picture's position is added to it.
    """
    canvases = np.empty((len(pictures), side, side, 3), np.uint8)

    def one(position: int) -> None:
        picture = pictures[position]
        if paint is not None:
            picture = paint(picture, np.random.default_rng([*seed, position]))
        canvases[position] = to_canvas(
            resize_canvas(picture, height=side, width=side, channels=3, rule="stretch")
        )

    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(one, range(len(pictures))))
    return canvases


def shrunk_to_shorter(picture: Bytes, shorter_px: int) -> Bytes:
    """Shrink to a shorter side, averaging; smaller pictures stay as they are."""
    scale = shorter_px / min(picture.shape[:2])
    if scale >= 1:
        return picture
    size = (max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
