"""The colours of palette indices.

Segmented palettes (PS3.3, C.7.9.2) say "so many entries along a line" and "those segments again", so that a
few kilobytes can mean more entries than fit into any memory: their number is worked out before anybody
writes them down.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_color_lut

from medlocker.formats.dicom._layout import Layout
from medlocker.formats.dicom._parts import Parts
from medlocker.formats.dicom._shown import read_header
from medlocker.formats.dicom._tags import quiet

_RED_DESCRIPTOR = 0x00281101
_SEGMENTED = (0x00281221, 0x00281222, 0x00281223, 0x00281224)
_MAX_ENTRIES = 1 << 16
_DISCRETE, _LINEAR, _INDIRECT = range(3)


def read_palette(parts: Parts, layout: Layout) -> NDArray[np.uint8]:
    """Return the colours of palette indices, (2**bits, 3) uint8.

    Raises:
        Exception: Of many kinds, if the palette is damaged.
    """
    count = 1 << layout.stored
    order = parts.dialect.order
    descriptor = parts.value(_RED_DESCRIPTOR)[4:6]
    for tag in _SEGMENTED:
        if parts.value(tag):
            (bits,) = struct.unpack(f"{order}H", descriptor)
            check_segments(parts.value(tag), bits=bits, order=order)
    with quiet():
        header = read_header(parts)
        colors = apply_color_lut(np.arange(count, dtype=np.uint8).reshape(1, count), header)[0, :, :3]
    return np.ascontiguousarray(colors >> 8 if colors.dtype.itemsize == 2 else colors, dtype=np.uint8)


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
    if _count(words, 0, len(words), places=_PLACES[bits, order], nested=False) > _MAX_ENTRIES:
        raise ValueError(f"expected a palette of at most {_MAX_ENTRIES} colours")


_PLACES = {(16, "<"): (0, 16), (16, ">"): (0, 16), (8, "<"): (0, 8, 16, 24), (8, ">"): (8, 0, 24, 16)}
"""By how many bits each word of a place is moved; bytes keep the order that they have inside of 16 bits."""


def _count(words: Sequence[int], at: int, segments: int, *, places: tuple[int, ...], nested: bool) -> int:
    entries = 0
    # a single word at the end is padding
    while at + 1 < len(words) and segments > 0 and entries <= _MAX_ENTRIES:
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
