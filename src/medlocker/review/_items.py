"""What is shown of each image in a review, and which images should be looked at first."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from medlocker.certificates import IndexEntry, IndexLine
from medlocker.review._facts import MarkingFacts

HARD_TO_READ_DB = 25.0
"""A marked image with a lower PSNR is hard to read: what a veil must reach is set there."""
_UNUSUAL_DEVIATIONS = 5.0
_NORMAL_MAD = 0.6745
"""Median absolute deviation of a normal distribution, in standard deviations."""
_FEWEST_TO_COMPARE = 8


class Concern(StrEnum):
    """Why an image should be looked at, the most serious first."""

    NOT_MISLED = "a model is still right"
    HARD_TO_READ = "hard to read"
    SHRUNK = "mark smaller or fainter than asked for"
    UNUSUAL = "changed much more than the others"
    NO_REGIONS = "nothing was kept out, unlike in other images"


_ORDER = {concern: place for place, concern in enumerate(Concern)}


@dataclass(frozen=True)
class ReviewItem:
    """One marked image.

    Args:
        line: As the owner signed it: its entry, and where its sealed record lies.
        original_name: Name of the original, relative to the input.
        original_pixels: Digest of the original's pixels: copies of one image have the same.
        facts: What marking found out.
        concerns: Why it should be looked at, the most serious first.
    """

    line: IndexLine
    original_name: str
    original_pixels: str
    facts: MarkingFacts
    concerns: tuple[Concern, ...] = ()

    @property
    def entry(self) -> IndexEntry:
        """Its number, name and digests."""
        return self.line.entry


def worst_first(found: Sequence[tuple[IndexLine, str, str, MarkingFacts]]) -> list[ReviewItem]:
    """Return all images, those that should be looked at first at the front."""
    usual = _usual_psnr(facts.psnr_db for *_, facts in found)
    any_regions = any(facts.regions for *_, facts in found)
    items = [
        ReviewItem(line, name, pixels, facts, tuple(_concerns(facts, usual=usual, any_regions=any_regions)))
        for line, name, pixels, facts in found
    ]
    return sorted(items, key=_rank)


def _rank(item: ReviewItem) -> tuple[int, int, float, int]:
    first = min((_ORDER[concern] for concern in item.concerns), default=len(_ORDER))
    psnr = item.facts.psnr_db
    return first, -len(item.concerns), 0.0 if psnr is None else psnr, item.entry.index


def _concerns(facts: MarkingFacts, *, usual: float, any_regions: bool) -> Iterable[Concern]:
    if facts.misled < facts.asked:
        yield Concern.NOT_MISLED
    psnr = facts.psnr_db
    if psnr is not None and psnr < HARD_TO_READ_DB:
        yield Concern.HARD_TO_READ
    if facts.shrunk:
        yield Concern.SHRUNK
    if any_regions and not facts.regions:
        yield Concern.NO_REGIONS
    if psnr is not None and psnr < usual:
        yield Concern.UNUSUAL


def _usual_psnr(values: Iterable[float | None]) -> float:
    """Return the PSNR below which an image is unlike the others, by median and median deviation."""
    known = [value for value in values if value is not None]
    if len(known) < _FEWEST_TO_COMPARE:
        return float("-inf")
    middle = statistics.median(known)
    spread = statistics.median(abs(value - middle) for value in known) / _NORMAL_MAD
    return middle - _UNUSUAL_DEVIATIONS * max(spread, 0.1)
