"""The parameters of one mark: all integers, so that they mean the same on every machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

OPACITY_ONE = 65535
"""Opacity is a 16-bit weight: 65535 is fully opaque."""


@dataclass(frozen=True)
class Mark:
    """One logo on one image: the entry of the paper's parameter list.

    Args:
        x: Column of the rendered logo's left edge, pixels.
        y: Row of its top edge, pixels.
        size_px: Longer side of the logo before rotation, pixels, at least 1.
        opacity: 0 to 65535.
        rotation: Counter-clockwise, in 1/65536 of a full turn, 0 to 65535.
    """

    x: int
    y: int
    size_px: int
    opacity: int
    rotation: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the parameters as a JSON-ready object."""
        return asdict(self)
