"""What annotation tools draw, as boxes; and what one of their files says of one image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

RowBox = tuple[float, float, float, float]
"""x, y, width, height."""
UNNAMED_KIND = "region"


@dataclass(frozen=True)
class ImageNotes:
    """What one file says of one image.

    Args:
        image: Name of the image as the file writes it, perhaps empty or of another time.
        size: (width, height) that it states, or None.
        rows: Kind and box of each region.
    """

    image: str
    size: tuple[int, int] | None
    rows: Sequence[tuple[str, RowBox]]


def box_around(xs: Sequence[float], ys: Sequence[float]) -> RowBox:
    """Return the box of points that belong to a region themselves.

    Raises:
        ValueError: If there are none, or one is not finite.
    """
    if not xs or len(xs) != len(ys) or not all(map(math.isfinite, (*xs, *ys))):
        raise ValueError("expected points of two finite numbers")
    return min(xs), min(ys), max(xs) - min(xs) + 1, max(ys) - min(ys) + 1


def numbers(values: object, *, count: int | None = None) -> list[float]:
    """Return a JSON list of numbers.

    Raises:
        ValueError: If it is something else, or of another length.
    """
    if not isinstance(values, list) or (count is not None and len(values) != count):
        raise ValueError("expected points of two finite numbers")
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        raise ValueError("expected points of two finite numbers")
    try:
        return [float(value) for value in values]
    except OverflowError:
        raise ValueError("expected points of two finite numbers") from None


def stated_size(width: object, height: object) -> tuple[int, int] | None:
    """Return a size where both sides are whole numbers above 0, as some tools leave them 0."""
    if type(width) is int and type(height) is int and width > 0 and height > 0:
        return width, height
    return None
