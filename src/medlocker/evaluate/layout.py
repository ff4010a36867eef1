"""The layout of marks as numbers: where an image is marked and where not, and nothing of the picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.attacks import Mask

GRID = 8
"""Rows and columns of the coarse map of what is marked."""
_SIDE = 256
_BARE = 0.02
_RADII = (0, 1, 2, 4, 8, 16)
_PLACED_FROM = 2


def layout_numbers(changed: Mask) -> NDArray[np.float64]:
    """Return what a layout is in numbers, on a map whose shorter side has at most 256 cells.

    Of the holes (cells in which nothing changed): how many are left, and which share of the image, once each
    has lost a rim of 0, 1, 2, 4, 8 or 16 cells. A granulometry: gaps between the copies of a lattice go
    first, holes that are kept free stay. Further the widest hole, and where holes lie in the mean and how
    far spread. Of the marks: covered share, number of parts, shares of the largest and of the mean part.
    Last the changed share of each of 8 x 8 parts of the image, and the same of the holes.

    Args:
        changed: (H, W) where original and marked image differ.

    Returns:
        (149,) float64.
    """
    height, width = changed.shape
    scale = min(_SIDE / min(height, width), 1.0)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    share = cv2.resize(changed.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    bare = (share < _BARE).astype(np.uint8)
    away = cv2.distanceTransform(np.pad(bare, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    numbers: list[float] = [float(away.max()) / _SIDE]
    for radius in _RADII:
        left = (away > radius).astype(np.uint8)
        numbers += [float(np.log1p(_count(left))), float(np.sqrt(left.mean()))]
    numbers += _places(away > _PLACED_FROM)
    numbers += _parts(1 - bare)
    holes = (away > _PLACED_FROM).astype(np.float32)
    grids = [cv2.resize(one, (GRID, GRID), interpolation=cv2.INTER_AREA) for one in (share, holes)]
    return np.concatenate([np.array(numbers), *(np.sqrt(one).ravel() for one in grids)]).astype(np.float64)


def _count(mask: NDArray[np.uint8]) -> int:
    return int(cv2.connectedComponents(mask, connectivity=8)[0]) - 1


def _places(mask: NDArray[np.bool_]) -> list[float]:
    """Return the mean place and the spread across and down, in shares of the sides; the middle of nothing."""
    rows, cols = np.nonzero(mask)
    if len(rows) == 0:
        return [0.5, 0.0, 0.5, 0.0]
    across, down = cols / mask.shape[1], rows / mask.shape[0]
    return [float(across.mean()), float(across.std()), float(down.mean()), float(down.std())]


def _parts(mask: NDArray[np.uint8]) -> list[float]:
    """Return the covered share, how many parts, and the shares of the largest and of the mean part."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA] / mask.size
    if count < 2:
        return [0.0, 0.0, 0.0, 0.0]
    return [
        float(np.sqrt(areas.sum())),
        float(np.log1p(count - 1)),
        float(np.sqrt(areas.max())),
        float(np.sqrt(areas.mean())),
    ]
