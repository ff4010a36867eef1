"""Connected parts of a picture, with how strongly each was found."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.errors import NoRoomError
from medlocker.geometry import Box
from medlocker.regions._finder import MAX_BOXES

CONNECTIVITY = 8
"""Pixels that touch at a corner are connected."""


@dataclass(frozen=True)
class Part:
    """One connected part.

    Args:
        area_px: Its pixels.
        strength: The largest score in it.
    """

    box: Box
    area_px: int
    strength: float


def parts_of(mask: NDArray[np.bool_], scores: NDArray[np.float32], *, min_area_px: int = 1) -> list[Part]:
    """Return the connected parts of a mask, the strongest first.

    Args:
        mask: (H, W) bool.
        scores: (H, W) float32.
        min_area_px: Smaller parts are left out.

    Raises:
        NoRoomError: If there are more than 4096.
    """
    marked = np.ascontiguousarray(mask).view(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(marked, connectivity=CONNECTIVITY)
    best = np.zeros(count, np.float32)
    np.maximum.at(best, labels[mask].astype(np.int64), scores[mask])
    found = [
        Part(Box(x, y, width, height), area, float(best[label]))
        for label, (x, y, width, height, area) in enumerate(stats.tolist())
        if label > 0 and area >= min_area_px
    ]
    if len(found) > MAX_BOXES:
        raise NoRoomError(
            f"{len(found)} separate findings leave no room for the logo, expected at most {MAX_BOXES}"
        )
    return sorted(found, key=lambda part: (-part.strength, part.box))
