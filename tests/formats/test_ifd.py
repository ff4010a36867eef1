from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medlocker.formats._ifd import (
    EXIF_IFD,
    GPS_IFD,
    DirectoryError,
    Entry,
    build_directory,
    canonical,
    parse_directory,
    successor_place,
)

_VALUES = st.binary(max_size=9).map(lambda data: (1, len(data), data))
_FLAT = st.dictionaries(st.integers(1, 30000), _VALUES, min_size=1, max_size=6).map(
    lambda found: tuple(Entry(tag, *value) for tag, value in sorted(found.items()))
)


@given(
    entries=_FLAT,
    below=_FLAT,
    order=st.sampled_from("<>"),
    at=st.integers(0, 40).map(lambda n: 2 * n),
    big=st.booleans(),
)
def test_parses_what_it_builds(
    entries: tuple[Entry, ...], below: tuple[Entry, ...], order: str, at: int, big: bool
) -> None:
    long = 16 if big else 4
    whole = (*entries, Entry(EXIF_IFD, long, 1, b"", below), Entry(GPS_IFD, long, 1, b"", below))
    block = bytes(at) + build_directory(whole, at, order=order, big=big)
    found = parse_directory(block, at, order=order, big=big)
    link = successor_place(block[at:], at, order=order, big=big)
    linked = (
        block[:link] + struct.pack(f"{order}{'Q' if big else 'I'}", 77) + block[link + (8 if big else 4) :]
    )
    assert parse_directory(linked, at, order=order, big=big).next_at == 77
    assert found.entries == whole
    assert found.next_at == 0
    assert b"".join(canonical(found.entries)) == b"".join(canonical(reversed(whole)))
    assert len(block) % 2 == 0


def _block(*entries: tuple[int, int, int, int]) -> bytes:
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + table + bytes(4)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (_block((1, 1, 1, 0), (1, 1, 1, 0)), "expected each tag once"),
        (_block((1, 1, 30, 0), (2, 1, 30, 0)), "expected values that do not share their bytes"),
        (_block((1, 1, 30, 90)), "expected values inside the file"),
        (_block((1, 4, 1 << 30, 0)), "expected values inside the file"),
        (_block((1, 99, 1, 0)), "expected a known field type"),
        (_block((EXIF_IFD, 4, 1, 0)), "expected a directory inside the file"),
        (_block((EXIF_IFD, 2, 1, 0)), "expected unsigned integers"),
        (_block((EXIF_IFD, 4, 2, 0), (1, 1, 1, 0)), "expected one directory"),
        (_block(), "expected a directory inside the file"),
        (b"\5\0", "expected a directory inside the file"),
        (b"", "expected a directory inside the file"),
    ],
)
def test_refuses(block: bytes, message: str) -> None:
    with pytest.raises(DirectoryError, match=f"^{message}$"):
        parse_directory(block, 0, order="<")
