"""Accuracy of a model on files: on the originals, with the logo at a random place, and as protected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlocker.classifiers import Classifier
from medlocker.images import encode_image, read_image, viewed
from medlocker.logo import Logo, render
from medlocker.mark import Mark
from medlocker.marking import mark_pixels
from medlocker.placements import FreePlacements
from medlocker.regions import Regions

_BATCH = 16


@dataclass(frozen=True)
class Judged:
    """What a model answers on one version of all images.

    Args:
        classes: (n,) int64, the answers.
        labels: (n,) int64, the truth.
    """

    classes: NDArray[np.int64]
    labels: NDArray[np.int64]

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float((self.classes == self.labels).mean())


def judge_files(model: Classifier, paths: Sequence[Path], labels: NDArray[np.int64]) -> Judged:
    """Classify files as they lie on disk."""
    canvases = [model.canvas(viewed(read_image(path.read_bytes(), name=path.name))) for path in paths]
    return Judged(_answers(model, canvases), labels)


def judge_random(
    model: Classifier,
    paths: Sequence[Path],
    labels: NDArray[np.int64],
    *,
    logo: Logo,
    regions: Regions,
    size: float,
    opacity: int,
    seed: int,
) -> Judged:
    """Classify the images with the same logo at a random place that is free of lesions: the control."""
    rng = np.random.default_rng(seed)
    canvases = []
    for path in paths:
        image = read_image(path.read_bytes(), name=path.name)
        size_px = round(size * min(image.height, image.width))
        free = FreePlacements(
            image=(image.width, image.height),
            support=render(logo, size_px).support,
            boxes=regions.boxes_for(path.name, width=image.width, height=image.height),
        )
        x, y = (int(value) for value in free.sample(rng, 1)[0])
        marked = mark_pixels(image, [Mark(x=x, y=y, size_px=size_px, opacity=opacity)], logo=logo)
        again = read_image(encode_image(image, marked.pixels), name=path.name)
        canvases.append(model.canvas(viewed(again)))
    return Judged(_answers(model, canvases), labels)


def _answers(model: Classifier, canvases: Sequence[NDArray[np.float32]]) -> NDArray[np.int64]:
    logits = [model.logits(np.stack(canvases[i : i + _BATCH])) for i in range(0, len(canvases), _BATCH)]
    return np.asarray(np.concatenate(logits).argmax(axis=1), dtype=np.int64)
