"""Gzip files (RFC 1952): opened up to an announced size, written the same in every run."""

from __future__ import annotations

from collections.abc import Iterable

import imagecodecs
from isal import isal_zlib

from medlocker.formats._glance import Content

_GZIP = 31
"""Window bits that mean gzip's own header and checksum."""

_LEVEL = 1

_PIECE = 1 << 18
_MAX_SMALL, _SMALL = 256, 4096
"""So many members may hold less than so many bytes on average: each takes a decoder of its own."""


class GzipError(ValueError):
    """The file is damaged, cut, or holds more than announced."""


def gunzip_start(data: Content, size: int) -> bytes:
    """Return at most the first ``size`` bytes.

    Raises:
        Exception: If already they are damaged.
    """
    return bytes(isal_zlib.decompressobj(_GZIP).decompress(data[:_PIECE], size))


def gunzip(data: bytes, *, size: int, most: int) -> bytearray:
    """Return all that a gzip file holds, in one member or several.

    Args:
        data: The file; zeros after the last member are allowed.
        size: Announced length.
        most: How many bytes there may be.

    Raises:
        GzipError: If there are fewer bytes than announced, or more than allowed.
        Exception: Of other kinds, if it is damaged.
    """
    out = bytearray()
    at = members = 0
    while at < len(data):
        members += 1
        if members > _MAX_SMALL + len(out) // _SMALL:
            raise GzipError("expected members that hold something")
        if at and data[at] == 0 and not data[at:].strip(b"\0"):
            break
        machine = isal_zlib.decompressobj(_GZIP)
        while not machine.eof:
            piece = data[at : at + _PIECE]
            if not piece:
                raise GzipError("expected a whole gzip file")
            out += machine.decompress(piece, most - len(out) + 1)
            if len(out) > most:
                raise GzipError("expected no more than was announced")
            at += len(piece)
        at -= len(machine.unused_data)
    if len(out) < size:
        raise GzipError("expected as much as was announced")
    return out


def gzipped(pieces: Iterable[bytes | bytearray | memoryview]) -> bytes:
    """Return a gzip file of one member without name and time."""
    return bytes(imagecodecs.gzip_encode(b"".join(pieces), _LEVEL))
