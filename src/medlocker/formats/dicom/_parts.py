"""A DICOM file in three parts: what comes before the pixels, the pixels, and what comes after them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from medlocker.errors import NoPixelsError
from medlocker.formats._glance import Content
from medlocker.formats.dicom._walk import (
    EXPLICIT,
    IMPLICIT,
    Dialect,
    Element,
    element_start,
    read_element,
    tag_at,
    vr_at,
    walk,
)
from medlocker.images import Limits, refuse

PIXELS = 0x7FE00010
SYNTAX, SOP_CLASS = 0x00020010, 0x00080016
_FLOATS = (0x7FE00008, 0x7FE00009)
_ROWS = 0x00280010
PREAMBLE = 128
MAGIC = b"DICM"
IMPLICIT_LITTLE, EXPLICIT_LITTLE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
DEFLATED, EXPLICIT_BIG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
NATIVE = frozenset((IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED, EXPLICIT_BIG))
_BLANK_BYTES = 1 << 26
"""A deflated data set may grow to this, or to 64 times its size: more is a bomb."""

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_NO_IMAGES = (
    ("1.2.840.10008.1.3.10", "a directory of files"),
    (_STORAGE + "104.", "an encapsulated document"),
    (_STORAGE + "88.", "a structured report"),
    (_STORAGE + "11.", "a presentation state"),
    (_STORAGE + "66.", "a segmentation, a registration or raw data"),
    (_STORAGE + "9.", "a waveform"),
    (_STORAGE + "481.2", "a radiotherapy dose"),
    (_STORAGE + "481.3", "a radiotherapy structure set"),
    (_STORAGE + "481.5", "a radiotherapy plan"),
)
"""SOP classes that hold no picture to be marked, even where they hold pixel data."""


@dataclass(frozen=True, eq=False)
class Parts:
    """A DICOM file taken apart.

    Args:
        head: All before the element Pixel Data: preamble, meta information, data set (inflated).
        tail: All behind it.
        meta_end: Where the data set begins in ``head``.
        syntax: UID of the transfer syntax.
        dialect: How the data set's elements are written.
        pixel_vr: Value representation of Pixel Data, empty where not written.
        payload: Value of Pixel Data; of undefined length the items without the delimiter.
        elements: Those of ``head`` by tag, positions in it.
        ends: Those of ``tail``, positions in it; nothing from where it stops being a data set.
    """

    head: bytes
    tail: bytes
    meta_end: int
    syntax: str
    dialect: Dialect
    pixel_vr: str
    payload: memoryview = field(repr=False)
    elements: Mapping[int, Element] = field(repr=False)
    ends: Mapping[int, Element] = field(repr=False)

    @property
    def encapsulated(self) -> bool:
        """Whether frames are compressed one by one."""
        return self.syntax not in NATIVE

    def value(self, tag: int) -> bytes:
        """Return the value of an element before the pixels as bytes, empty if it is missing."""
        element = self.elements.get(tag)
        return b"" if element is None else self.head[element.value_at : element.value_end]

    def text(self, tag: int) -> str:
        """Return a value as text without padding."""
        return self.value(tag).decode("latin-1").strip(" \0")

    def number(self, tag: int, default: int) -> int:
        """Return an unsigned 16-bit value."""
        value = self.value(tag)
        if len(value) < 2:
            return default
        return int(struct.unpack_from(f"{self.dialect.order}H", value)[0])

    def start_of_pixels(self, length: int | None) -> bytes:
        """Return the bytes of Pixel Data before its value."""
        return element_start(PIXELS, self.pixel_vr, length, dialect=self.dialect)


def looks_like_dicom(data: Content) -> bool:
    """Tell whether a file is DICOM: the magic number, or without preamble a first element that fits.

    Without preamble it must begin with an element of group 2 or 8 that is followed by one of a greater tag.
    """
    if data[PREAMBLE : PREAMBLE + len(MAGIC)] == MAGIC:
        return True
    try:
        dialect = _sniffed(data, 0)
        first = read_element(data, 0, end=len(data), dialect=dialect)
        second = read_element(data, first.end, end=len(data), dialect=dialect)
    except (ValueError, struct.error):
        return False
    return first.tag < second.tag and first.tag >> 16 in (2, 8) and second.tag >> 16 in (2, 8)


def _sniffed(data: Content | memoryview, at: int) -> Dialect:
    """Tell from its first element how a data set is written."""
    little = tag_at(data, at, "<") <= tag_at(data, at, ">")
    return Dialect(bool(vr_at(data, at)), "<" if little else ">")


def parse_parts(data: Content, name: str, *, limits: Limits) -> Parts:
    """Find the parts of a DICOM file.

    Raises:
        NoPixelsError: If it holds no picture.
        UnsupportedImageError: If its transfer syntax compresses more than frames and deflate, or the pixels
            are floats.
        ValueError: If it is damaged.
        struct.error: If it is cut.
    """
    whole, meta, meta_end, syntax, dialect = open_data_set(data)
    elements = dict(meta)
    pixels = None
    for element in walk(whole, meta_end, end=len(whole), dialect=dialect):
        if element.tag == PIXELS:
            pixels = element
            break
        if element.tag in _FLOATS:
            refuse(name, "expected pixels of whole numbers, got floating-point ones")
        elements.setdefault(element.tag, element)
    _check_class(elements, whole, name)
    if pixels is None and _ROWS in elements:
        refuse(name, "expected pixels, got a header alone")
    if pixels is None:
        raise NoPixelsError(f"{name}: a DICOM object without pixels", subject=name)
    if not syntax:
        known = {EXPLICIT: EXPLICIT_LITTLE, IMPLICIT: IMPLICIT_LITTLE}
        syntax = known.get(dialect, EXPLICIT_BIG)
    if pixels.undefined != (syntax not in NATIVE):
        refuse(name, "expected pixel data as the transfer syntax says, got another way")
    tail = bytes(whole[pixels.end :])
    return Parts(
        head=bytes(whole[: pixels.at]),
        tail=tail,
        meta_end=meta_end,
        syntax=syntax,
        dialect=dialect,
        pixel_vr=pixels.vr,
        payload=whole[pixels.value_at : pixels.value_end],
        elements=elements,
        ends=_ends(tail, dialect),
    )


class OpenedDataSet(NamedTuple):
    """A DICOM file before its elements are looked at.

    Args:
        whole: The file, inflated.
        meta: Elements of the meta information by tag.
        meta_end: Where the data set begins.
        syntax: UID of the transfer syntax, empty where not told.
        dialect: How the data set's elements are written.
    """

    whole: memoryview
    meta: Mapping[int, Element]
    meta_end: int
    syntax: str
    dialect: Dialect


def open_data_set(data: Content) -> OpenedDataSet:
    """Find where a file's data set begins and how it is written.

    Raises:
        ValueError: If it is damaged.
        struct.error: If it is cut.
    """
    meta, meta_end = read_meta(data)
    written = meta.get(SYNTAX)
    syntax = "" if written is None else _plain(data[written.value_at : written.end])
    whole: memoryview = memoryview(data)
    if syntax == DEFLATED:
        whole = memoryview(data[:meta_end] + _inflated(data[meta_end:]))
    if meta_end == len(whole):
        raise ValueError("expected a data set")
    dialect = _sniffed(whole, meta_end)
    if syntax == EXPLICIT_BIG:
        dialect = Dialect(dialect.explicit, ">")
    elif syntax:
        dialect = EXPLICIT if dialect.explicit else IMPLICIT
    return OpenedDataSet(whole, meta, meta_end, syntax, dialect)


def read_meta(data: Content) -> tuple[dict[int, Element], int]:
    """Return the elements of the meta information and where it ends.

    Raises:
        ValueError: If it is damaged or cut.
        struct.error: Likewise.
    """
    at = PREAMBLE + len(MAGIC) if data[PREAMBLE : PREAMBLE + len(MAGIC)] == MAGIC else 0
    elements: dict[int, Element] = {}
    while data[at : at + 2] == b"\2\0":
        element = read_element(data, at, end=len(data), dialect=EXPLICIT)
        elements[element.tag] = element
        at = element.end
    return elements, at


def with_head(parts: Parts, head: bytes, tail: bytes) -> Parts:
    """Return parts with other bytes before and behind the pixels.

    Raises:
        ValueError: If they are no data set.
        struct.error: If they are cut.
    """
    elements, meta_end = read_meta(head)
    syntax = elements.get(SYNTAX)
    for element in walk(head, meta_end, end=len(head), dialect=parts.dialect):
        elements.setdefault(element.tag, element)
    return replace(
        parts,
        head=head,
        tail=tail,
        meta_end=meta_end,
        syntax=parts.syntax if syntax is None else _plain(head[syntax.value_at : syntax.end]),
        elements=elements,
        ends=_ends(tail, parts.dialect),
    )


def _plain(value: bytes) -> str:
    return value.decode("latin-1").strip(" \0")


def most_inflated(size: int) -> int:
    """Return how many bytes a deflated data set of a size may hold."""
    return max(_BLANK_BYTES, 64 * size)


def _inflated(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = unpacker.decompress(data, most_inflated(len(data)))
    if not unpacker.eof:
        raise ValueError("expected a whole deflated data set of plausible size")
    return plain


def _check_class(elements: Mapping[int, Element], whole: memoryview, name: str) -> None:
    found = elements.get(SOP_CLASS) or elements.get(0x00020002)
    uid = "" if found is None else _plain(bytes(whole[found.value_at : found.value_end]))
    for start, what in _NO_IMAGES:
        if uid == start or (start.endswith(".") and uid.startswith(start)):
            raise NoPixelsError(f"{name}: {what}, not an image", subject=name)


def _ends(tail: bytes, dialect: Dialect) -> dict[int, Element]:
    found: dict[int, Element] = {}
    try:
        for element in walk(tail, 0, end=len(tail), dialect=dialect):
            found.setdefault(element.tag, element)
    except (ValueError, struct.error):
        pass  # padding that some writers append; it is kept as it is
    return found
