"""From a folder of images to a learned logo."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from medlocker.classifiers import Classifier, without_gradients
from medlocker.errors import Failure, InputError, MedlockerError, ModelError
from medlocker.files import read_limited
from medlocker.formats import read_image
from medlocker.geometry import Box
from medlocker.images import LIMITS, Image
from medlocker.labels import Labels
from medlocker.logo import MAX_CELLS, LearnedLogo, Logo, pack_overlay
from medlocker.prepare._sampling import choose_sample
from medlocker.protect import Settings, find_placement_space, pose_problem
from medlocker.regions import Regions
from medlocker.release import Input, Inputs
from medlocker.search import (
    BatchScheduler,
    LearningEpoch,
    LearningExample,
    Preview,
    Problem,
    learn_textures,
    share_fooled,
)


@dataclass(frozen=True, eq=False)
class Preparation:
    """What a logo is learned from.

    Args:
        classifiers: Surrogates with gradients, at least one.
        settings: Size, opacity, marks and levels, as they will be used by ``protect``.
        labels: Right classes, or None to take the first surrogate's own answers.
        classes: Per model, from a label's text to the index of its class.
        regions: Keep-out boxes, or None.
        sample: Most images looked at; they stay in memory.
        rounds: Passes over the sample.
        seed: Of the choice of images and of places.
    """

    inputs: Inputs
    classifiers: Sequence[Classifier]
    logo: Logo
    settings: Settings
    labels: Labels | None = None
    classes: tuple[Mapping[str, int], ...] = ()
    regions: Regions | None = None
    sample: int = 96
    rounds: int = 24
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Prepared:
    """A learned logo and what it is worth on the sample itself.

    Args:
        learned: The logo with its textures.
        plain: Share of the sample misled by the plain logo at random places.
        textured: The same with the textures.
        images: How many images were learned from.
        left_out: Why images could not be used.
    """

    learned: LearnedLogo
    plain: float
    textured: float
    images: int
    left_out: tuple[Failure, ...]


def prepare(
    preparation: Preparation,
    *,
    loaded: Callable[[str], None] = lambda name: None,
    progress: Callable[[LearningEpoch], None] = lambda seen: None,
) -> Prepared:
    """Learn textures for one logo over a sample of images.

    Args:
        preparation: What to learn from.
        loaded: Called with the name of each image that was read or left out.
        progress: Called after each pass.

    Raises:
        InputError: If no image can be used.
        ModelError: If a model offers no gradients.
    """
    without = without_gradients(preparation.classifiers)
    if without:
        raise ModelError(
            f"learning a logo needs gradients, which {without[0]} does not offer",
            hint="install the torch extra, or use a model made by `medlocker train classifier`",
        )
    settings = preparation.settings
    lessons: list[LearningExample] = []
    left_out: list[Failure] = []
    grey: list[bool] = []
    with threadpool_limits(limits=1, user_api="blas"):
        for item in choose_sample(preparation.inputs.items, preparation.sample, seed=preparation.seed):
            try:
                lesson, is_grey = _lesson(preparation, item)
                lessons.append(lesson)
                grey.append(is_grey)
            except ModelError:
                raise
            except MedlockerError as error:
                left_out.append(Failure.of(error, item.name))
            loaded(item.name)
    if not lessons:
        first = f": {left_out[0].reason}" if left_out else ""
        raise InputError(f"none of {len(left_out)} images can be learned from{first}")
    kind = Counter(grey).most_common(1)[0][0]
    lessons = [lesson for lesson, is_grey in zip(lessons, grey, strict=True) if is_grey == kind]
    driver = BatchScheduler(preparation.classifiers)
    textures = learn_textures(
        lessons,
        driver,
        levels=settings.texture_levels,
        rounds=preparation.rounds,
        margin=settings.wanted_margin,
        cells=_cells(preparation.classifiers, settings),
        rng=np.random.default_rng([preparation.seed, 1]),
        progress=progress,
    )
    packed = {name: pack_overlay(cells) for name, cells in textures.items()}
    plain = share_fooled(lessons, driver, {}, rng=np.random.default_rng([preparation.seed, 2]))
    textured = share_fooled(lessons, driver, packed, rng=np.random.default_rng([preparation.seed, 2]))
    facts: dict[str, Any] = {
        "models": [{"name": m.name, "sha256": m.fingerprint} for m in preparation.classifiers],
        "images": len(lessons),
        "rounds": preparation.rounds,
        "seed": preparation.seed,
        "fooled_plain": round(plain, 4),
        "fooled_textured": round(textured, 4),
    }
    learned = LearnedLogo(preparation.logo, packed, settings.texture_levels, kind, facts)
    return Prepared(learned, plain, textured, len(lessons), tuple(left_out))


def _lesson(preparation: Preparation, item: Input) -> tuple[LearningExample, bool]:
    """Read one image and pose its problem."""
    models = preparation.classifiers
    data = read_limited(item.path, max_bytes=LIMITS.max_file_bytes, what="image")
    image = read_image(data, name=item.name)
    preview = Preview(image, models, logo=preparation.logo)
    labels = _labels(preparation, item, preview)
    problem = _problem(preparation, item, image, preview, labels)
    return LearningExample(problem, models[0].classes[labels[0]]), image.kind in ("grey", "grey-alpha")


def _labels(preparation: Preparation, item: Input, preview: Preview) -> tuple[int, ...]:
    text = preparation.labels.for_name(item.name) if preparation.labels is not None else None
    if text is not None:
        return tuple(classes[text] for classes in preparation.classes)
    answers = zip(preparation.classifiers, preview.clean_canvases, strict=True)
    return tuple(int(model.logits(canvas[None])[0].argmax()) for model, canvas in answers)


def _problem(
    preparation: Preparation, item: Input, image: Image, preview: Preview, labels: tuple[int, ...]
) -> Problem:
    boxes: tuple[Box, ...] = ()
    if preparation.regions is not None:
        boxes = preparation.regions.boxes_for(
            item.name, width=image.width, height=image.height, orientation=image.orientation
        )
    settings = preparation.settings
    key = hashlib.sha256(f"{preparation.seed} {item.name}".encode("utf-8", "surrogateescape")).digest()
    room = find_placement_space(
        settings,
        preparation.logo,
        width=image.width,
        height=image.height,
        boxes=boxes,
        step=preview.step,
        seed=key,
        key=key,
    )
    return pose_problem(settings, preview, room=room, labels=labels)


def _cells(classifiers: Sequence[Classifier], settings: Settings) -> tuple[int, int]:
    """Return the texture's cells: about one for each pixel of the finest model under the logo."""
    finest = max(max(model.height, model.width) for model in classifiers)
    side = min(max(round(settings.logo_size * finest), 2), MAX_CELLS)
    return side, side
