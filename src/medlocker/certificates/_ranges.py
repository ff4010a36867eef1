"""Many numbers of images in few pairs: [first, last], both included."""

from __future__ import annotations

from collections.abc import Iterable

from medlocker.certificates._canonical import Fields
from medlocker.certificates._record import MAX_INDEX

Ranges = tuple[tuple[int, int], ...]
"""Ascending, with gaps between them."""


def read_ranges(reader: Fields, name: str, *, max_items: int) -> Ranges:
    """Return a field of ascending [first, last] pairs with gaps between them.

    Raises:
        MalformedError: If it is none.
    """
    ranges: list[tuple[int, int]] = []
    last = -2
    for pair in reader.items(name, max_items=max_items):
        if not isinstance(pair, list) or len(pair) != 2 or any(type(number) is not int for number in pair):
            raise reader.refuse(name, "pairs of integers")
        if not last + 1 < pair[0] <= pair[1] <= MAX_INDEX:
            raise reader.refuse(name, "ascending pairs with gaps between them")
        last = pair[1]
        ranges.append((pair[0], pair[1]))
    return tuple(ranges)


def to_ranges(indices: Iterable[int]) -> list[list[int]]:
    """Return ascending numbers as [first, last] pairs, both included.

    >>> to_ranges([0, 1, 2, 7])
    [[0, 2], [7, 7]]
    """
    ranges: list[list[int]] = []
    for index in indices:
        if ranges and ranges[-1][1] == index - 1:
            ranges[-1][1] = index
        else:
            ranges.append([index, index])
    return ranges
