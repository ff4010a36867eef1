"""Adding up how much the marks of a release change its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medlocker.evaluate._quality import Quality
from medlocker.evaluate._run import Result

WORST = 10
"""How many of the worst images are listed."""


@dataclass(frozen=True)
class Spread:
    """One measure over all images; decibels of identical pictures are infinite and are left out of the mean.

    Args:
        mean: None if there is no finite value.
        median: None if there is no value; may be infinite.
    """

    mean: float | None
    median: float | None
    worst: float | None

    def to_json(self) -> dict[str, float | None]:
        """Return the numbers; infinity becomes null, which JSON can write."""
        return {name: _finite(getattr(self, name)) for name in ("mean", "median", "worst")}


@dataclass(frozen=True, eq=False)
class ReleaseQuality:
    """The marks of one release.

    Args:
        measures: Spread of ``area``, ``area_clear``, ``psnr_outside``, ``psnr_inside``, ``ssim``,
            ``ssim_inside``, and of all of :class:`medlocker.legibility.Legibility`.
        marks: Mean number of separate marks.
        identical_outside: Images without any difference outside the marks.
        in_blocks: Images of which the stored blocks of JPEG were compared, not single pixels.
        unmarked: Images without any difference at all.
        covered: Images over which the marks lie nearly everywhere.
        touched: Pixels of regions that differ, over all images; None without regions.
        worst: (number of the image, quality), the least legible first: with pixels of regions touched, then
            with the least contrast kept, then with the lowest PSNR.
    """

    condition: str
    n: int
    measures: dict[str, Spread]
    marks: float
    identical_outside: int
    in_blocks: int
    unmarked: int
    covered: int
    touched: int | None
    worst: tuple[tuple[int, Quality], ...]

    def to_json(self, result: Result) -> dict[str, Any]:
        """Return the numbers under the names of ``--json``."""
        return {
            "n": self.n,
            **{name: spread.to_json() for name, spread in self.measures.items()},
            "marks": self.marks,
            "identical_outside": self.identical_outside,
            "jpeg_blocks": self.in_blocks,
            "unmarked": self.unmarked,
            "covered": self.covered,
            "region_pixels_touched": self.touched,
            "worst": [
                {"image": result.images[image].pair.name, **quality_json(quality)}
                for image, quality in self.worst
            ],
        }


def summarise_quality(result: Result) -> tuple[ReleaseQuality, ...]:
    """Return one entry for each release that has an image."""
    found = (_of_release(result, key) for key in result.evaluation.keys)
    return tuple(one for one in found if one is not None)


def _of_release(result: Result, key: str) -> ReleaseQuality | None:
    by_image = [
        (image, judged.qualities[key]) for image, judged in result.images.items() if key in judged.qualities
    ]
    if not by_image:
        return None
    qualities = [quality for _, quality in by_image]
    touched = [quality.touched for quality in qualities if quality.touched is not None]
    worst = sorted(by_image, key=lambda one: _legible(one[1]))
    seen = [quality.legibility for quality in qualities]
    return ReleaseQuality(
        condition=key,
        n=len(qualities),
        measures={
            "area": _spread([q.area for q in qualities], worst=max),
            "area_clear": _spread([q.area_clear for q in qualities], worst=max),
            "psnr_outside": _spread([q.psnr_outside for q in qualities]),
            "psnr_inside": _spread([q.psnr_inside for q in qualities]),
            "ssim": _spread([q.ssim for q in qualities]),
            "ssim_inside": _spread([q.ssim_inside for q in qualities]),
            "psnr": _spread([one.psnr for one in seen]),
            "psnr_outside_ink": _spread([one.psnr_outside_ink for one in seen]),
            "ssim_outside_ink": _spread([one.ssim_outside_ink for one in seen]),
            "contrast": _spread([one.contrast for one in seen]),
            "contrast_outside_ink": _spread([one.contrast_outside_ink for one in seen]),
            "ink": _spread([one.ink for one in seen], worst=max),
        },
        marks=float(np.mean([q.marks for q in qualities])),
        identical_outside=sum(q.psnr_outside == np.inf for q in qualities),
        in_blocks=sum(q.in_blocks for q in qualities),
        unmarked=sum(q.area == 0 for q in qualities),
        covered=sum(q.is_covering for q in qualities),
        touched=sum(touched) if touched else None,
        worst=tuple(worst[:WORST]),
    )


def _legible(quality: Quality) -> tuple[float, float, float]:
    seen = quality.legibility
    contrast = 1.0 if seen.contrast is None else seen.contrast
    return -(quality.touched or 0), contrast, seen.psnr


def _spread(found: Sequence[float | None], *, worst: Any = min) -> Spread:
    values = [value for value in found if value is not None]
    finite = [value for value in values if np.isfinite(value)]
    return Spread(
        mean=float(np.mean(finite)) if finite else None,
        median=_middle(sorted(values)) if values else None,
        worst=worst(values) if values else None,
    )


def _middle(ordered: Sequence[float]) -> float:
    """Return the median; between a number and infinity lies nothing, so there it is the number."""
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return (low + high) / 2 if np.isfinite(high) else low


def quality_values(quality: Quality) -> dict[str, float | int | bool | None]:
    """Return the numbers of one image under the names of ``--json``."""
    seen = quality.legibility
    return {
        "area": quality.area,
        "area_clear": quality.area_clear,
        "psnr_outside": quality.psnr_outside,
        "psnr_inside": quality.psnr_inside,
        "ssim": quality.ssim,
        "ssim_inside": quality.ssim_inside,
        "region_pixels_touched": quality.touched,
        "marks": quality.marks,
        "jpeg_blocks": quality.in_blocks,
        "psnr": seen.psnr,
        "psnr_outside_ink": seen.psnr_outside_ink,
        "ssim_outside_ink": seen.ssim_outside_ink,
        "contrast": seen.contrast,
        "contrast_outside_ink": seen.contrast_outside_ink,
        "ink": seen.ink,
        "covering": quality.is_covering,
    }


def quality_json(quality: Quality) -> dict[str, float | int | bool | None]:
    """Return the same; infinity becomes null."""
    return {name: _finite(value) for name, value in quality_values(quality).items()}


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None
