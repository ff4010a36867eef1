"""What an EXIF block tells of a picture, and the small unmarked copies of it that must not be passed on.

Cameras put a thumbnail into EXIF. It shows the picture without the mark, so a block is written without it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from medlocker.formats._ifd import (
    CHILDREN,
    EXIF_IFD,
    GPS_IFD,
    Directory,
    DirectoryError,
    Entry,
    parse_directory,
    parse_header,
)

_ORIENTATION = 274
_STRIPS, _STRIP_SIZES = 273, 279
_THUMBNAIL, _THUMBNAIL_SIZE = 513, 514
_JPEG = re.compile(rb"\xff\xd8\xff[\xc0-\xfe].*?(?:\xff\xd9|\Z)", re.DOTALL)
_XMP_PREVIEW = re.compile(rb"xmpGImg:image|xmp:Thumbnails|GImg:image")


def exif_facts(block: bytes) -> dict[str, str | int | bool]:
    """Return the orientation (1 to 8), if told, and whether there is a place, never which.

    Args:
        block: EXIF, from its byte order mark on. A damaged one only tells that it is there.
    """
    facts: dict[str, str | int | bool] = {"exif": True}
    try:
        order, at = parse_header(block)
        directory = parse_directory(block, at, order=order)
    except DirectoryError:
        return facts
    return facts | directory_facts(directory, order=order)


def directory_facts(directory: Directory, *, order: str) -> dict[str, str | int | bool]:
    """Return the same of a directory that has been parsed."""
    facts: dict[str, str | int | bool] = {}
    if directory.find(EXIF_IFD) is not None:
        facts["exif"] = True
    if directory.find(GPS_IFD) is not None:
        facts["gps"] = True
    entry = directory.find(_ORIENTATION)
    if entry is not None:
        try:
            number = next(iter(entry.numbers(order)), 0)
        except DirectoryError:
            number = 0
        if 1 <= number <= 8:
            facts["orientation"] = number
    return facts


def has_preview(data: bytes) -> bool:
    """Whether JPEG pictures or XMP thumbnails are inside."""
    return _JPEG.search(data) is not None or _XMP_PREVIEW.search(data) is not None


@dataclass(frozen=True)
class _Place:
    start: int
    size: int


def without_thumbnail(block: bytes) -> bytes:
    """Return an EXIF block of the same length with the thumbnail and other embedded JPEGs zeroed.

    Everything else stays at its place, so offsets of makers' own notes remain right.

    Args:
        block: EXIF, from its byte order mark on.
    """
    out = bytearray(block)
    try:
        order, at = parse_header(block)
        first = parse_directory(block, at, order=order)
        if first.next_at:
            link = at + 2 + 12 * len(first.entries)
            out[link : link + 4] = b"\0\0\0\0"
            places = _thumbnail_places(parse_directory(block, first.next_at, order=order), order)
            for place in _joined(places):
                _wipe(out, place)
    except DirectoryError:
        pass  # nothing in it can be found by a reader either, except JPEGs by their own first bytes
    for match in _JPEG.finditer(bytes(out)):
        _wipe(out, _Place(match.start(), match.end() - match.start()))
    return bytes(out)


def _thumbnail_places(second: Directory, order: str) -> list[_Place]:
    places: list[_Place] = []
    for start_tag, size_tag in ((_STRIPS, _STRIP_SIZES), (_THUMBNAIL, _THUMBNAIL_SIZE)):
        starts, sizes = second.find(start_tag), second.find(size_tag)
        if starts is not None and sizes is not None:
            pairs = zip(starts.numbers(order), sizes.numbers(order), strict=False)
            places += [_Place(start, size) for start, size in pairs]
    return places


def _joined(places: list[_Place]) -> list[_Place]:
    """Return the same bytes as places that do not overlap: thousands of strips may claim all of it."""
    joined: list[_Place] = []
    for place in sorted(places, key=lambda one: one.start):
        last = joined[-1] if joined else None
        if last is None or place.start > last.start + last.size:
            joined.append(place)
        else:
            end = max(last.start + last.size, place.start + place.size)
            joined[-1] = _Place(last.start, end - last.start)
    return joined


def _wipe(out: bytearray, place: _Place) -> None:
    end = min(len(out), place.start + place.size)
    if place.start < end:
        out[place.start : end] = bytes(end - place.start)


def without_previews(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return entries, at all depths, without those that hold JPEG pictures."""
    kept = []
    for entry in entries:
        if entry.tag in CHILDREN and entry.child is not None:
            kept.append(Entry(entry.tag, entry.type, entry.count, b"", without_previews(entry.child)))
        elif not has_preview(entry.data):
            kept.append(entry)
    return tuple(kept)
