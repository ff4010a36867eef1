"""Boxes drawn by key that a veil keeps out of as it keeps out of lesions.

Without them, where a veil has holes, how many and how large they are tells the diagnosis. See
docs/THREAT_MODEL.md for what is left of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from medlocker.geometry import Box
from medlocker.logo import stream
from medlocker.protect._donors import DecoySource

MOST_DECOYS = 160
"""Enough to reach the share below with decoys of middling size."""
_HOLES = (0.02, 0.04)
"""Share of an image that holes cover in all, drawn anew for every image; more where lesions need more."""
_SIDES = (0.012, 0.04)
"""Sides of a decoy, share of the image's shorter side; small ones are more frequent."""

_FEW = 0.25
"""Of the images with lesions, those with the least. More hide grades better, and cost more."""
_AT_ONCE = 6
"""Boxes taken from one donor: lesions lie in groups, but a whole donor would be known again."""
_SHIFT = 0.04
"""Largest shift of a group, share of the sides; the sum of two even draws."""
_STRETCH = 0.15
"""A side of a decoy is longer or shorter than a lesion's by up to this share."""
_OVER = 0.01
"""A decoy that would cover more than is wanted by more than this share of the image is passed over."""
_MOST_TRIED = 600


def draw_decoys(
    boxes: Sequence[Box],
    *,
    width: int,
    height: int,
    key: bytes,
    donors: DecoySource | None = None,
    grow: Callable[[Box], Box] = lambda box: box,
) -> tuple[Box, ...]:
    """Return boxes that make the holes of a veil like those of other images.

    With donors, **an image with few lesions or none gets holes like those of one with more**: as large in
    all as those of another that is drawn by key, and made of lesions of several others, moved and stretched
    a little. Few is less than a quarter of the images with lesions have. All others get none: their holes
    are what the few repeat. So both have holes from the same distribution, however wide it is, and nothing
    is given away where lesions are many. Without donors, all images are filled up to a share drawn by key,
    which hides little.

    Args:
        boxes: What is kept out already, as marking needs it.
        width: Of the image, pixels.
        height: Of the image, pixels.
        key: The same key draws the same boxes.
        donors: Regions of other images of the data set, if they are known.
        grow: From a box to what marking next to it would change; decoys grow so, as lesions did.

    Returns:
        Grown and clipped to the image.
    """
    holes = _CoverageGrid(width, height)
    for box in boxes:
        holes.cover(box)
    if donors is None:
        return _evenly_drawn(holes, key, grow)
    return _like_others(holes, donors, key, grow)


class _CoverageGrid:
    """What is covered, in cells: whether a box overlaps others need not be known to the pixel."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._cell = max(min(width, height) // 512, 1)
        self._covered = np.zeros((-(-height // self._cell), -(-width // self._cell)), np.bool_)

    @property
    def share(self) -> float:
        """Covered share of the image."""
        return float(self._covered.mean())

    def cover(self, box: Box) -> None:
        """Cover a box; it may reach beyond the image."""
        self._part(box)[:] = True

    def added(self, box: Box) -> float:
        """Return the share that a box would add."""
        part = self._part(box)
        return (part.size - int(np.count_nonzero(part))) / self._covered.size

    def _part(self, box: Box) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        rows = slice(max(box.y, 0) // self._cell, max(-(-box.bottom // self._cell), 0))
        return self._covered[rows, max(box.x, 0) // self._cell : max(-(-box.right // self._cell), 0)]


def _evenly_drawn(holes: _CoverageGrid, key: bytes, grow: Callable[[Box], Box]) -> tuple[Box, ...]:
    """Fill up to a share drawn by key with small boxes about the middle."""
    width, height = holes.width, holes.height
    drawn = (stream(key, "decoys", 1 + 6 * MOST_DECOYS) / 65536).tolist()
    wanted = _HOLES[0] + (_HOLES[1] - _HOLES[0]) * drawn[0]
    decoys: list[Box] = []
    shorter = min(width, height)
    for number in range(MOST_DECOYS):
        if holes.share >= wanted:
            break
        a, b, c, d, across, down = drawn[1 + 6 * number : 7 + 6 * number]
        # as lesions do, they lie about the middle: the mean of two even draws is triangular
        x, y = (a + b) / 2, (c + d) / 2
        sides = [_SIDES[0] * (_SIDES[1] / _SIDES[0]) ** value * shorter for value in (across, down)]
        w, h = (max(round(side), 1) for side in sides)
        box = _inside(round(x * width - w / 2), round(y * height - h / 2), w, h, holes)
        decoys.append(grow(box))
        holes.cover(box)
    return tuple(decoys)


def _like_others(
    holes: _CoverageGrid, donors: DecoySource, key: bytes, grow: Callable[[Box], Box]
) -> tuple[Box, ...]:
    """Fill as much as another image's lesions cover, with lesions of several others."""
    shares = sorted(_share_of(donors, number, holes, grow) for number in range(len(donors.sets)))
    few = shares[int(_FEW * len(shares))]
    if holes.share > few:
        return ()
    draws = iter((stream(key, "decoys like others", 8 * _MOST_TRIED) / 65536).tolist())
    many = [share for share in shares if share > few] or shares[-1:]
    wanted = many[int(next(draws) * len(many))]
    decoys: list[Box] = []
    for box, _ in zip(_moved(donors, draws, holes), range(_MOST_TRIED), strict=False):
        if holes.share >= wanted:
            break
        grown = grow(box)
        if holes.share + holes.added(grown) <= wanted + _OVER:
            decoys.append(grown)
            holes.cover(grown)
    return tuple(decoys)


def _share_of(donors: DecoySource, number: int, holes: _CoverageGrid, grow: Callable[[Box], Box]) -> float:
    """Return which share of the image one donor's lesions would cover."""
    found = _CoverageGrid(holes.width, holes.height)
    for box in donors.boxes(number, width=holes.width, height=holes.height):
        found.cover(grow(box))
    return found.share


def _moved(donors: DecoySource, draws: Iterator[float], holes: _CoverageGrid) -> Iterator[Box]:
    """Yield lesions of donors by chance, in groups that stay together, until the draws end."""
    width, height = holes.width, holes.height
    while (first := next(draws, None)) is not None:
        boxes = donors.boxes(int(first * len(donors.sets)), width=width, height=height)
        across, down = ((next(draws, 0.5) + next(draws, 0.5) - 1) * _SHIFT for _ in range(2))
        start = int(next(draws, 0.0) * len(boxes))
        # lesions are sorted by place: neighbours in the list are neighbours in the eye
        for number in range(min(_AT_ONCE, len(boxes))):
            box = boxes[(start + number) % len(boxes)]
            w, h = (
                max(round(side * (1 + _STRETCH * (2 * next(draws, 0.5) - 1))), 1)
                for side in (box.width, box.height)
            )
            yield _inside(round(box.x + across * width), round(box.y + down * height), w, h, holes)


def _inside(left: int, top: int, w: int, h: int, holes: _CoverageGrid) -> Box:
    left, top = max(min(left, holes.width - w), 0), max(min(top, holes.height - h), 0)
    return Box(left, top, min(w, holes.width), min(h, holes.height))
