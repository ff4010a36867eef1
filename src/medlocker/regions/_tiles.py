"""Cutting a picture of any size into overlapping tiles of one size, and using only their middles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class TileSpan:
    """One tile's place along one axis.

    Args:
        start: First pixel of the tile.
        first: First pixel that its answer is used for.
        last: One behind the last such pixel.
    """

    start: int
    first: int
    last: int


def pieces(length: int, *, tile: int, border: int) -> list[TileSpan]:
    """Cut an axis so that every pixel is used once, and ``border`` pixels from any cut edge.

    Args:
        length: Of the axis, at least ``tile``.
        tile: Side of a tile.
        border: Pixels at a tile's edge whose answers lack surroundings; less than half a tile.

    >>> pieces(10, tile=6, border=1)
    [TileSpan(start=0, first=0, last=5), TileSpan(start=4, first=5, last=10)]
    """
    found: list[TileSpan] = []
    first = 0
    for start in _starts(length, tile=tile, step=tile - 2 * border):
        last = length if start + tile >= length else start + tile - border
        found.append(TileSpan(start, first, last))
        first = last
    return found


def _starts(length: int, *, tile: int, step: int) -> Iterator[int]:
    start = 0
    while start + tile < length:
        yield start
        start += step
    yield length - tile
