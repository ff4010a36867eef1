"""Compressed frames in their items (PS3.5, annex A.4): found, and written again."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice

from medlocker.formats.dicom._walk import EXPLICIT, ITEM, build_item, tag_at

_JPEG_END = b"\xff\xd9"
_MAX_FRAGMENTS = 1 << 17
"""Of all frames together, beyond one for each."""


def find_frames(payload: memoryview, count: int) -> list[tuple[memoryview, ...]]:
    """Return the fragments of each frame.

    Raises:
        ValueError: If items are cut, or do not tell which frame they belong to.
        struct.error: If an item's first bytes are missing.
    """
    items = list(islice(_items(payload), _MAX_FRAGMENTS + count + 1))
    if len(items) > _MAX_FRAGMENTS + count:
        raise ValueError("expected fewer fragments")
    if not items:
        raise ValueError("expected an offset table")
    table, fragments = items[0][1], items[1:]
    if len(fragments) < count:
        raise ValueError("expected a fragment for each frame")
    if count == 1:
        return [tuple(part for _, part in fragments)]
    if len(fragments) == count:
        return [(part,) for _, part in fragments]
    if len(table) == 4 * count:
        starts = struct.unpack(f"<{count}I", table)
        begin = fragments[0][0]
        at = {place - begin: i for i, (place, _) in enumerate(fragments)}
        firsts = [at.get(start, -1) for start in starts]
    else:
        ends = [i + 1 for i, (_, part) in enumerate(fragments) if _JPEG_END in bytes(part[-10:])]
        firsts = [0, *ends[:-1]]
    if len(firsts) != count or firsts[0] != 0 or firsts != sorted(set(firsts)):
        raise ValueError("expected a table of where frames begin")
    stops = [*firsts[1:], len(fragments)]
    return [tuple(part for _, part in fragments[a:b]) for a, b in zip(firsts, stops, strict=True)]


def _items(payload: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = 0
    while at < len(payload):
        (length,) = struct.unpack_from("<I", payload, at + 4)
        if tag_at(payload, at, "<") != ITEM or at + 8 + length > len(payload):
            raise ValueError("expected whole items")
        yield at, payload[at + 8 : at + 8 + length]
        at += 8 + length


def frame_item(data: bytes) -> bytes:
    """Return one frame as one item."""
    return build_item(data + b"\0" * (len(data) % 2), dialect=EXPLICIT)


def table_bytes(count: int) -> int:
    """Return the length of the offset table's item."""
    return 8 + 4 * count


def offset_table(offsets: list[int]) -> bytes:
    """Return the item that says where each frame's item begins, counted from behind this one."""
    return build_item(struct.pack(f"<{len(offsets)}I", *offsets), dialect=EXPLICIT)
