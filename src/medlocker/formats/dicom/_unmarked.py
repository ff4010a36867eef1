"""Places of a DICOM data set where a copy of the unmarked picture may lie: what is not known is left out.

Passed on are elements of the standard's dictionary whose values are too small for a picture, colour tables
and plain colour profiles. Sequences are looked through item by item.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from pydicom.datadict import dictionary_VR

from medlocker.formats._edits import Edit
from medlocker.formats._icc import is_plain_profile
from medlocker.formats._keep import MOST_BYTES, Keep
from medlocker.formats.dicom._edit import Changes
from medlocker.formats.dicom._parts import MAGIC, PREAMBLE, Parts
from medlocker.formats.dicom._walk import (
    IMPLICIT,
    Buffer,
    Dialect,
    Element,
    build_element,
    build_item,
    items,
    walk,
)

_ICON, _PROFILE, _PADDING, _WAVEFORMS = 0x00880200, 0x00282000, 0xFFFCFFFC, 0x54000100
_TABLES = frozenset((0x00281201, 0x00281202, 0x00281203, 0x00281204, 0x00281221, 0x00281222, 0x00281223,
                     0x00281224, 0x00283006))  # fmt: skip
_MOST_TABLE_BYTES = 2 * 65536
MOST_BINARY_BYTES = 64
_BYTES_PER_FRAME = 16
"""Of a number for each frame, written as text."""

_BINARY = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
_NUMBERS = frozenset(("AT", "DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"))
_MAX_DEPTH = 16


@dataclass(frozen=True)
class Judge:
    """Tells which elements of a marked image pass; :mod:`._companion` has one for other objects.

    Args:
        keep: What passes although it may hold a picture.
        frames: Of the image: there may be a number for each.
    """

    keep: Keep
    frames: int
    most_depth: ClassVar[int] = _MAX_DEPTH

    def cleaned(self, data: Buffer, element: Element, dialect: Dialect, depth: int = 0) -> bytes | None:
        """Return an element as it is passed on, or None to leave it out."""
        tag, whole = element.tag, bytes(data[element.at : element.end])
        value = bytes(data[element.value_at : element.value_end])
        known_picture = tag == _ICON or (tag >> 16 == 0x7FE0 and depth > 0)
        vr = representation(tag)
        kind = unusual(element, vr) or self._kind(tag, vr, value)
        if known_picture or (kind and kind not in self.keep):
            return None
        return self.sequence(element, whole, value, dialect, depth) if vr == "SQ" and not kind else whole

    def _kind(self, tag: int, vr: str, value: bytes) -> str:
        """Return what a standard element must be let through as, nothing if it is harmless or a sequence."""
        if vr == "SQ":
            return ""
        if tag == _PROFILE:
            return "" if is_plain_profile(_unpadded(value)) else "profiles"
        return "" if len(value) <= self.most_bytes(tag, vr) else "text"

    def most_bytes(self, tag: int, vr: str) -> int:
        """Return how many bytes a value that passes may have."""
        if tag in _TABLES:
            return _MOST_TABLE_BYTES
        kinds = set(vr.split(" or "))
        if kinds & _BINARY:
            return MOST_BINARY_BYTES
        return max(MOST_BYTES, _BYTES_PER_FRAME * self.frames) if kinds & _NUMBERS else MOST_BYTES

    def sequence(
        self, element: Element, whole: bytes, value: bytes, dialect: Dialect, depth: int
    ) -> bytes | None:
        """Return a sequence as it is passed on, or None to leave it out."""
        inside = IMPLICIT if element.vr == "UN" else dialect
        try:
            cleaned = self.items(value, inside, depth + 1)
        except (ValueError, struct.error):
            return None  # nobody can say what is in it
        if cleaned == value:
            return whole
        return build_element(element.tag, element.vr or "SQ", cleaned, dialect=dialect)

    def items(self, value: bytes, dialect: Dialect, depth: int) -> bytes:
        """Return a sequence's value as it is passed on; the very bytes if all of it is."""
        if depth > self.most_depth:
            raise ValueError("expected less nesting")
        pieces: list[bytes] = []
        changed = False
        for start, end, inside in items(value, dialect=dialect):
            content = value[start:end]
            kept = [(content[e.at : e.end], self.cleaned(content, e, inside, depth))
                    for e in walk(content, 0, end=len(content), dialect=inside)]  # fmt: skip
            changed = changed or any(old != new for old, new in kept)
            pieces.append(build_item(b"".join(new for _, new in kept if new is not None), dialect=dialect))
        return b"".join(pieces) if changed else value


def representation(tag: int) -> str:
    """Return the value representation that the dictionary gives a tag, nothing for an unknown one."""
    if tag & 0xFFFF == 0:  # the length of a group
        return "UL"
    try:
        return dictionary_VR(tag)
    except KeyError:
        return ""


def unusual(element: Element, vr: str) -> str:
    """Return what an element that is no plain one of the standard must be let through as, else nothing."""
    tag, group = element.tag, element.tag >> 16
    special = {0x6000: "overlays", 0x5000: "waveforms"}.get(group & 0xFF00, "")
    if tag == _PADDING:
        special = "trailing"
    elif tag == _WAVEFORMS:
        special = "waveforms"
    elif group % 2 or not vr or (vr != "SQ" and (element.undefined or element.vr == "SQ")):
        special = "private"
    return special


def _unpadded(profile: bytes) -> bytes:
    size = int.from_bytes(profile[:4], "big")
    return profile[:size] if len(profile) - size == 1 else profile


def known_items(value: bytes, dialect: Dialect, *, keep: Keep, frames: int) -> bytes:
    """Return what is passed on of a sequence's value; nothing of one that cannot be followed."""
    try:
        return Judge(keep, frames).items(value, dialect, 1)
    except (ValueError, struct.error):
        return b""


def known_head(parts: Parts, changes: Changes, *, keep: Keep, frames: int) -> Iterator[Edit | int]:
    """Yield what to do to leave out what is not passed on: edits, and tags of the meta information to drop.

    Args:
        parts: A file.
        changes: Elements that get other values anyway.
        keep: What passes although it may hold a picture.
        frames: Of the image.
    """
    head, judge = parts.head, Judge(keep, frames)
    if "trailing" not in keep and head[PREAMBLE : PREAMBLE + len(MAGIC)] == MAGIC and any(head[:PREAMBLE]):
        yield Edit(0, PREAMBLE, bytes(PREAMBLE))
    for tag, element in parts.elements.items():
        if tag >> 16 == 2 and element.end - element.value_at > MOST_BINARY_BYTES and tag not in changes:
            yield tag
    for element in walk(head, parts.meta_end, end=len(head), dialect=parts.dialect):
        if element.tag in changes and parts.elements.get(element.tag) == element:
            continue
        kept = judge.cleaned(head, element, parts.dialect)
        if kept != head[element.at : element.end]:
            yield Edit(element.at, element.end - element.at, kept or b"")


def known_tail(parts: Parts, *, keep: Keep, frames: int) -> bytes:
    """Return what is passed on of what follows the pixels; what is no data set is trailing."""
    pieces: list[bytes] = []
    judge, tail, end = Judge(keep, frames), parts.tail, 0
    try:
        for element in walk(tail, 0, end=len(tail), dialect=parts.dialect):
            pieces.append(judge.cleaned(tail, element, parts.dialect, depth=1) or b"")
            end = element.end
    except (ValueError, struct.error):
        pass
    return b"".join(pieces) + (tail[end:] if "trailing" in keep else b"")
