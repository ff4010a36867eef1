"""What a page's tags say of the samples to be shown: 10 or 12 bits are often kept in 16."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from medlocker.formats._ifd import Directory, Entry
from medlocker.formats._shownrange import ShownRange, ToldRange, range_of_16_bits
from medlocker.formats.tiff._layout import DESCRIPTION, LARGEST, LEAST, MOST, SHOWN, SMALLEST, Layout
from medlocker.images import Pixels

_SHORT = 3
_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 16: "Q", 17: "q"}
_IMAGEJ = re.compile(rb"\AImageJ=")
_NUMBER = rb"^%s=(-?\d{1,9}(?:\.\d{1,20})?)\s*$"
_IMAGEJ_MIN, _IMAGEJ_MAX = (re.compile(_NUMBER % name, re.MULTILINE) for name in (b"min", b"max"))
_MOST_TEXT = 1 << 16


def find_range(first: Layout, pixels: Pixels) -> ShownRange | None:
    """Return the samples that are shown black and white, None for all of the type.

    Args:
        first: The first page, whose tags count.
        pixels: Of the page that models are shown, (H, W, C).
    """
    if first.bits != 16:
        return None
    colors = 3 if first.kind in ("rgb", "rgba") else 1
    return range_of_16_bits(
        pixels[..., :colors],
        _told(first.directory, first.order, zero=(1 << 15) if first.signed else 0),
        signed=first.signed,
        reverse=first.photometric == 0,
    )


def _told(directory: Directory, order: str, *, zero: int) -> Iterator[ToldRange]:
    noted = _numbers(directory, SHOWN, order)
    if len(noted) == 2:
        yield ToldRange(noted[0] - zero, noted[1] - zero, display=True, whole=True)
    entry = directory.find(DESCRIPTION)
    text = b"" if entry is None else entry.data[:_MOST_TEXT].rstrip(b"\0")
    low, high = _IMAGEJ_MIN.search(text), _IMAGEJ_MAX.search(text)
    if _IMAGEJ.match(text) and low and high:
        yield ToldRange(float(low[1]), float(high[1]), display=True)
    for least, most in ((SMALLEST, LARGEST), (LEAST, MOST)):
        greatest = _numbers(directory, most, order)
        if greatest:
            yield ToldRange(min(_numbers(directory, least, order), default=0), max(greatest))


def _numbers(directory: Directory, tag: int, order: str) -> tuple[float, ...]:
    entry = directory.find(tag)
    if entry is None or entry.type not in _CODES or entry.count > 4:
        return ()
    return struct.unpack(f"{order}{entry.count}{_CODES[entry.type]}", entry.data)


def range_entry(shown: tuple[int, int], order: str) -> Entry:
    """Return the entry in which a marked file notes the least and the greatest sample shown."""
    return Entry(SHOWN, _SHORT, 2, struct.pack(f"{order}2H", *shown))
