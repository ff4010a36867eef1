"""Entries of TIFF directories that may hold the unmarked picture: taken out of the tables, and put back."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from medlocker.formats._exif import is_known
from medlocker.formats._icc import is_plain_profile
from medlocker.formats._ifd import CHILDREN, Entry, child_place, drop_entries
from medlocker.formats._keep import Keep
from medlocker.formats.tiff._layout import COLOR_MAP, ICC, SHOWN, STRIP_SIZES, STRIPS, TILE_SIZES, TILES

_XMP, _TRANSFER = 700, 301
_REWRITTEN = frozenset((STRIPS, STRIP_SIZES, TILES, TILE_SIZES))
_MOST_TABLE_BYTES = 3 * 2 * 256
_COUNT, _ENTRY = struct.Struct("<I"), struct.Struct("<HHQ?I")


def _passes(entry: Entry, within: int, keep: Keep) -> bool:
    tag = entry.tag
    if within:
        return "exif" in keep or is_known(entry, within=within)
    if tag in _REWRITTEN or (tag in (COLOR_MAP, _TRANSFER) and len(entry.data) <= _MOST_TABLE_BYTES):
        return True
    if tag == ICC:
        return "profiles" in keep or is_plain_profile(entry.data)
    if tag == _XMP:
        return "xmp" in keep
    if is_known(entry, most=len(entry.data)):
        return "text" in keep or is_known(entry)
    return "private" in keep and tag != SHOWN


def take_out(
    data: bytearray, at: int, entries: Sequence[Entry], keep: Keep, *, order: str, big: bool, within: int = 0
) -> tuple[Entry, ...]:
    """Take the entries that are not passed on out of a directory's table, and return them.

    Args:
        data: The file, changed.
        at: Offset of the directory.
        entries: Its own, in the file's order.
        keep: What passes although it may hold a picture.
        order: ``<`` or ``>``.
        big: Whether it is one of a BigTIFF.
        within: Tag of the directory, 0 for a page's.
    """
    held: list[Entry] = []
    gone: list[int] = []
    for index, entry in enumerate(entries):
        if not _passes(entry, within, keep):
            gone.append(index)
            held.append(entry)
        elif entry.child is not None:
            place = child_place(data, at, index, order=order, big=big)
            below = take_out(data, place, entry.child, keep, order=order, big=big, within=entry.tag)
            if len(below) == len(entry.child) and below == entry.child:
                gone.append(index)
            if below:
                held.append(replace(entry, child=below))
    drop_entries(data, at, gone, order=order, big=big)
    return tuple(held)


def put_back(entries: Sequence[Entry], held: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return a directory's entries with those that were held back."""
    found = {entry.tag: entry for entry in entries}
    for entry in held:
        own = found.get(entry.tag)
        if own is None:
            found[entry.tag] = entry
        elif own.child is None or entry.child is None:
            raise ValueError("expected entries that the file lacks")
        else:
            found[entry.tag] = replace(own, child=put_back(own.child, entry.child))
    return tuple(found.values())


def pack_held(pages: Iterable[Sequence[Entry]]) -> bytes:
    """Return the entries of all pages as bytes; see docs/FORMAT.md."""
    return b"".join(piece for entries in pages for piece in _packed(entries))


def _packed(entries: Sequence[Entry]) -> Iterator[bytes]:
    yield _COUNT.pack(len(entries))
    for entry in entries:
        data = b"" if entry.child is not None else entry.data
        yield _ENTRY.pack(entry.tag, entry.type, entry.count, entry.child is not None, len(data)) + data
        if entry.child is not None:
            yield from _packed(entry.child)


def unpack_held(held: bytes) -> Iterator[tuple[Entry, ...]]:
    """Yield what :func:`pack_held` was given, page by page.

    Raises:
        ValueError: If it is damaged.
        struct.error: If it is cut.
    """
    at = 0
    while at < len(held):
        entries, at = _unpacked(held, at, 0)
        yield entries


def _unpacked(held: bytes, at: int, depth: int) -> tuple[tuple[Entry, ...], int]:
    if depth > len(CHILDREN):
        raise ValueError("expected less nesting")
    (count,) = _COUNT.unpack_from(held, at)
    at += _COUNT.size
    entries: list[Entry] = []
    for _ in range(count):
        tag, kind, values, nested, size = _ENTRY.unpack_from(held, at)
        at += _ENTRY.size
        data = held[at : at + size]
        if len(data) != size:
            raise ValueError("expected a whole entry")
        at += size
        child = None
        if nested:
            child, at = _unpacked(held, at, depth + 1)
        entries.append(Entry(tag, kind, values, data, child))
    return tuple(entries), at
