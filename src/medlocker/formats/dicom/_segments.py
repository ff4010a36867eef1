"""How many colours a segmented palette stands for, worked out before anybody writes them down.

Segments (PS3.3, C.7.9.2) say "so many entries along a line" and "those segments again", so that a few
kilobytes can mean more entries than fit into any memory.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

MAX_ENTRIES = 1 << 16
_DISCRETE, _LINEAR, _INDIRECT = range(3)


def check_segments(data: bytes, *, bits: int, order: str) -> None:
    """Refuse segments that stand for more entries than any palette has.

    Args:
        data: Of one colour.
        bits: Of an entry and of all other words, 8 or 16.
        order: Byte order, ``"<"`` or ``">"``.

    Raises:
        ValueError: If they are cut, too many, or an indirect segment leads to another, which is not allowed.
    """
    words = struct.unpack(f"{order}{len(data) // 2}H", data[: len(data) & ~1]) if bits == 16 else data
    if _count(words, 0, len(words), places=_PLACES[bits, order], nested=False) > MAX_ENTRIES:
        raise ValueError(f"expected a palette of at most {MAX_ENTRIES} colours")


_PLACES = {(16, "<"): (0, 16), (16, ">"): (0, 16), (8, "<"): (0, 8, 16, 24), (8, ">"): (8, 0, 24, 16)}
"""By how many bits each word of a place is moved; bytes keep the order that they have inside of 16 bits."""


def _count(words: Sequence[int], at: int, segments: int, *, places: tuple[int, ...], nested: bool) -> int:
    entries = 0
    # a single word at the end is padding
    while at + 1 < len(words) and segments > 0 and entries <= MAX_ENTRIES:
        kind, length = words[at], words[at + 1]
        at, segments = at + 2, segments - 1
        if kind == _INDIRECT and not nested:
            if at + len(places) > len(words):
                raise ValueError("expected whole segments")
            start = sum(words[at + i] << shift for i, shift in enumerate(places))
            at += len(places)
            entries += _count(words, start, length, places=places, nested=True)
        elif kind in (_DISCRETE, _LINEAR):
            entries += length
            at += length if kind == _DISCRETE else 1
        else:
            raise ValueError("expected discrete and linear segments, and indirect ones that lead to these")
    return entries
