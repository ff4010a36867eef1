"""Where a TIFF has its XMP packet: tag 700 of the first page (ISO 16684-3, 1.1.4).

The first directory is written once more at the end of the file, with one entry more, and the header points
to it; all other bytes stay where they are.
"""

from __future__ import annotations

import struct

from medlocker.formats._ifd import Entry, directory_with, parse_directory
from medlocker.formats.tiff._file import parse_start

_XMP, _BYTE = 700, 1
_MOST_BYTES = {False: (1 << 32) - 1, True: (1 << 64) - 1}


def packet_tiff(data: bytes) -> bytes | None:
    """Return the first page's packet, or None."""
    order, big, first = parse_start(data)
    entry = parse_directory(data, first, order=order, big=big).find(_XMP)
    return None if entry is None else entry.data


def add_packet_tiff(data: bytes, packet: bytes) -> bytes | None:
    """Return a file with a packet; None if a classic TIFF would become too large for its places."""
    order, big, first = parse_start(data)
    even = data + b"\0" * (len(data) % 2)
    added = directory_with(Entry(_XMP, _BYTE, len(packet), packet), even, first, order=order, big=big)
    whole = bytearray(even + added)
    if len(whole) > _MOST_BYTES[big]:
        return None
    place = (8, f"{order}Q") if big else (4, f"{order}I")
    struct.pack_into(place[1], whole, place[0], len(even))
    return bytes(whole)
