"""Choosing threshold and margin of a segmenter: as many lesions wholly kept out as asked for, little else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.errors import ModelError, NoRoomError
from medlocker.regions.parts import CONNECTIVITY, parts_of
from medlocker.regions.scale import covered

INSIDE = 0.95
"""A lesion counts as kept out if this share of its pixels lies inside of boxes."""
MAX_COVERED = 0.6
"""Boxes over more of the images than this leave too little room to be of use."""

_THRESHOLDS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.05, 0.03, 0.02, 0.01)
_MARGINS_PX = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24)


@dataclass(frozen=True, eq=False)
class LesionMap:
    """The lesions of one photograph.

    Args:
        labels: By kind: (h, w) int32, 0 outside, else the number of the connected part.
        areas: By kind: (parts + 1) int64 pixels.
    """

    labels: dict[str, NDArray[np.int32]]
    areas: dict[str, NDArray[np.int64]]


def truth_of(masks: dict[str, NDArray[np.bool_]]) -> LesionMap:
    """Number the lesions of each kind."""
    labels: dict[str, NDArray[np.int32]] = {}
    areas: dict[str, NDArray[np.int64]] = {}
    for kind, mask in masks.items():
        marked = np.ascontiguousarray(mask).view(np.uint8)
        count, numbered = cv2.connectedComponents(marked, connectivity=CONNECTIVITY)
        labels[kind] = np.asarray(numbered, dtype=np.int32)
        areas[kind] = np.bincount(numbered.ravel(), minlength=count).astype(np.int64)
    return LesionMap(labels, areas)


@dataclass
class Score:
    """Counts over photographs.

    Args:
        lesions: By kind: how many there are.
        kept_out: By kind: of these, at least 95 % inside of boxes.
    """

    lesions: dict[str, int] = field(default_factory=dict)
    kept_out: dict[str, int] = field(default_factory=dict)
    lesion_pixels: dict[str, int] = field(default_factory=dict)
    kept_out_pixels: dict[str, int] = field(default_factory=dict)
    pixels: int = 0
    covered_pixels: int = 0
    images: int = 0

    def add(self, truth: LesionMap, inside: NDArray[np.bool_]) -> None:
        """Count one photograph with (h, w) bool, True inside of boxes."""
        self.images += 1
        self.pixels += inside.size
        self.covered_pixels += int(np.count_nonzero(inside))
        for kind, labels in truth.labels.items():
            areas = truth.areas[kind]
            hit = np.bincount(labels[inside], minlength=len(areas))
            for counts, value in (
                (self.lesions, len(areas) - 1),
                (self.kept_out, int(np.count_nonzero(hit[1:] >= INSIDE * areas[1:]))),
                (self.lesion_pixels, int(areas[1:].sum())),
                (self.kept_out_pixels, int(hit[1:].sum())),
            ):
                counts[kind] = counts.get(kind, 0) + value

    @property
    def recall(self) -> float:
        """Share of all lesions that is kept out; 1 if there are none."""
        total = sum(self.lesions.values())
        return sum(self.kept_out.values()) / total if total else 1.0

    @property
    def pixel_recall(self) -> float:
        """Share of all lesion pixels that is kept out; 1 if there are none."""
        total = sum(self.lesion_pixels.values())
        return sum(self.kept_out_pixels.values()) / total if total else 1.0

    @property
    def covered(self) -> float:
        """Share of the photographs inside of boxes."""
        return self.covered_pixels / max(self.pixels, 1)

    def to_json(self) -> dict[str, Any]:
        """Return shares, and counts by kind."""
        return {
            "images": self.images,
            "recall": self.recall,
            "pixel_recall": self.pixel_recall,
            "covered": self.covered,
            "kinds": {
                kind: {
                    "lesions": self.lesions[kind],
                    "kept_out": self.kept_out[kind],
                    "pixels": self.lesion_pixels[kind],
                    "kept_out_pixels": self.kept_out_pixels[kind],
                }
                for kind in sorted(self.lesions)
            },
        }


@dataclass(frozen=True)
class Setting:
    """One pair of threshold and margin, and what it does.

    Args:
        margin_px: At the training scale.
        recall: Share of lesions kept out.
        covered: Share of the photographs inside of boxes.
    """

    threshold: float
    margin_px: int
    recall: float
    covered: float

    def to_json(self) -> dict[str, Any]:
        """Return all fields."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Choice:
    """What was chosen.

    Args:
        setting: Threshold and margin.
        score: What they do on the photographs that they were chosen on.
        reached: Whether the wanted recall was.
        front: Settings that no other beats in both recall and covered share, by covered share.
    """

    setting: Setting
    score: Score
    reached: bool
    front: tuple[Setting, ...]


def choose(maps: Sequence[NDArray[np.float32]], truths: Sequence[LesionMap], *, recall: float) -> Choice:
    """Choose the setting of least covered share that reaches the recall, else that of most recall.

    Args:
        maps: Per photograph (h, w) float32, probabilities.
        recall: Wanted share of lesions kept out, 0 to 1.

    Raises:
        ModelError: If there are thousands of findings however strict the threshold.
    """
    everything = list(_try_all(maps, truths))
    if not everything:
        raise ModelError("the segmenter finds nothing but noise", hint="train longer, or on more images")
    # where even the strictest setting covers almost everything, it is taken all the same
    tried = [pair for pair in everything if pair[0].covered <= MAX_COVERED] or everything[:1]
    enough = [pair for pair in tried if pair[0].recall >= recall]
    if enough:
        setting, score = min(enough, key=lambda pair: (pair[0].covered, -pair[0].recall))
    else:
        setting, score = max(tried, key=lambda pair: (pair[0].recall, -pair[0].covered))
    return Choice(setting, score, bool(enough), _front([pair[0] for pair in tried]))


def _try_all(
    maps: Sequence[NDArray[np.float32]], truths: Sequence[LesionMap]
) -> Iterator[tuple[Setting, Score]]:
    for threshold in _THRESHOLDS:
        try:
            parts = [parts_of(one >= threshold, one) for one in maps]
        except NoRoomError:  # nothing but noise at this threshold, and even more below
            return
        for margin in _MARGINS_PX:
            score = Score()
            for one, found, truth in zip(maps, parts, truths, strict=True):
                height, width = one.shape
                boxes = [part.box.grown(margin, within=(width, height)) for part in found]
                score.add(truth, covered(boxes, height=height, width=width))
            yield Setting(threshold, margin, score.recall, score.covered), score


def _front(settings: Sequence[Setting]) -> tuple[Setting, ...]:
    best = -1.0
    front = []
    for setting in sorted(settings, key=lambda one: (one.covered, -one.recall)):
        if setting.recall > best:
            best = setting.recall
            front.append(setting)
    return tuple(front)
