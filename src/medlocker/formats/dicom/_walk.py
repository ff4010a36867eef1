"""Where the elements of a DICOM data set lie in its bytes (PS3.5, section 7), and how one is written.

Marking replaces a handful of elements and restoring puts the old bytes back, so that everything else keeps
its very bytes: private elements, odd lengths, sequences of undefined length.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from medlocker.images import DamagedError

Buffer: TypeAlias = bytes | bytearray | memoryview | mmap.mmap

_LONG = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UC", "UN", "UR", "UT", "SV", "UV"))
_TEXTS = ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UI")
_SHORT = frozenset((*_TEXTS, "AT", "FL", "FD", "SL", "SS", "UL", "US"))
_UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_MAX_DEPTH = 64
_ENDING = 8
_MAX_ELEMENTS = 200_000
"""Of a data set, those inside sequences of undefined length and the items included."""


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


def _allowance() -> Iterator[int]:
    return iter(range(_MAX_ELEMENTS))


def _spend(left: Iterator[int]) -> None:
    if next(left, None) is None:
        raise DamagedError(f"expected at most {_MAX_ELEMENTS} elements")


def read_element(
    data: Buffer, at: int, *, end: int, dialect: Dialect, depth: int = 0, left: Iterator[int] | None = None
) -> Element:
    """Measure the element at ``at``.

    Args:
        data: What holds it.
        at: Where it begins.
        end: Where all ends that may belong to it.
        dialect: How it is written.
        depth: How many sequences it is in.
        left: Yields once for every element that may still follow; default as many as a data set may have.

    Raises:
        ValueError: If it is cut, nested too deeply, of no known value representation, or of too many parts.
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
        left = _allowance() if left is None else left
        stop = _skip_items(data, value_at, end=end, dialect=inside, depth=depth, left=left)
        return Element(tag, vr, at, value_at, stop, True)
    if value_at + length > end:
        raise DamagedElementError("expected a whole value", tag, at)
    return Element(tag, vr, at, value_at, value_at + length, False)


def _skip_items(data: Buffer, at: int, *, end: int, dialect: Dialect, depth: int, left: Iterator[int]) -> int:
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
        _spend(left)
        if length != _UNDEFINED:
            at += length
        else:
            at = _skip_elements(data, at, end=end, dialect=dialect, depth=depth, left=left)
        if at > end:
            raise ValueError("expected a whole item")


def items(value: Buffer, *, dialect: Dialect) -> Iterator[tuple[int, int, Dialect]]:
    """Yield where the content of each item of a sequence begins and ends, and how it is written.

    Args:
        value: The sequence's value, without the delimiter at its end.
        dialect: How the sequence is written.

    Raises:
        ValueError: If it is no sequence.
        struct.error: If it is cut.
    """
    at = 0
    while at < len(value):
        tag, (length,) = (
            tag_at(value, at, dialect.order),
            struct.unpack_from(f"{dialect.order}I", value, at + 4),
        )
        if tag != ITEM:
            raise DamagedElementError("expected an item", tag, at)
        at += _ENDING
        inside = Dialect(True, "<") if not dialect.explicit and vr_at(value, at) else dialect
        if length == _UNDEFINED:
            end = _skip_elements(value, at, end=len(value), dialect=dialect, depth=0, left=_allowance())
            yield at, end - _ENDING, inside
        else:
            end = at + length
            if end > len(value):
                raise ValueError("expected a whole item")
            yield at, end, inside
        at = end


def _skip_elements(
    data: Buffer, at: int, *, end: int, dialect: Dialect, depth: int, left: Iterator[int]
) -> int:
    """Return where an item of undefined length ends, its delimiter included."""
    # what is unknown may be written either way
    inside = Dialect(True, "<") if not dialect.explicit and vr_at(data, at) else dialect
    while tag_at(data, at, dialect.order) != ITEM_END:
        _spend(left)
        at = read_element(data, at, end=end, dialect=inside, depth=depth + 1, left=left).end
    return at + _ENDING


def walk(data: Buffer, at: int, *, end: int, dialect: Dialect) -> Iterator[Element]:
    """Yield the elements of a data set from ``at`` on, those inside sequences left out.

    Raises:
        ValueError: See :func:`read_element`.
        struct.error: If the data end within an element's first bytes.
    """
    left = _allowance()
    while at < end:
        _spend(left)
        element = read_element(data, at, end=end, dialect=dialect, left=left)
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
