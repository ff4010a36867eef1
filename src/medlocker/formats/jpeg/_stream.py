"""A JPEG file taken apart into its segments (ITU-T T.81, annex B), and what its frame header says."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from medlocker.images import NO_LIMITS, Limits, check_size, refuse

SOI, EOI, SOS, DQT, DHT, DRI, COM = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xDD, 0xFE
APP0, APP1, APP2, APP11, APP14, APP15 = 0xE0, 0xE1, 0xE2, 0xEB, 0xEE, 0xEF
PROGRESSIVE = 0xC2
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset((0x01, *range(0xD0, 0xD8)))
_NEXT_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_MOST_BETWEEN = 64
"""Stray bytes between two segments; more could be a picture that nobody would mark."""
_MAX_SCANS = 200
_MAX_PASSES = 20
"""Scans of a picture as large as the limits allow; a smaller one may have more: each visits all blocks."""


@dataclass(frozen=True)
class Segment:
    """One marker segment.

    Args:
        marker: Its second byte.
        content: What follows the length.
        coded: For a scan, the entropy-coded data behind it.
    """

    marker: int
    content: bytes
    coded: bytes = b""

    @property
    def is_metadata(self) -> bool:
        """Whether it is an application's segment or a comment."""
        return APP0 <= self.marker <= APP15 or self.marker == COM

    def to_bytes(self) -> bytes:
        """Return it as it stands in a file."""
        return struct.pack(">BBH", 0xFF, self.marker, len(self.content) + 2) + self.content + self.coded


@dataclass(frozen=True)
class Component:
    """One colour component of a frame.

    Args:
        id: As scans name it.
        across: Horizontal sampling factor, 1 to 4.
        down: Vertical one.
        table: Number of its quantisation table.
    """

    id: int
    across: int
    down: int
    table: int


@dataclass(frozen=True)
class Frame:
    """A frame header.

    Args:
        marker: Kind of coding.
        width: Pixels.
        height: Pixels.
        components: 1 or 3.
    """

    marker: int
    width: int
    height: int
    components: tuple[Component, ...]

    @property
    def progressive(self) -> bool:
        """Whether the coefficients come in several scans of growing detail."""
        return self.marker == PROGRESSIVE

    @property
    def most(self) -> tuple[int, int]:
        """Largest horizontal and vertical sampling factors."""
        return max(c.across for c in self.components), max(c.down for c in self.components)

    @property
    def unit(self) -> tuple[int, int]:
        """(width, height) in pixels of the grid on which the blocks of all components line up."""
        across, down = self.most
        return 8 * across, 8 * down

    def blocks(self, component: Component) -> tuple[int, int]:
        """Return the rows and columns of a component's blocks (T.81, A.2.4), padding not counted."""
        width, height = self.unit
        return -(-self.height * component.down // height), -(-self.width * component.across // width)


@dataclass(frozen=True)
class Stream:
    """A whole file.

    Args:
        frame: Its only frame.
        segments: In order, without start and end of the image.
        trailer: What follows the end of the image.
    """

    frame: Frame
    segments: tuple[Segment, ...]
    trailer: bytes

    def bare(self) -> bytes:
        """Return a file of what decides the pixels alone: no profile or preview can trouble a decoder."""
        kept = (s for s in self.segments if not s.is_metadata or s.marker in (APP0, APP14))
        return join_segments(kept)

    def without_last(self, count: int) -> Stream:
        """Return the same without the last bytes of the last scan's coded data."""
        at = max(i for i, segment in enumerate(self.segments) if segment.marker == SOS)
        scan = self.segments[at]
        shorter = replace(scan, coded=scan.coded[: len(scan.coded) - count])
        return replace(self, segments=(*self.segments[:at], shorter, *self.segments[at + 1 :]))


def join_segments(segments: Iterable[Segment]) -> bytes:
    """Return a file of segments, with start and end of the image around them."""
    return b"".join((bytes((0xFF, SOI)), *(s.to_bytes() for s in segments), bytes((0xFF, EOI))))


def parse_stream(data: bytes, name: str = "image", limits: Limits = NO_LIMITS) -> Stream:
    """Take a file apart.

    Raises:
        UnsupportedImageError: If it is cut, damaged, of several frames, CMYK, lossless, arithmetic, not of 8
            bits, or beyond the limits.
    """
    frame: Frame | None = None
    segments: list[Segment] = []
    scans, end = 0, len(data)
    for segment, after in each_segment(data, name):
        end = after
        if segment is None:
            break
        if segment.marker in _FRAMES:
            if frame is not None:
                refuse(name, "expected a single picture, got a JPEG of several frames")
            frame = _frame(segment, name, limits)
        elif segment.marker == SOS:
            scans += 1
            if scans > _MAX_SCANS:
                refuse(name, f"expected a JPEG of at most {_MAX_SCANS} scans")
        segments.append(segment)
    if frame is None or not scans:
        refuse(name, "expected a JPEG with pixels")
    if scans * frame.width * frame.height > _MAX_PASSES * limits.max_pixels:
        refuse(name, f"expected a JPEG of fewer scans for its size, got {scans}")
    if not _may_be_whole(frame, segments):
        refuse(name, "expected a whole JPEG image, got a cut one")
    return Stream(frame, tuple(segments), data[end:])


def _may_be_whole(frame: Frame, segments: Sequence[Segment]) -> bool:
    """Tell whether there are as many bits as the shortest Huffman codes need.

    A decoder would make room for all pixels, fill them with grey, and only then tell that the file is cut.
    """
    bits = 8 * sum(len(segment.coded) for segment in segments)
    blocks = max(rows * columns for rows, columns in map(frame.blocks, frame.components))
    return bits >= (blocks if frame.progressive else 2 * blocks)


def frame_of(data: bytes) -> Frame:
    """Return the frame header of a file that has been read before, without looking behind it."""
    for segment, _ in each_segment(data, "image"):
        if segment is not None and segment.marker in _FRAMES:
            return _frame(segment, "image", NO_LIMITS)
    refuse("image", "expected a JPEG with pixels")


def each_segment(data: bytes, name: str) -> Iterator[tuple[Segment | None, int]]:
    """Yield each segment and the place after it; None for the end of the image."""
    at = 2
    while True:
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        if at + 2 > len(data):
            refuse(name, "expected a whole JPEG image, got a cut one")
        if data[at] != 0xFF:  # decoders look for the next marker
            next_at = data.find(b"\xff", at, at + _MOST_BETWEEN + 1)
            if next_at < 0:
                refuse(name, "expected a whole JPEG image, got a damaged one")
            at = next_at
            continue
        marker = data[at + 1]
        if marker in (0x00, SOI):
            refuse(name, "expected a whole JPEG image, got a damaged one")
        at += 2
        if marker == EOI:
            yield None, at
            return
        if marker in _ALONE:
            continue
        size = int.from_bytes(data[at : at + 2], "big")
        if size < 2 or at + size > len(data):
            refuse(name, "expected a whole JPEG image, got a cut one")
        content = data[at + 2 : at + size]
        at += size
        coded = b""
        if marker == SOS:
            following = _NEXT_MARKER.search(data, at)
            if following is None:
                refuse(name, "expected a whole JPEG image, got a cut one")
            coded = data[at : following.start()]
            at = following.start()
        yield Segment(marker, content, coded), at


def _frame(segment: Segment, name: str, limits: Limits) -> Frame:
    content = segment.content
    if segment.marker not in (0xC0, 0xC1, PROGRESSIVE):
        refuse(name, "expected a baseline or progressive JPEG, got a lossless or arithmetic one")
    if len(content) < 6:
        refuse(name, "expected a whole JPEG image, got a damaged one")
    precision, height, width, count = struct.unpack_from(">BHHB", content)
    if precision != 8:
        refuse(name, f"expected a JPEG of 8 bits, got {precision}")
    check_size(name, width=width, height=height, limits=limits)
    if count not in (1, 3):
        refuse(name, f"expected a grey or colour JPEG, got {count} components", hint="convert CMYK to RGB")
    if len(content) != 6 + 3 * count:
        refuse(name, "expected a whole JPEG image, got a damaged one")
    components = tuple(
        Component(content[at], content[at + 1] >> 4, content[at + 1] & 15, content[at + 2])
        for at in range(6, len(content), 3)
    )
    if not all(1 <= c.across <= 4 and 1 <= c.down <= 4 and c.table < 4 for c in components):
        refuse(name, "expected a whole JPEG image, got a damaged one")
    return Frame(segment.marker, width, height, components)
