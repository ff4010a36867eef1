"""A JPEG as quantised DCT coefficients and what stands around them: read, and written with others.

Everything but the coefficients' coding is kept: application segments, comments, quantisation tables,
sampling, what follows the picture. Huffman tables are made anew, restart intervals are dropped.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import UnsupportedImageError
from medlocker.formats.jpeg._jpeglib import Blocks, decode_coefficients, encode_coefficients, fits
from medlocker.formats.jpeg._stream import (
    APP0,
    APP14,
    DHT,
    DQT,
    DRI,
    SOS,
    Frame,
    Segment,
    Stream,
    join_segments,
    parse_stream,
)
from medlocker.images import refuse

_ZIGZAG = np.array([
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,
    7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31,
    39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
])  # fmt: skip
"""From the order in files to rows and columns (T.81, figure 5)."""
_CODING = (DHT, DRI, SOS)
_NAME = "image"


_MOST_HEADER_BYTES = 1024
"""Of the frame header and the tables: four of 16 bits take 536."""


@dataclass(frozen=True, eq=False)
class JpegStructure:
    """What stands around the coefficients.

    Args:
        frame: Sizes, sampling, kind of coding.
        header: Quantisation tables and frame header, as in the file.
        head: Application segments and comments before the first scan.
        tail: Those behind it.
        trailer: Bytes behind the end of the image.
    """

    frame: Frame
    header: tuple[Segment, ...]
    head: tuple[Segment, ...]
    tail: tuple[Segment, ...]
    trailer: bytes

    @property
    def is_ycbcr(self) -> bool:
        """Whether three components are YCbCr, told as by libjpeg: JFIF, Adobe's word, their names."""
        if len(self.frame.components) != 3:
            return False
        if any(s.marker == APP0 and len(s.content) >= 14 and s.content[:5] == b"JFIF\0" for s in self.head):
            return True
        adobe = [
            s for s in self.head if s.marker == APP14 and len(s.content) >= 12 and s.content[:5] == b"Adobe"
        ]
        if adobe:
            return adobe[-1].content[11] != 0
        return bytes(c.id for c in self.frame.components) != b"RGB"

    def tables(self) -> tuple[NDArray[np.uint16], ...]:
        """Return each component's quantisation table, (64,) row by row.

        Raises:
            UnsupportedImageError: If one is missing, damaged, or has a zero.
        """
        found = dict(table for s in self.header if s.marker == DQT for table in _tables(s.content))
        missing = [c for c in self.frame.components if c.table not in found or not found[c.table].all()]
        if missing:
            refuse(_NAME, "expected a JPEG with quantisation tables")
        return tuple(found[c.table] for c in self.frame.components)

    def pieces(self) -> Iterator[bytes]:
        """Yield all that is kept besides the coefficients; no two files yield the same joined bytes."""
        for segments in (self.header, self.head, self.tail):
            yield struct.pack(">I", len(segments))
            yield from (segment.to_bytes() for segment in segments)
        yield self.trailer


def surroundings(stream: Stream) -> JpegStructure:
    """Return what stands around the coefficients of a file."""
    first = next(i for i, segment in enumerate(stream.segments) if segment.marker == SOS)
    before, behind = stream.segments[:first], stream.segments[first:]
    return JpegStructure(
        frame=stream.frame,
        header=tuple(s for s in stream.segments if not s.is_metadata and s.marker not in _CODING),
        head=tuple(s for s in before if s.is_metadata),
        tail=tuple(s for s in behind if s.is_metadata),
        trailer=stream.trailer,
    )


def read_coefficients(source: bytes) -> tuple[JpegStructure, tuple[Blocks, ...]]:
    """Return what a file holds, without decoding pixels.

    Args:
        source: A file that :func:`medlocker.formats.read_image` has read: damaged ones end the process.

    Raises:
        UnsupportedImageError: If it is legal but cannot be written again with other coefficients.
    """
    stream = parse_stream(source)
    around = surroundings(stream)
    _check(stream, around)
    bare = join_segments(s for s in stream.segments if not s.is_metadata)
    try:
        return around, decode_coefficients(bare, stream.frame)
    except ValueError as error:
        raise UnsupportedImageError(
            f"{_NAME}: expected a JPEG that can be taken apart", subject=_NAME
        ) from error


def write_coefficients(around: JpegStructure, coefficients: Sequence[Blocks]) -> bytes:
    """Return a file with given coefficients, Huffman tables made for them, and everything else as given.

    Raises:
        UnsupportedImageError: If the coefficients do not fit an 8-bit JPEG.
    """
    try:
        coded = parse_stream(encode_coefficients(coefficients, around.frame))
    except ValueError as error:
        raise UnsupportedImageError(
            f"{_NAME}: expected coefficients as an 8-bit JPEG has them", subject=_NAME
        ) from error
    if coded.frame.progressive != around.frame.progressive:
        raise UnsupportedImageError(
            f"{_NAME}: expected to write the kind of JPEG that was read", subject=_NAME
        )
    names = {
        own.id: component.id
        for own, component in zip(coded.frame.components, around.frame.components, strict=True)
    }
    scans = [_renamed(segment, names) for segment in coded.segments if segment.marker in (DHT, SOS)]
    return join_segments((*around.head, *around.header, *scans, *around.tail)) + around.trailer


def _renamed(segment: Segment, names: dict[int, int]) -> Segment:
    """Let a scan call the components as the frame does."""
    if segment.marker != SOS:
        return segment
    content = bytearray(segment.content)
    for at in range(1, 1 + 2 * content[0], 2):
        content[at] = names[content[at]]
    return Segment(SOS, bytes(content), segment.coded)


def _tables(content: bytes) -> Iterator[tuple[int, NDArray[np.uint16]]]:
    at = 0
    while at < len(content):
        wide, number = content[at] >> 4, content[at] & 15
        size = 128 if wide else 64
        if wide > 1 or number > 3 or at + 1 + size > len(content):
            refuse(_NAME, "expected a whole JPEG image, got a damaged one")
        table = np.empty(64, np.uint16)
        table[_ZIGZAG] = np.frombuffer(content, ">u2" if wide else "u1", 64, at + 1)
        yield number, table
        at += 1 + size


def _check(stream: Stream, around: JpegStructure) -> None:
    """Refuse what is legal but would not come out of writing as it went in."""
    frame = stream.frame
    across, down = frame.most
    if not fits(frame) or any(across % c.across or down % c.down for c in frame.components):
        refuse(_NAME, "expected a JPEG with usual sampling factors")
    if len({c.id for c in frame.components}) < len(frame.components):
        refuse(_NAME, "expected a JPEG with different names for its components")
    first = next(i for i, segment in enumerate(stream.segments) if segment.marker == SOS)
    if any(s.marker == DQT for s in stream.segments[first:]):
        refuse(_NAME, "expected a JPEG with its quantisation tables before the first scan")
    around.tables()
    if sum(len(segment.content) for segment in around.header) > _MOST_HEADER_BYTES:
        refuse(_NAME, "expected a JPEG of four quantisation tables, got tables with room for a picture")
    if frame.progressive and not _is_complete(stream):
        # a decoder smooths the picture as long as scans are missing
        refuse(_NAME, "expected a progressive JPEG with all its scans")


def _is_complete(stream: Stream) -> bool:
    """Tell whether the scans give every coefficient to its last bit."""
    missing = {component.id: np.full(64, 99) for component in stream.frame.components}
    for segment in stream.segments:
        if segment.marker != SOS:
            continue
        content = segment.content
        if not content or len(content) != 4 + 2 * content[0]:
            return False
        start, end, low = content[-3], content[-2], content[-1] & 15
        for name in content[1 : 1 + 2 * content[0] : 2]:
            if name in missing:
                missing[name][start : end + 1] = low
    return not any(low.any() for low in missing.values())
