"""DICOM objects that speak of images: what they refer to, and the same object referring to others.

Segmentations, structure sets, presentation states, key objects and reports travel with marked images. What
may hold a copy of the unmarked picture is left out of them as of the images (:mod:`._unmarked`), with other
bounds for what makes such an object: coordinates, lists of frames, a report's sentences, a segmentation's
frames. These are never left out: an object that needs more of them does not travel.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from medlocker.errors import NoPixelsError
from medlocker.formats._keep import NOTHING, Keep
from medlocker.formats.dicom._parts import (
    DEFLATED,
    MAGIC,
    PIXELS,
    PREAMBLE,
    SOP_CLASS,
    OpenedDataSet,
    open_data_set,
)
from medlocker.formats.dicom._unmarked import MOST_BINARY_BYTES, Judge, representation, unusual
from medlocker.formats.dicom._walk import (
    EXPLICIT,
    IMPLICIT,
    ITEM,
    Buffer,
    DamagedElementError,
    Dialect,
    Element,
    build_element,
    items,
    tag_at,
    walk,
)
from medlocker.images import translated

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_STANDARD = "1.2.840.10008."
_WORDS = (
    (_STORAGE + "66.4", "segmentation"),
    (_STORAGE + "66.7", "segmentation"),
    (_STORAGE + "481.3", "structure set"),
    (_STORAGE + "11.", "presentation state"),
    (_STORAGE + "88.59", "key object selection"),
    (_STORAGE + "88.", "report"),
)
"""SOP classes of objects that travel, by how they begin; the first that fits counts."""

_META_LENGTH, _MEDIA_INSTANCE = 0x00020000, 0x00020003
_INSTANCE, _FRAMES = 0x00080018, 0x00280008
_OF_CLASS, _OF_INSTANCE = 0x00081150, 0x00081155
_PRIVATE_META = frozenset((0x00020100, 0x00020102))
_NEVER = frozenset((0x00080001, 0x04000500, 0x4FFE0001, 0xFFFAFFFA))
"""Length to the end, encrypted attributes, signatures with what they need: wrong once a value changed."""
_FRAME_DATA = frozenset((PIXELS, 0x7FE00001, 0x7FE00002))
_CONTENT = {
    0x0040A160: 1 << 16,  # Text Value
    0x00700006: 1 << 16,  # Unformatted Text Value
    0x00081160: 1 << 20,  # Referenced Frame Number
    0x0062000B: 1 << 20,  # Referenced Segment Number
    0x00700022: 1 << 24,  # Graphic Data
    0x30060050: 1 << 24,  # Contour Data
}
"""What makes such an object, with the most bytes of one value."""
_UID = re.compile(r"[0-9.]{1,64}")
_UIDS_IN_BYTES = re.compile(rb"[0-9]+(?:\.[0-9]+)+")


@dataclass(frozen=True)
class Companion:
    """What an object that speaks of images says.

    Args:
        word: What it is, for messages: ``"segmentation"``.
        instance: Its SOP Instance UID; it goes into no message.
        references: SOP Instance UIDs of the stored objects that it refers to, itself left out.
    """

    word: str
    instance: str = field(repr=False)
    references: frozenset[str] = field(repr=False)


def companion_word(sop_class: str) -> str:
    """Return what an object that can travel with images is called, nothing for any other.

    Args:
        sop_class: SOP Class UID.
    """
    for start, word in _WORDS:
        if sop_class == start or (start.endswith(".") and sop_class.startswith(start)):
            return word
    return ""


def read_companion(data: bytes, *, name: str, keep: Keep = NOTHING) -> Companion:
    """Read what an object is and refers to, as far as it passes.

    Args:
        data: The whole file.
        name: How messages call it.
        keep: What else than harmless elements would pass.

    Raises:
        NoPixelsError: If it is of a kind that does not travel.
        UnsupportedImageError: If it is damaged, or beyond the limits.
    """
    with translated(name, what="DICOM", noun="object"):
        opened = open_data_set(data)
        judge = _judge(opened, {}, name=name, keep=keep)
        _passed(opened, judge)
        instance = _top_value(opened, _INSTANCE)
        if not _UID.fullmatch(instance):
            raise ValueError("expected a SOP Instance UID")
        return Companion(judge.word, instance, frozenset(judge.found - {instance}))


def edited_companion(data: bytes, uids: Mapping[str, str], *, name: str, keep: Keep = NOTHING) -> bytes:
    """Return the same object with other UIDs, and without what is not passed on.

    Args:
        data: The whole file.
        uids: From old to new SOP Instance UIDs: of images, of companions, and of the object itself. Each
            value of an element of UIDs that is one of them is replaced, at any depth.
        name: How messages call it.
        keep: What else than harmless elements passes.

    Raises:
        NoPixelsError: If it is of a kind that does not travel.
        UnsupportedImageError: If it is damaged, or beyond the limits.
    """
    with translated(name, what="DICOM", noun="object"):
        opened = open_data_set(data)
        body = _passed(opened, _judge(opened, uids, name=name, keep=keep))
        if opened.syntax == DEFLATED:
            packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
            body = packer.compress(body) + packer.flush()
            body += bytes(len(body) % 2)
        return _head(opened, uids[_top_value(opened, _INSTANCE)]) + body


def _judge(opened: OpenedDataSet, uids: Mapping[str, str], *, name: str, keep: Keep) -> _Judge:
    word = companion_word(_top_value(opened, SOP_CLASS))
    if not word:
        raise NoPixelsError(
            f"{name}: a DICOM object of a kind that does not travel with images", subject=name
        )
    frames = _top_value(opened, _FRAMES)
    count = int(frames) if frames.isdecimal() and len(frames) < 10 else 1
    return _Judge(keep, count, word, uids)


def _top_value(opened: OpenedDataSet, wanted: int) -> str:
    """Return a value of the data set itself as text, empty if it is missing."""
    whole = opened.whole
    for element in walk(whole, opened.meta_end, end=len(whole), dialect=opened.dialect):
        if element.tag == wanted:
            return _text(whole[element.value_at : element.value_end])
    return ""


def _text(value: Buffer) -> str:
    return bytes(value).decode("latin-1").strip(" \0")


def _head(opened: OpenedDataSet, instance: str) -> bytes:
    """Return preamble and meta information."""
    whole = opened.whole
    pieces: list[bytes] = []
    for tag, element in opened.meta.items():
        value = bytes(whole[element.value_at : element.end])
        if tag == _MEDIA_INSTANCE:
            pieces.append(build_element(tag, "UI", instance.encode("ascii"), dialect=EXPLICIT))
        elif tag not in _PRIVATE_META and tag != _META_LENGTH and len(value) <= MOST_BINARY_BYTES:
            pieces.append(bytes(whole[element.at : element.end]))
    meta = b"".join(pieces)
    if _META_LENGTH in opened.meta:
        meta = build_element(_META_LENGTH, "UL", struct.pack("<I", len(meta)), dialect=EXPLICIT) + meta
    has_preamble = whole[PREAMBLE : PREAMBLE + len(MAGIC)] == MAGIC
    return (bytes(PREAMBLE) + MAGIC if has_preamble else b"") + meta


def _passed(opened: OpenedDataSet, judge: _Judge) -> bytes:
    whole = opened.whole
    elements = walk(whole, opened.meta_end, end=len(whole), dialect=opened.dialect)
    kept = (judge.cleaned(whole, element, opened.dialect) for element in elements)
    return b"".join(piece for piece in kept if piece is not None)


@dataclass(frozen=True)
class _Judge(Judge):
    """Tells which elements of an object that is no image pass, and gives their UIDs new values.

    Args:
        word: What the object is.
        uids: From old to new.
        found: SOP Instance UIDs of the stored objects that are referred to; filled in.
    """

    word: str
    uids: Mapping[str, str] = field(repr=False)
    found: set[str] = field(default_factory=set, repr=False)
    most_depth: ClassVar[int] = 60
    """Reports are trees."""

    def cleaned(self, data: Buffer, element: Element, dialect: Dialect, depth: int = 0) -> bytes | None:
        tag, vr = element.tag, representation(element.tag)
        if tag in _NEVER or tag & 0xFFFF == 0:  # lengths of groups may be wrong afterwards
            return None
        whole = bytes(data[element.at : element.end])
        if tag >> 16 == 0x7FE0:
            return whole if tag in _FRAME_DATA and depth == 0 and self.word == "segmentation" else None
        value = bytes(data[element.value_at : element.value_end])
        if unusual(element, vr) == "private":
            return self._private(element, whole, value, dialect, depth) if "private" in self.keep else None
        if tag in _CONTENT and len(value) > _CONTENT[tag]:
            raise DamagedElementError(f"expected at most {_CONTENT[tag]} bytes", tag, element.at)
        kept = super().cleaned(data, element, dialect, depth)
        if kept is None or vr != "UI":
            return kept
        return self._repointed(element, whole, value, dialect)

    def most_bytes(self, tag: int, vr: str) -> int:
        return _CONTENT.get(tag) or super().most_bytes(tag, vr)

    def sequence(
        self, element: Element, whole: bytes, value: bytes, dialect: Dialect, depth: int
    ) -> bytes | None:
        inside = IMPLICIT if element.vr == "UN" else dialect
        self._note_references(value, inside)
        # unlike in an image, what cannot be followed could be a reference
        made = self.items(value, inside, depth + 1)
        return (
            whole if made == value else build_element(element.tag, element.vr or "SQ", made, dialect=dialect)
        )

    def _private(
        self, element: Element, whole: bytes, value: bytes, dialect: Dialect, depth: int
    ) -> bytes | None:
        """Return an element that nobody knows and that the owner lets through."""
        is_sequence = element.vr == "SQ" or element.undefined
        if is_sequence or (element.vr in ("", "UN") and _begins_with_item(value, dialect)):
            return self.sequence(element, whole, value, dialect, depth)
        if element.vr == "UI":
            return self._repointed(element, whole, value, dialect)
        # a UID in other bytes cannot be replaced, and would lead to the original
        mentions = (match[0].decode("ascii") in self.uids for match in _UIDS_IN_BYTES.finditer(value))
        return None if any(mentions) else whole

    def _repointed(self, element: Element, whole: bytes, value: bytes, dialect: Dialect) -> bytes:
        old = _text(value).split("\\")
        new = [self.uids.get(_text(one.encode("latin-1")), one) for one in old]
        if new == old:
            return whole
        return build_element(
            element.tag, element.vr or "UI", "\\".join(new).encode("latin-1"), dialect=dialect
        )

    def _note_references(self, value: bytes, dialect: Dialect) -> None:
        for start, end, inside in items(value, dialect=dialect):
            told = {
                element.tag: _text(value[element.value_at : element.value_end])
                for element in walk(value, start, end=end, dialect=inside)
                if element.tag in (_OF_CLASS, _OF_INSTANCE)
            }
            of_class, instance = told.get(_OF_CLASS, ""), told.get(_OF_INSTANCE, "")
            # studies and procedure steps are referred to in the same way, and are no files
            if instance and (not of_class.startswith(_STANDARD) or of_class.startswith(_STORAGE)):
                self.found.add(instance)


def _begins_with_item(value: bytes, dialect: Dialect) -> bool:
    return len(value) >= 8 and tag_at(value, 0, dialect.order) == ITEM
