"""Boxes in half-open pixel coordinates."""

from __future__ import annotations

from dataclasses import dataclass

from medlocker.errors import InputError


@dataclass(frozen=True, order=True)
class Box:
    """An axis-aligned box of whole pixels, half-open: columns ``x <= c < x + width``.

    Args:
        x: Leftmost column, may be negative before clipping.
        width: Columns, at least 1.
        height: Rows, at least 1.

    Raises:
        InputError: If width or height is below 1.

    >>> Box(2, 3, 10, 5).grown(1, within=(12, 20))
    Box(x=1, y=2, width=11, height=7)
    """

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise InputError(f"expected a box of at least 1 x 1 pixels, got {self.width} x {self.height}")

    @property
    def right(self) -> int:
        """First column to the right of the box."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row below the box."""
        return self.y + self.height

    def overlaps(self, other: Box) -> bool:
        """Tell whether the two boxes share a pixel."""
        return (
            self.x < other.right and other.x < self.right and self.y < other.bottom and other.y < self.bottom
        )

    def grown(self, margin_px: int, *, within: tuple[int, int]) -> Box:
        """Grow by a margin on every side and clip to an image of (width, height) pixels.

        Raises:
            InputError: If nothing of the box lies inside the image.
        """
        width, height = within
        left, top = max(self.x - margin_px, 0), max(self.y - margin_px, 0)
        right, bottom = min(self.right + margin_px, width), min(self.bottom + margin_px, height)
        if right <= left or bottom <= top:
            raise InputError(f"expected a box inside {width} x {height} pixels, got {self}")
        return Box(left, top, right - left, bottom - top)
