"""TIFF 6.0, one page of 8 or 16 bits: tags, strips or tiles, compression and byte order stay as they were."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from medlocker.images._deflate import deflate, inflate
from medlocker.images._exif import directory_facts, without_previews
from medlocker.images._ifd import (
    ORDERS,
    Directory,
    Entry,
    build_directory,
    canonical,
    long_entry,
    parse_directory,
    parse_header,
)
from medlocker.images._image import Image, Kind, Pixels
from medlocker.images._limits import NO_LIMITS, Limits, check_size, refuse, translated

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIPS, _SAMPLES, _STRIP_ROWS, _STRIP_SIZES, _PLANAR, _PREDICTOR = 273, 277, 278, 279, 284, 317
_COLOR_MAP, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES = 320, 322, 323, 324, 325
_SUB_IFDS, _EXTRA_SAMPLES, _SAMPLE_FORMAT, _XMP, _ICC, _EXIF = 330, 338, 339, 700, 34675, 34665
_X_RESOLUTION, _RESOLUTION_UNIT = 282, 296

_PLACES = frozenset((_STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES))
_LAYOUT = frozenset((_COMPRESSION, _STRIP_ROWS, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT))
_NOT_PASSED_ON = frozenset((288, 289, 347, 512, 513, 514, 515, 517, 519, 520, 521, 34377, 37724))
"""Free space, JPEG tables and previews, an editor's layers (Photoshop): these show the unmarked picture."""

_NONE, _LZW, _DEFLATE, _DEFLATE_OLD, _PACKBITS = 1, 5, 8, 32946, 32773
_COMPRESSIONS = {
    _NONE: "none",
    _LZW: "lzw",
    _DEFLATE: "deflate",
    _DEFLATE_OLD: "deflate",
    _PACKBITS: "packbits",
}
_COLORS = {5: "CMYK", 6: "YCbCr", 8: "CIELab"}
_MAX_SEGMENTS = 1 << 20
_MAX_FILE_BYTES = (1 << 32) - 1


@dataclass(frozen=True)
class _Segment:
    """One strip or tile: which samples it holds and where its bytes are in the source."""

    top: int
    left: int
    rows: int
    columns: int
    plane: int
    at: int
    size: int


@dataclass(frozen=True)
class _Layout:
    """A TIFF file taken apart."""

    order: str
    directory: Directory
    width: int
    height: int
    bits: int
    samples: int
    kind: Kind
    photometric: int
    compression: int
    predictor: int
    planar: bool
    tiled: bool
    segments: tuple[_Segment, ...]

    @property
    def dtype(self) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
        """The samples' type as stored."""
        return np.dtype(np.uint8) if self.bits == 8 else np.dtype(np.uint16).newbyteorder(self.order)  # type: ignore[arg-type]

    def kept(self) -> tuple[Entry, ...]:
        """Return the entries that are passed on, without the places of the pixels."""
        entries = (e for e in self.directory.entries if e.tag not in _PLACES | _NOT_PASSED_ON)
        return without_previews(tuple(entries))


class _Tags:
    """Integer values of a directory, with the defaults of the standard."""

    def __init__(self, directory: Directory, order: str) -> None:
        self._directory = directory
        self._order = order

    def all(self, tag: int) -> tuple[int, ...]:
        entry = self._directory.find(tag)
        return () if entry is None else entry.numbers(self._order)

    def one(self, tag: int, default: int) -> int:
        return next(iter(self.all(tag)), default)


def _parse_tiff(data: bytes, name: str, limits: Limits) -> _Layout:
    with translated(name, what="TIFF"):
        order, at = parse_header(data)
        directory = parse_directory(data, at, order=order)
        tags = _Tags(directory, order)
        width, height = tags.one(_WIDTH, 0), tags.one(_HEIGHT, 0)
        check_size(name, width=width, height=height, limits=limits)
        if directory.next_at or directory.find(_SUB_IFDS) is not None:
            refuse(name, "expected a single picture, got a TIFF of several pages")
        samples = tags.one(_SAMPLES, 1)
        bits = _check_samples(tags, samples, name)
        photometric = tags.one(_PHOTOMETRIC, 1)
        kind = _kind(photometric, samples, bits, name)
        compression, predictor = tags.one(_COMPRESSION, 1), tags.one(_PREDICTOR, 1)
        if compression not in _COMPRESSIONS:
            refuse(
                name, f"expected TIFF compression none, LZW, deflate or PackBits, got number {compression}"
            )
        if compression in (_NONE, _PACKBITS):
            predictor = 1  # the standard defines it for LZW and deflate only
        if predictor not in (1, 2) or tags.one(_FILL_ORDER, 1) != 1:
            refuse(
                name,
                "expected a TIFF with plain or horizontally differenced samples, most significant bit first",
            )
        planar = tags.one(_PLANAR, 1) == 2 and samples > 1
        tiled = directory.find(_TILES) is not None
        segments = _segments(tags, tiled, width, height, samples if planar else 1, name, limits)
    return _Layout(
        order, directory, width, height, bits, samples, kind, photometric,
        compression, predictor, planar, tiled, segments,
    )  # fmt: skip


def _check_samples(tags: _Tags, samples: int, name: str) -> int:
    bits = set(tags.all(_BITS)) or {1}
    formats = set(tags.all(_SAMPLE_FORMAT)) or {1}
    if formats != {1}:
        words = {2: "signed", 3: "floating-point"}
        found = " and ".join(words.get(number, "other") for number in sorted(formats))
        refuse(name, f"expected unsigned samples, got {found} ones")
    if len(bits) != 1 or not bits <= {8, 16}:
        found = ", ".join(str(number) for number in sorted(bits)[:4])
        refuse(name, f"expected 8 or 16 bits, got {found}")
    if samples > 4:
        refuse(name, f"expected at most 4 channels, got {samples}")
    return bits.pop()


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
    tags: _Tags, tiled: bool, width: int, height: int, planes: int, name: str, limits: Limits
) -> tuple[_Segment, ...]:
    if tiled:
        columns, rows = tags.one(_TILE_WIDTH, 0), tags.one(_TILE_HEIGHT, 0)
    else:
        columns, rows = width, min(height, tags.one(_STRIP_ROWS, height))
    check_size(name, width=columns, height=rows, limits=limits)
    across, down = -(-width // columns), -(-height // rows)
    count = across * down * planes
    places, sizes = tags.all(_TILES if tiled else _STRIPS), tags.all(_TILE_SIZES if tiled else _STRIP_SIZES)
    if not count == len(places) == len(sizes):
        refuse(name, f"expected {count} strips or tiles, got {len(places)} places and {len(sizes)} sizes")
    if count > _MAX_SEGMENTS or across * columns * down * rows > max(limits.max_pixels, 4 * width * height):
        refuse(name, "expected strips or tiles in proportion to the picture")
    return tuple(
        _Segment(
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


def read_tiff(data: bytes, name: str, *, limits: Limits) -> Image:
    """Read a TIFF file.

    Raises:
        UnsupportedImageError: If it is damaged, of several pages, of another pixel type than unsigned 8 or
            16 bits, or beyond the limits.
    """
    if data[2:4] in (b"+\0", b"\0+"):
        refuse(name, "expected a classic TIFF, got a BigTIFF")
    layout = _parse_tiff(data, name, limits)
    with translated(name, what="TIFF"):
        palette = _palette(layout)
        pixels = np.empty((layout.height, layout.width, layout.samples), layout.dtype.newbyteorder("="))
        for segment in layout.segments:
            _read_segment(data, segment, layout, pixels)
    if palette is not None and pixels.max() >= len(palette):
        refuse(name, "expected palette indices below the palette's size")
    return Image(
        pixels, layout.kind, "tiff", data, palette, _facts(layout), white_is_zero=layout.photometric == 0
    )


def _palette(layout: _Layout) -> NDArray[np.uint8] | None:
    if layout.kind != "palette":
        return None
    colors = np.array(_Tags(layout.directory, layout.order).all(_COLOR_MAP), np.uint16).reshape(3, 256).T
    # some writers fill only the lower half of the 16 bits
    return np.ascontiguousarray(colors >> 8 if colors.max() > 255 else colors, dtype=np.uint8)


def _read_segment(data: bytes, segment: _Segment, layout: _Layout, pixels: Pixels) -> None:
    channels = 1 if layout.planar else layout.samples
    size = segment.rows * segment.columns * channels * layout.bits // 8
    raw: bytes | bytearray = data[segment.at : segment.at + segment.size]
    if len(raw) != segment.size:
        raise ValueError("expected the strip inside the file")
    if layout.compression == _LZW:
        raw = imagecodecs.lzw_decode(raw, out=size)
    elif layout.compression == _PACKBITS:
        raw = imagecodecs.packbits_decode(raw, out=size)
    elif layout.compression != _NONE:
        raw = inflate(bytes(raw), size, exact=False)  # a last strip may go on below the picture
    part = np.frombuffer(raw, layout.dtype, size * 8 // layout.bits)
    part = part.reshape(segment.rows, segment.columns, channels)
    if layout.predictor == 2:
        part = np.add.accumulate(part.astype(pixels.dtype), axis=1, dtype=pixels.dtype)
    window = _window(pixels, segment, layout)
    window[...] = part[: window.shape[0], : window.shape[1]]


def _window(pixels: Pixels, segment: _Segment, layout: _Layout) -> Pixels:
    planes = slice(segment.plane, segment.plane + 1) if layout.planar else slice(None)
    rows = slice(segment.top, segment.top + segment.rows)
    return pixels[rows, segment.left : segment.left + segment.columns, planes]


def _facts(layout: _Layout) -> dict[str, str | int | bool]:
    find = layout.directory.find
    facts: dict[str, str | int | bool] = {
        "bit depth": layout.bits,
        "kind": layout.kind,
        "compression": _COMPRESSIONS[layout.compression],
        "byte order": "little" if layout.order == "<" else "big",
        "planar": layout.planar,
        "tiled": layout.tiled,
        "white is zero": layout.photometric == 0,
        "icc": find(_ICC) is not None,
        "exif": False,
        "gps": False,
    }
    facts |= directory_facts(layout.directory, order=layout.order)
    resolution, unit = find(_X_RESOLUTION), _Tags(layout.directory, layout.order).one(_RESOLUTION_UNIT, 2)
    if resolution is not None and len(resolution.data) == 8 and unit in (2, 3):
        above, below = struct.unpack(f"{layout.order}II", resolution.data)
        if below:
            facts["dpi"] = f"{above / below * (1 if unit == 2 else 2.54):.5g}"
    return facts


def encode_tiff(image: Image, pixels: Pixels) -> bytes:
    """Write pixels with the tags, layout, compression and byte order of the image's source.

    Args:
        image: Read from TIFF.
        pixels: Checked to be of the image's shape and type.
    """
    layout = _parse_tiff(image.source, "image", NO_LIMITS)
    pieces: list[bytes] = []
    places: list[int] = []
    sizes: list[int] = []
    at = 8
    for segment in layout.segments:
        piece = _written_segment(segment, layout, pixels)
        places.append(at)
        sizes.append(len(piece))
        pieces.append(piece + b"\0" * (len(piece) % 2))
        at += len(pieces[-1])
    entries = (
        *layout.kept(),
        long_entry(_TILES if layout.tiled else _STRIPS, places, order=layout.order),
        long_entry(_TILE_SIZES if layout.tiled else _STRIP_SIZES, sizes, order=layout.order),
    )
    directory = build_directory(entries, at, order=layout.order)
    if at + len(directory) > _MAX_FILE_BYTES:
        refuse("image", "expected a TIFF below 4 GiB")
    mark = next(mark for mark, order in ORDERS.items() if order == layout.order)
    return b"".join((mark, struct.pack(f"{layout.order}HI", 42, at), *pieces, directory))


def _written_segment(segment: _Segment, layout: _Layout, pixels: Pixels) -> bytes:
    part = _window(pixels, segment, layout)
    below, beside = segment.rows - part.shape[0], segment.columns - part.shape[1]
    if below or beside:
        part = np.pad(part, ((0, below), (0, beside), (0, 0)), mode="edge")
    if layout.predictor == 2:
        differences = part.copy()
        np.subtract(part[:, 1:], part[:, :-1], out=differences[:, 1:])
        part = differences
    raw = np.ascontiguousarray(part, dtype=layout.dtype).tobytes()
    if layout.compression == _LZW:
        return bytes(imagecodecs.lzw_encode(raw))
    if layout.compression == _PACKBITS:
        row_bytes = len(raw) // segment.rows  # the standard: runs never cross a row
        rows = (raw[i : i + row_bytes] for i in range(0, len(raw), row_bytes))
        return b"".join(bytes(imagecodecs.packbits_encode(row)) for row in rows)
    return raw if layout.compression == _NONE else deflate(raw)


def metadata_tiff(image: Image) -> Iterator[bytes]:
    """Yield what is kept of an image's source besides its pixels and their layout."""
    layout = _parse_tiff(image.source, "image", NO_LIMITS)
    yield b"tiff " + layout.order.encode("ascii")
    yield from canonical(entry for entry in layout.kept() if entry.tag not in _LAYOUT)
