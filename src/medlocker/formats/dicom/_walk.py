"""Where the elements of a DICOM data set lie in its bytes (PS3.5, section 7), and how one is written.

Marking replaces a handful of elements and restoring puts the old bytes back, so that everything else keeps
its very bytes: private elements, odd lengths, sequences of undefined length.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from medlocker.images import DamagedError

Buffer: TypeAlias = bytes | bytearray | memoryview

_LONG = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UC", "UN", "UR", "UT", "SV", "UV"))
_TEXTS = ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UI")
_SHORT = frozenset((*_TEXTS, "AT", "FL", "FD", "SL", "SS", "UL", "US"))
_UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_MAX_DEPTH = 64
_ENDING = 8


@dataclass(frozen=True)
class Dialect:
    """How a transfer syntax writes elements.

    Args:
        explicit: Value representations are written.
        order: Byte order, ``"<"`` or ``">"``.
    """

    explicit: bool
    order: Literal["<", ">"]


EXPLICIT = Dialect(True, "<")
IMPLICIT = Dialect(False, "<")


@dataclass(frozen=True, slots=True)
class Element:
    """One element's place.

    Args:
        tag: Group and element number, 32 bits.
        vr: Value representation, empty where it is not written.
        at: Its first byte.
        value_at: First byte of its value.
        end: One past its last byte, a delimiter included.
        undefined: Whether its length is undefined, so that a delimiter of 8 bytes ends it.
    """

    tag: int
    vr: str
    at: int
    value_at: int
    end: int
    undefined: bool

    @property
    def value_end(self) -> int:
        """One past the last byte of its value."""
        return self.end - _ENDING if self.undefined else self.end


class DamagedElementError(DamagedError):
    """An element that cannot be followed."""

    def __init__(self, fact: str, tag: int, at: int) -> None:
        super().__init__(f"{fact} in element ({tag >> 16:04x},{tag & 0xFFFF:04x}) at byte {at}")


def vr_at(data: Buffer, at: int) -> str:
    """Return the value representation that an explicit element at ``at`` names, or nothing."""
    text = bytes(data[at + 4 : at + 6]).decode("latin-1")
    return text if text in _LONG or text in _SHORT else ""


def tag_at(data: Buffer, at: int, order: str) -> int:
    """Return the tag of the element at ``at``."""
    group, number = struct.unpack_from(f"{order}HH", data, at)
    return int(group) << 16 | int(number)


def read_element(data: Buffer, at: int, *, end: int, dialect: Dialect, depth: int = 0) -> Element:
    """Measure the element at ``at``.

    Raises:
        ValueError: If it is cut, nested too deeply, or of no known value representation.
        struct.error: If even its first bytes are missing.
    """
    order = dialect.order
    tag = tag_at(data, at, order)
    vr = vr_at(data, at) if dialect.explicit else ""
    if not dialect.explicit:
        value_at, (length,) = at + 8, struct.unpack_from(f"{order}I", data, at + 4)
    elif vr in _LONG:
        value_at, (length,) = at + 12, struct.unpack_from(f"{order}I", data, at + 8)
    elif vr:
        value_at, (length,) = at + 8, struct.unpack_from(f"{order}H", data, at + 6)
    else:
        raise DamagedElementError("expected a known value representation", tag, at)
    if length == _UNDEFINED and value_at - at != 8 + 4 * dialect.explicit:
        raise DamagedElementError("expected a defined length", tag, at)
    if length == _UNDEFINED:
        inside = IMPLICIT if vr == "UN" else dialect
        stop = _skip_items(data, value_at, end=end, dialect=inside, depth=depth)
        return Element(tag, vr, at, value_at, stop, True)
    if value_at + length > end:
        raise DamagedElementError("expected a whole value", tag, at)
    return Element(tag, vr, at, value_at, value_at + length, False)


def _skip_items(data: Buffer, at: int, *, end: int, dialect: Dialect, depth: int) -> int:
    """Return where a sequence of undefined length ends, its delimiter included."""
    if depth > _MAX_DEPTH:
        raise ValueError("expected less nesting")
    while True:
        tag, (length,) = (
            tag_at(data, at, dialect.order),
            struct.unpack_from(f"{dialect.order}I", data, at + 4),
        )
        at += _ENDING
        if tag == SEQUENCE_END:
            return at
        if tag != ITEM:
            raise DamagedElementError("expected an item", tag, at - _ENDING)
        if length != _UNDEFINED:
            at += length
        else:
            at = _skip_elements(data, at, end=end, dialect=dialect, depth=depth)
        if at > end:
            raise ValueError("expected a whole item")


def _skip_elements(data: Buffer, at: int, *, end: int, dialect: Dialect, depth: int) -> int:
    """Return where an item of undefined length ends, its delimiter included."""
    # what is unknown may be written either way
    inside = Dialect(True, "<") if not dialect.explicit and vr_at(data, at) else dialect
    while tag_at(data, at, dialect.order) != ITEM_END:
        at = read_element(data, at, end=end, dialect=inside, depth=depth + 1).end
    return at + _ENDING


def walk(data: Buffer, at: int, *, end: int, dialect: Dialect) -> Iterator[Element]:
    """Yield the elements of a data set from ``at`` on, those inside sequences left out.

    Raises:
        ValueError: See :func:`read_element`.
        struct.error: If the data end within an element's first bytes.
    """
    while at < end:
        element = read_element(data, at, end=end, dialect=dialect)
        yield element
        at = element.end


def build_element(tag: int, vr: str, value: bytes, *, dialect: Dialect) -> bytes:
    """Return an element of defined length; a value of odd length is padded as the standard says."""
    if len(value) % 2:
        value += b"\0" if vr in ("UI", "OB", "OW", "UN") else b" "
    return element_start(tag, vr, len(value), dialect=dialect) + value


def element_start(tag: int, vr: str, length: int | None, *, dialect: Dialect) -> bytes:
    """Return the bytes before an element's value; a length of None is the undefined one."""
    order, size = dialect.order, _UNDEFINED if length is None else length
    start = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if not dialect.explicit:
        return start + struct.pack(f"{order}I", size)
    if vr in _LONG:
        return start + vr.encode("ascii") + struct.pack(f"{order}HI", 0, size)
    return start + vr.encode("ascii") + struct.pack(f"{order}H", size)


def build_item(content: bytes, *, dialect: Dialect) -> bytes:
    """Return one item of a sequence."""
    return struct.pack(f"{dialect.order}HHI", ITEM >> 16, ITEM & 0xFFFF, len(content)) + content
