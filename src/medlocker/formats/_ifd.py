"""Directories of tags, as TIFF files and EXIF blocks hold them (TIFF 6.0 section 2, EXIF 2.3 section 4.6)."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from medlocker.formats._glance import Content

ORDERS: Mapping[bytes, str] = {b"II": "<", b"MM": ">"}
EXIF_IFD, GPS_IFD, INTEROP_IFD = 34665, 34853, 40965
CHILDREN = (EXIF_IFD, GPS_IFD, INTEROP_IFD)
"""Tags whose value is the place of another directory."""

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_BIG_SIZES = {**_SIZES, 16: 8, 17: 8, 18: 8}
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_LONG, _LONG8 = 4, 16
_MAX_ENTRIES = 4096
_MAX_DEPTH = 4
_ENTRY_BYTES = 8
"""Of a classic entry without the four bytes that hold a short value."""


class DirectoryError(ValueError):
    """A directory is damaged or lies outside the file."""


@dataclass(frozen=True)
class Entry:
    """One tag.

    Args:
        tag: Its number.
        type: TIFF field type, 1 to 13, in BigTIFF also 16 to 18.
        count: How many values.
        data: The values' bytes in the file's order.
        child: The directory that the value points to, for the tags of :data:`CHILDREN`.
    """

    tag: int
    type: int
    count: int
    data: bytes
    child: tuple[Entry, ...] | None = None

    def numbers(self, order: str) -> tuple[int, ...]:
        """Return unsigned integer values.

        Raises:
            DirectoryError: If the values are of another type.
        """
        if self.type not in _CODES:
            raise DirectoryError("expected unsigned integers")
        return struct.unpack(f"{order}{self.count}{_CODES[self.type]}", self.data)


@dataclass(frozen=True)
class Directory:
    """Entries by tag, in file order, and where the next directory is (0 for none)."""

    entries: tuple[Entry, ...]
    next_at: int

    def find(self, tag: int) -> Entry | None:
        """Return the entry of a tag, or None."""
        return next((entry for entry in self.entries if entry.tag == tag), None)


def parse_header(block: Content) -> tuple[str, int]:
    """Return byte order (``<`` or ``>``) and the place of the first directory.

    Raises:
        DirectoryError: If the block does not begin like a classic TIFF file.
    """
    order = ORDERS.get(bytes(block[:2]))
    if order is None or len(block) < 8 or struct.unpack_from(f"{order}H", block, 2)[0] != 42:
        raise DirectoryError("expected a TIFF header")
    return order, struct.unpack_from(f"{order}I", block, 4)[0]


@dataclass(frozen=True)
class _Form:
    """How wide the numbers of a directory are: classic TIFF, or BigTIFF (after the TIFF Technical Note)."""

    count: str
    entry: str
    place: str
    sizes: Mapping[int, int]
    long: int

    @property
    def inline(self) -> int:
        """Bytes of a value that stands in its entry."""
        return struct.calcsize(f"<{self.place}")

    @property
    def head_size(self) -> int:
        return struct.calcsize(f"<{self.count}")

    @property
    def entry_size(self) -> int:
        return struct.calcsize(f"<{self.entry}") + self.inline


_CLASSIC = _Form("H", "HHI", "I", _SIZES, _LONG)
_BIG = _Form("Q", "HHQ", "Q", _BIG_SIZES, _LONG8)


def parse_directory(block: Content, at: int, *, order: str, depth: int = 0, big: bool = False) -> Directory:
    """Read the directory at offset ``at`` with the directories below it.

    Args:
        block: The file.
        at: Offset.
        order: ``<`` or ``>``.
        depth: How many directories are above it.
        big: Whether it is one of a BigTIFF.

    Raises:
        DirectoryError: If anything lies outside the block, a tag comes twice, or directories nest too deep.
    """
    form = _BIG if big else _CLASSIC
    if depth >= _MAX_DEPTH or at + form.head_size > len(block):
        raise DirectoryError("expected a directory inside the file")
    (count,) = struct.unpack_from(f"{order}{form.count}", block, at)
    start = at + form.head_size
    end = start + form.entry_size * count
    if not 0 < count <= _MAX_ENTRIES or end + form.inline > len(block):
        raise DirectoryError("expected a directory inside the file")
    entries = tuple(
        _parse_entry(block, start + form.entry_size * i, order, depth, form) for i in range(count)
    )
    if len({entry.tag for entry in entries}) != count:
        raise DirectoryError("expected each tag once")
    if weight(entries) > len(block):
        raise DirectoryError("expected values that do not share their bytes")
    return Directory(entries, struct.unpack_from(f"{order}{form.place}", block, end)[0])


def next_place(block: Content, at: int, *, order: str, big: bool) -> int:
    """Return the place of the directory that follows the one at offset ``at``, 0 for none.

    Raises:
        DirectoryError: If it lies outside the block.
    """
    form = _BIG if big else _CLASSIC
    if at + form.head_size > len(block):
        raise DirectoryError("expected a directory inside the file")
    (count,) = struct.unpack_from(f"{order}{form.count}", block, at)
    end = at + form.head_size + form.entry_size * count
    if not 0 < count <= _MAX_ENTRIES or end + form.inline > len(block):
        raise DirectoryError("expected a directory inside the file")
    return int(struct.unpack_from(f"{order}{form.place}", block, end)[0])


def _parse_entry(block: Content, at: int, order: str, depth: int, form: _Form) -> Entry:
    tag, kind, count = struct.unpack_from(f"{order}{form.entry}", block, at)
    if kind not in form.sizes:
        raise DirectoryError("expected a known field type")
    size = form.sizes[kind] * count
    start = at + form.entry_size - form.inline
    if size > form.inline:
        (start,) = struct.unpack_from(f"{order}{form.place}", block, start)
    if start + size > len(block):
        raise DirectoryError("expected values inside the file")
    entry = Entry(tag, kind, count, bytes(block[start : start + size]))
    if tag not in CHILDREN:
        return entry
    places = entry.numbers(order)
    if len(places) != 1:
        raise DirectoryError("expected one directory")
    below = parse_directory(block, places[0], order=order, depth=depth + 1, big=form is _BIG)
    return Entry(tag, kind, count, b"", below.entries)


def child_place(data: bytes | bytearray, at: int, index: int, *, order: str, big: bool = False) -> int:
    """Return the place of the directory that an entry of the one at offset ``at`` points to."""
    form = _BIG if big else _CLASSIC
    (kind,) = struct.unpack_from(f"{order}H", data, at + form.head_size + form.entry_size * index + 2)
    value = at + form.head_size + form.entry_size * (index + 1) - form.inline
    return int(struct.unpack_from(f"{order}{_CODES[kind]}", data, value)[0])


def drop_entries(
    data: bytearray, at: int, indices: Collection[int], *, order: str, big: bool = False
) -> None:
    """Take entries out of the table of the directory at offset ``at``; their values stay where they are."""
    form = _BIG if big else _CLASSIC
    (count,) = struct.unpack_from(f"{order}{form.count}", data, at)
    start, size = at + form.head_size, form.entry_size
    end = start + size * count
    kept = b"".join(data[start + size * i : start + size * (i + 1)] for i in range(count) if i not in indices)
    table = kept + data[end : end + form.inline]
    struct.pack_into(f"{order}{form.count}", data, at, count - len(indices))
    data[start : end + form.inline] = table.ljust(size * count + form.inline, b"\0")


def directory_with(entry: Entry, data: bytes, at: int, *, order: str, big: bool = False) -> bytes:
    """Return the directory at offset ``at`` with one entry more, to be put at the end of the file.

    All other entries, and the place of the next directory, are as they stand there.

    Args:
        entry: With values that do not fit into it, and a tag that the directory has not.
        data: The file, of even length.
        at: Offset.
        order: ``<`` or ``>``.
        big: Whether it is one of a BigTIFF.
    """
    form = _BIG if big else _CLASSIC
    (count,) = struct.unpack_from(f"{order}{form.count}", data, at)
    start, size = at + form.head_size, form.entry_size
    end = start + size * count
    rows = [data[start + size * i : start + size * (i + 1)] for i in range(count)]
    values_at = len(data) + form.head_size + size * (count + 1) + form.inline
    row = struct.pack(f"{order}{form.entry}", entry.tag, entry.type, entry.count)
    rows.append(row + struct.pack(f"{order}{form.place}", values_at))
    rows.sort(key=lambda row: int(struct.unpack_from(f"{order}H", row)[0]))
    head = struct.pack(f"{order}{form.count}", count + 1)
    return b"".join((head, *rows, data[end : end + form.inline], entry.data))


def weight(entries: Iterable[Entry]) -> int:
    """Return how many bytes of a file entries take, with the directories below them, if they share none."""
    return sum(_ENTRY_BYTES + max(len(entry.data), 4) + weight(entry.child or ()) for entry in entries)


def long_entry(tag: int, values: Iterable[int], *, order: str, big: bool = False) -> Entry:
    """Return an entry of 32-bit unsigned values, of 64-bit ones in a BigTIFF."""
    numbers = tuple(values)
    form = _BIG if big else _CLASSIC
    return Entry(tag, form.long, len(numbers), struct.pack(f"{order}{len(numbers)}{form.place}", *numbers))


def build_directory(entries: Iterable[Entry], at: int, *, order: str, big: bool = False) -> bytes:
    """Lay out a directory, its values and the directories below it, to be put at offset ``at``.

    Returns:
        Bytes of even length; the directory stands first and has no successor.
    """
    form = _BIG if big else _CLASSIC
    listed = sorted(entries, key=lambda entry: entry.tag)
    table = [struct.pack(f"{order}{form.count}", len(listed))]
    extra = bytearray()
    extra_at = at + form.head_size + form.entry_size * len(listed) + form.inline
    for entry in listed:
        place = extra_at + len(extra)
        if entry.child is not None:
            extra += build_directory(entry.child, place, order=order, big=big)
            table.append(struct.pack(f"{order}{form.entry}{form.place}", entry.tag, form.long, 1, place))
            continue
        head = struct.pack(f"{order}{form.entry}", entry.tag, entry.type, entry.count)
        if len(entry.data) <= form.inline:
            table.append(head + entry.data.ljust(form.inline, b"\0"))
            continue
        extra += entry.data + b"\0" * (len(entry.data) % 2)
        table.append(head + struct.pack(f"{order}{form.place}", place))
    return b"".join((*table, bytes(form.inline), bytes(extra)))


def successor_place(directory: bytes, at: int, *, order: str, big: bool = False) -> int:
    """Return the offset at which a directory, laid out at ``at``, has the place of the next one."""
    form = _BIG if big else _CLASSIC
    (count,) = struct.unpack_from(f"{order}{form.count}", directory)
    return at + form.head_size + form.entry_size * int(count)


def canonical(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Yield bytes that tell entries apart wherever their values are stored."""
    for entry in sorted(entries, key=lambda entry: entry.tag):
        if entry.child is not None:
            yield struct.pack("<HHQ", entry.tag, 0, len(entry.child))
            yield from canonical(entry.child)
        else:
            yield struct.pack("<HHQ", entry.tag, entry.type, entry.count) + entry.data
