"""One page of a TIFF or BigTIFF file taken apart: which samples are where, and which tags are passed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medlocker.formats._exif import without_previews
from medlocker.formats._glance import Content
from medlocker.formats._ifd import Directory, Entry, parse_directory
from medlocker.images import Kind, Limits, check_size, refuse

STRIPS, STRIP_SIZES, TILES, TILE_SIZES = 273, 279, 324, 325
COLOR_MAP, DESCRIPTION, ICC = 320, 270, 34675
LEAST, MOST, SMALLEST, LARGEST, SHOWN = 280, 281, 340, 341, 65111
"""The last is ours: the least and the greatest sample that the original of a marked picture shows."""

X_RESOLUTION, RESOLUTION_UNIT = 282, 296
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 254, 256, 257, 258, 259, 262, 266
_SAMPLES, _STRIP_ROWS, _PLANAR, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT = 277, 278, 284, 317, 322, 323
_SUB_IFDS, _SAMPLE_FORMAT = 330, 339

_PLACES = frozenset((STRIPS, STRIP_SIZES, TILES, TILE_SIZES))
LAYOUT_TAGS = frozenset((_COMPRESSION, _STRIP_ROWS, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT))
"""Tags that say how samples are packed, not what they are."""

_NOT_PASSED_ON = frozenset((288, 289, 347, 512, 513, 514, 515, 517, 519, 520, 521, 34377, 37724))
"""Free space, JPEG tables and previews, an editor's layers (Photoshop): these show the unmarked picture."""

_SMALLER, _MASK = 1, 4
"""Bits of NewSubfileType: another page in fewer pixels, another page's outline."""

NONE, LZW, DEFLATE, DEFLATE_OLD, PACKBITS = 1, 5, 8, 32946, 32773
COMPRESSIONS: Mapping[int, str] = {
    NONE: "none",
    LZW: "lzw",
    DEFLATE: "deflate",
    DEFLATE_OLD: "deflate",
    PACKBITS: "packbits",
}
_UNREAD: Mapping[int, str] = {
    2: "CCITT run lengths", 3: "CCITT Group 3", 4: "CCITT Group 4", 6: "old-style JPEG", 7: "JPEG",
    9: "JBIG", 10: "JBIG", 32809: "ThunderScan", 33003: "JPEG 2000", 33004: "JPEG 2000",
    33005: "JPEG 2000", 33007: "JPEG", 34661: "JBIG", 34676: "SGILog", 34677: "SGILog24",
    34712: "JPEG 2000", 34887: "LERC", 34892: "lossy JPEG (DNG)", 34925: "LZMA", 34926: "Zstandard",
    34927: "WebP", 34933: "PNG", 34934: "JPEG XR", 50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL",
    52546: "JPEG XL (DNG)",
}  # fmt: skip
_COLORS = {5: "CMYK", 6: "YCbCr", 8: "CIELab"}
_MAX_SEGMENTS = 1 << 20


@dataclass(frozen=True)
class Segment:
    """One strip or tile: which samples it holds and where its bytes are in the source."""

    top: int
    left: int
    rows: int
    columns: int
    plane: int
    at: int
    size: int


@dataclass(frozen=True)
class Layout:
    """A page taken apart."""

    order: str
    big: bool
    directory: Directory
    width: int
    height: int
    bits: int
    signed: bool
    samples: int
    kind: Kind
    photometric: int
    compression: int
    predictor: int
    planar: bool
    tiled: bool
    segments: tuple[Segment, ...]

    @property
    def dtype(self) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
        """The samples' type as stored."""
        return np.dtype(np.uint8) if self.bits == 8 else np.dtype(np.uint16).newbyteorder(self.order)  # type: ignore[arg-type]

    @property
    def frame_bytes(self) -> int:
        """Samples of the page, decoded."""
        return self.width * self.height * self.samples * self.bits // 8

    def kept(self) -> tuple[Entry, ...]:
        """Return the entries that are passed on, without the places of the pixels."""
        entries = (e for e in self.directory.entries if e.tag not in _PLACES | _NOT_PASSED_ON)
        return without_previews(tuple(entries))


class Tags:
    """Integer values of a directory, with the defaults of the standard."""

    def __init__(self, directory: Directory, order: str) -> None:
        self._directory = directory
        self._order = order

    def all(self, tag: int) -> tuple[int, ...]:
        """Return all values, none for a missing tag."""
        entry = self._directory.find(tag)
        return () if entry is None else entry.numbers(self._order)

    def one(self, tag: int, default: int) -> int:
        """Return the first value."""
        return next(iter(self.all(tag)), default)


def parse_page(data: Content, at: int, name: str, *, order: str, big: bool, limits: Limits) -> Layout:
    """Take apart the page whose directory lies at an offset.

    Raises:
        UnsupportedImageError: If its pixels are of a kind that is not read, or beyond the limits.
        Exception: Of many kinds, if it is damaged.
    """
    directory = parse_directory(data, at, order=order, big=big)
    tags = Tags(directory, order)
    width, height = tags.one(_WIDTH, 0), tags.one(_HEIGHT, 0)
    check_size(name, width=width, height=height, limits=limits)
    if directory.find(_SUB_IFDS) is not None or tags.one(_SUBFILE, 0) & (_SMALLER | _MASK):
        refuse(
            name,
            "expected pages in one size only, got a TIFF with smaller versions or outlines of its pages",
            hint="export the pages in full size alone",
        )
    samples = tags.one(_SAMPLES, 1)
    bits, signed = _check_samples(tags, samples, name)
    photometric = tags.one(_PHOTOMETRIC, 1)
    kind = _kind(photometric, samples, bits, name)
    compression, predictor = tags.one(_COMPRESSION, 1), tags.one(_PREDICTOR, 1)
    if compression not in COMPRESSIONS:
        found = _UNREAD.get(compression, f"number {compression}")
        refuse(
            name,
            f"expected TIFF compression none, LZW, deflate or PackBits, got {found}",
            hint="save it again with one of these",
        )
    if compression in (NONE, PACKBITS):
        predictor = 1  # the standard defines it for LZW and deflate only
    if predictor not in (1, 2) or tags.one(_FILL_ORDER, 1) != 1:
        refuse(
            name,
            "expected a TIFF with plain or horizontally differenced samples, most significant bit first",
        )
    planar = tags.one(_PLANAR, 1) == 2 and samples > 1
    tiled = directory.find(TILES) is not None
    segments = _segments(tags, tiled, width, height, samples if planar else 1, name, limits)
    return Layout(
        order, big, directory, width, height, bits, signed, samples, kind, photometric,
        compression, predictor, planar, tiled, segments,
    )  # fmt: skip


def _check_samples(tags: Tags, samples: int, name: str) -> tuple[int, bool]:
    """Return bits, and whether samples are signed."""
    bits = set(tags.all(_BITS)) or {1}
    formats = set(tags.all(_SAMPLE_FORMAT)) or {1}
    if formats != {1} and (formats, bits) != ({2}, {16}):
        words = {1: "unsigned", 2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}
        found = " and ".join(words.get(number, "other") for number in sorted(formats))
        refuse(
            name, f"expected unsigned samples or signed ones of 16 bits, got {found} ones of {_words(bits)}"
        )
    if len(bits) != 1 or not bits <= {8, 16}:
        refuse(name, f"expected 8 or 16 bits, got {_words(bits)}")
    if samples > 4:
        refuse(name, f"expected at most 4 channels, got {samples}")
    return bits.pop(), formats == {2}


def _words(bits: set[int]) -> str:
    return ", ".join(str(number) for number in sorted(bits)[:4])


def _kind(photometric: int, samples: int, bits: int, name: str) -> Kind:
    kinds: dict[tuple[int, int], Kind] = {
        (0, 1): "grey", (1, 1): "grey", (0, 2): "grey-alpha", (1, 2): "grey-alpha",
        (2, 3): "rgb", (2, 4): "rgba", (3, 1): "palette",
    }  # fmt: skip
    kind = kinds.get((photometric, samples))
    if kind is None or (kind == "palette" and bits != 8):
        found = _COLORS.get(photometric, f"colour model {photometric}")
        refuse(
            name, f"expected grey, RGB or 8-bit palette, got {found} with {samples} channels of {bits} bits"
        )
    return kind


def _segments(
    tags: Tags, tiled: bool, width: int, height: int, planes: int, name: str, limits: Limits
) -> tuple[Segment, ...]:
    if tiled:
        columns, rows = tags.one(_TILE_WIDTH, 0), tags.one(_TILE_HEIGHT, 0)
    else:
        columns, rows = width, min(height, tags.one(_STRIP_ROWS, height))
    check_size(name, width=columns, height=rows, limits=limits)
    across, down = -(-width // columns), -(-height // rows)
    count = across * down * planes
    places, sizes = tags.all(TILES if tiled else STRIPS), tags.all(TILE_SIZES if tiled else STRIP_SIZES)
    if not count == len(places) == len(sizes):
        refuse(name, f"expected {count} strips or tiles, got {len(places)} places and {len(sizes)} sizes")
    if count > _MAX_SEGMENTS or across * columns * down * rows > max(limits.max_pixels, 4 * width * height):
        refuse(name, "expected strips or tiles in proportion to the picture")
    return tuple(
        Segment(
            top=(i // across % down) * rows,
            left=(i % across) * columns,
            rows=rows if tiled else min(rows, height - (i // across % down) * rows),
            columns=columns,
            plane=i // (across * down),
            at=places[i],
            size=sizes[i],
        )
        for i in range(count)
    )
