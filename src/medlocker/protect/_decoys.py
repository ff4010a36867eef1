"""Boxes drawn by key that a veil keeps out of as it keeps out of lesions.

Without them, where a veil has holes, how many and how large they are tells the diagnosis. See
docs/THREAT_MODEL.md for what is left of that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medlocker.geometry import Box
from medlocker.logo import stream

MOST_DECOYS = 160
"""Enough to reach the share below with decoys of middling size."""
_HOLES = (0.02, 0.04)
"""Share of an image that holes cover in all, drawn anew for every image; more where lesions need more."""
_SIDES = (0.012, 0.04)
"""Sides of a decoy, share of the image's shorter side; small ones are more frequent."""


def draw_decoys(boxes: Sequence[Box], *, width: int, height: int, key: bytes) -> tuple[Box, ...]:
    """Return boxes that fill the holes of a veil up to a share drawn by key.

    Args:
        boxes: What is kept out already.
        width: Of the image, pixels.
        height: Of the image, pixels.
        key: The same key draws the same boxes.
    """
    # in cells: whether a box overlaps others need not be known to the pixel
    cell = max(min(width, height) // 512, 1)
    covered = np.zeros((-(-height // cell), -(-width // cell)), np.bool_)

    def cover(box: Box) -> None:
        rows = slice(max(box.y, 0) // cell, -(-box.bottom // cell))
        covered[rows, max(box.x, 0) // cell : -(-box.right // cell)] = True

    for box in boxes:
        cover(box)
    drawn = (stream(key, "decoys", 1 + 6 * MOST_DECOYS) / 65536).tolist()
    wanted = _HOLES[0] + (_HOLES[1] - _HOLES[0]) * drawn[0]
    decoys: list[Box] = []
    shorter = min(width, height)
    for number in range(MOST_DECOYS):
        if covered.mean() >= wanted:
            break
        a, b, c, d, across, down = drawn[1 + 6 * number : 7 + 6 * number]
        # as lesions do, they lie about the middle: the mean of two even draws is triangular
        x, y = (a + b) / 2, (c + d) / 2
        sides = [_SIDES[0] * (_SIDES[1] / _SIDES[0]) ** value * shorter for value in (across, down)]
        w, h = (max(round(side), 1) for side in sides)
        left, top = round(x * width - w / 2), round(y * height - h / 2)
        left, top = max(min(left, width - w), 0), max(min(top, height - h), 0)
        box = Box(left, top, min(w, width), min(h, height))
        decoys.append(box)
        cover(box)
    return tuple(decoys)
