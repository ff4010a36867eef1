"""Finding the marks on an image from its difference to the original."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.geometry import Box
from medlocker.logo import Logo, render

MAX_MARKS = 8
_COARSE_PX = 384
_LOGO_PX = 64
SPECK = 0.02
"""Of the largest part; smaller ones are none."""


def find_marks(changed: NDArray[np.bool_], *, logo: Logo) -> tuple[Box, ...]:
    """Return the window of every separate mark, the largest first.

    A logo may itself consist of parts (letters), so parts are joined over the gaps that the logo has. Its
    size is not known: for each number of marks, the changed area gives one, and with its gaps the number of
    connected parts must come out again.

    Args:
        changed: (H, W) bool, where the two images differ.
        logo: What was put on.

    Returns:
        At most 8 windows; empty if nothing changed, or too many parts did to be marks.
    """
    if not changed.any():
        return ()
    coarse, step = coarsely(changed)
    gap, fill = _shape_of(logo)
    area = np.count_nonzero(changed) / step**2
    best: tuple[Box, ...] = ()
    miss = MAX_MARKS + 1
    for count in range(1, MAX_MARKS + 1):
        radius = math.ceil(gap * math.sqrt(area / (count * fill))) + 1
        windows = _connected(coarse, radius)
        if abs(len(windows) - count) < miss:
            miss, best = abs(len(windows) - count), windows
        if miss == 0:
            break
    if miss > MAX_MARKS // 2:
        return ()
    return tuple(_exact(changed, window, step) for window in best)


def coarsely(changed: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], int]:
    """Return whether anything changed in each block of a large image, and the blocks' side in pixels."""
    step = max(min(changed.shape) // _COARSE_PX, 1)
    if step == 1:
        return changed.astype(np.uint8), 1
    rows = np.logical_or.reduceat(changed, np.arange(0, changed.shape[0], step), axis=0)
    blocks = np.logical_or.reduceat(rows, np.arange(0, changed.shape[1], step), axis=1)
    return blocks.astype(np.uint8), step


def _connected(coarse: NDArray[np.uint8], radius: int) -> tuple[Box, ...]:
    """Return the boxes of what is connected once gaps of 2 * radius are closed; specks are left out."""
    side = 2 * radius + 1
    _, labels = cv2.connectedComponents(cv2.dilate(coarse, np.ones((side, side), np.uint8)), connectivity=8)
    labels = np.where(coarse > 0, labels, 0)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    order = [int(k) for k in np.argsort(-sizes, kind="stable") if sizes[k] > SPECK * sizes.max()]
    boxes = []
    for k in order[: 2 * MAX_MARKS]:
        rows, cols = np.flatnonzero((labels == k).any(axis=1)), np.flatnonzero((labels == k).any(axis=0))
        boxes.append(
            Box(int(cols[0]), int(rows[0]), int(cols[-1] - cols[0]) + 1, int(rows[-1] - rows[0]) + 1)
        )
    return tuple(boxes)


def _exact(changed: NDArray[np.bool_], window: Box, step: int) -> Box:
    """Return a coarse window in pixels, shrunk to what changed in it."""
    top, left = window.y * step, window.x * step
    part = changed[top : window.bottom * step, left : window.right * step]
    rows, cols = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    return Box(
        left + int(cols[0]), top + int(rows[0]), int(cols[-1] - cols[0]) + 1, int(rows[-1] - rows[0]) + 1
    )


@lru_cache(maxsize=8)
def _shape_of(logo: Logo) -> tuple[float, float]:
    """Return half the widest gap between a logo's parts, and its area, both for a longer side of 1."""
    support = render(logo, _LOGO_PX).support
    framed = np.pad(support, _LOGO_PX // 2).astype(np.uint8)
    radius = 0
    while radius < _LOGO_PX // 2:
        side = 2 * radius + 1
        parts, _ = cv2.connectedComponents(cv2.dilate(framed, np.ones((side, side), np.uint8)))
        if parts <= 2:  # the background is one
            break
        radius += 1
    return radius / _LOGO_PX, float(np.count_nonzero(support)) / _LOGO_PX**2
