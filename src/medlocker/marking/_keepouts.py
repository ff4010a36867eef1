"""How a veil keeps out of boxes: not at all over them, and fading in over the pixels around."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.geometry import Box

_MOST_OVERLAP = 8
"""Boxes and what is around them, in images: above, they are looked at row by row instead of one by one."""
_STRIP_PIXELS = 1 << 17


def fade_at_keep_outs(
    weight: NDArray[np.uint16], boxes: Sequence[Box], *, soft_px: int
) -> NDArray[np.uint16]:
    """Take a veil off boxes, and let it fade in around them.

    Args:
        weight: (h, w).
        boxes: May reach beyond the edges; those that lie wholly beyond count for nothing.
        soft_px: ``d`` columns or rows from a box, whichever is more, ``d / soft_px`` of the weight is left,
            rounded down; all of it from ``soft_px`` on. 1 to 255.

    Returns:
        (h, w); the same array where there are no boxes.
    """
    if not boxes:
        return weight
    distance = _distance(weight.shape, boxes, soft_px)
    left = weight.copy()
    step = max(_STRIP_PIXELS // max(weight.shape[1], 1), 1)
    for start in range(0, len(weight), step):  # all at once would take ten times the memory
        rows, away = left[start : start + step], distance[start : start + step]
        near = away < soft_px
        rows[near] = rows[near].astype(np.uint32) * away[near] // soft_px
    return left


def _distance(shape: tuple[int, ...], boxes: Sequence[Box], most: int) -> NDArray[np.uint8]:
    """Return how many rows or columns, whichever is more, each pixel is away from the nearest box.

    Args:
        shape: Rows and columns.
        boxes: At least one.
        most: Larger distances become this.
    """
    height, width = shape[:2]
    edges = np.array([(box.x, box.y, box.right, box.bottom) for box in boxes], np.int64)
    # clipped, a box is as far from every pixel of the image as before
    edges = edges.clip(0, (width, height, width, height))
    edges = edges[(edges[:, 0] < edges[:, 2]) & (edges[:, 1] < edges[:, 3])]
    sides = edges[:, 2:] - edges[:, :2] + 2 * most
    if int(sides.prod(axis=1).sum()) > _MOST_OVERLAP * height * width:
        return _by_rows(height, width, edges, most)
    return _by_boxes(height, width, edges, most)


def _by_boxes(height: int, width: int, edges: NDArray[np.int64], most: int) -> NDArray[np.uint8]:
    """Look at each box and the pixels around it.

    Args:
        height: Rows.
        width: Columns.
        edges: (n, 4) left, top, right and bottom, within the image.
        most: Larger distances become this.
    """
    distance = np.full((height, width), most, np.uint8)
    for left, top, right, bottom in edges.tolist():
        rows = slice(max(top - most, 0), min(bottom + most, height))
        cols = slice(max(left - most, 0), min(right + most, width))
        y, x = np.arange(rows.start, rows.stop), np.arange(cols.start, cols.stop)
        down = np.maximum(np.maximum(top - y, y - bottom + 1), 0)
        across = np.maximum(np.maximum(left - x, x - right + 1), 0)
        away = np.maximum(down[:, None], across[None, :]).clip(max=most).astype(np.uint8)
        np.minimum(distance[rows, cols], away, out=distance[rows, cols])
    return distance


def _by_rows(height: int, width: int, edges: NDArray[np.int64], most: int) -> NDArray[np.uint8]:
    """Do the same in a time that does not grow with the boxes' sizes."""
    distance = np.empty((height, width), np.uint8)
    opened = np.zeros(width + 1, np.int64)
    starts, stops = np.argsort(edges[:, 1], kind="stable"), np.argsort(edges[:, 3], kind="stable")
    first = np.searchsorted(edges[starts, 1], np.arange(height + 1))
    last = np.searchsorted(edges[stops, 3], np.arange(height + 1))
    place = np.arange(width)
    above = np.full(width, most, np.int64)
    for row in range(height):  # from the boxes downwards; a box on this row is at distance 0
        for chosen, sign in (
            (starts[first[row] : first[row + 1]], 1),
            (stops[last[row] : last[row + 1]], -1),
        ):
            np.add.at(opened, edges[chosen, 0], sign)
            np.add.at(opened, edges[chosen, 2], -sign)
        own = _farther(above, most)
        own[np.cumsum(opened[:-1]) > 0] = 0
        above = np.minimum.accumulate(own - place) + place
        above = (np.minimum.accumulate((above + place)[::-1])[::-1] - place).clip(max=most)
        distance[row] = above
    below = np.full(width, most, np.int64)
    for row in range(height - 1, -1, -1):  # and upwards
        below = np.minimum(distance[row], _farther(below, most))
        distance[row] = below
    return distance


def _farther(distance: NDArray[Any], most: int) -> NDArray[np.int64]:
    """Return the distances of the next row, as far as this one tells."""
    nearest = distance.copy()
    np.minimum(nearest[1:], distance[:-1], out=nearest[1:])
    np.minimum(nearest[:-1], distance[1:], out=nearest[:-1])
    return np.asarray(np.minimum(nearest + 1, most), np.int64)
