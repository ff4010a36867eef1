"""Small pictures of every kind, written by other libraries than the ones under test."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image as Pillow

SIGNATURE = b"\x89PNG\r\n\x1a\n"
Array = NDArray[Any]


def noise(shape: tuple[int, ...], dtype: str = "u1", *, top: int | None = None, seed: int = 7) -> Array:
    """Random samples, (H, W, C)."""
    bound = np.iinfo(dtype).max + 1 if top is None else top
    return np.random.default_rng(seed).integers(0, bound, shape).astype(dtype)


def pillow(pixels: Array, kind: str, **options: Any) -> bytes:
    """A file written by Pillow."""
    squeezed = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    stream = io.BytesIO()
    Pillow.fromarray(squeezed).save(stream, kind, **options)
    return stream.getvalue()


def pillow_palette(indices: Array, colors: Array, kind: str, **options: Any) -> bytes:
    """A palette file written by Pillow."""
    picture = Pillow.fromarray(indices[..., 0]).convert("P")
    picture.frombytes(indices.tobytes())
    picture.putpalette(colors.tobytes())
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def tiff(pixels: Array, **options: Any) -> bytes:
    """A file written by tifffile."""
    stream = io.BytesIO()
    defaults = {1: "minisblack", 2: "minisblack", 3: "rgb", 4: "rgb"}
    options.setdefault("photometric", defaults[pixels.shape[2]])
    if pixels.shape[2] in (2, 4):
        options.setdefault("extrasamples", ["unassalpha"])
    samples = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    if options.get("planarconfig") == "separate":
        samples = np.moveaxis(pixels, 2, 0)
    options.setdefault("metadata", None)
    tifffile.imwrite(stream, samples, **options)
    return stream.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk, made here with the standard library."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_file(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of given chunks; IEND is added."""
    return SIGNATURE + b"".join(png_chunk(*one) for one in chunks) + png_chunk(b"IEND", b"")


def png_header(
    width: int, height: int, *, depth: int = 8, color: int = 2, interlace: int = 0
) -> tuple[bytes, bytes]:
    """IHDR."""
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a PNG, without IEND."""
    found, at = [], 8
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        found.append((kind, data[at + 8 : at + 8 + size]))
        at += size + 12
    return found[:-1]


_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def _packed_row(row: Array, depth: int) -> bytes:
    if depth == 16:
        return row.astype(">u2").tobytes()
    if depth == 8:
        return row.astype("u1").tobytes()
    bits = "".join(f"{int(value):0{depth}b}" for value in row.reshape(-1))
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


def _paeth(a: int, b: int, c: int) -> int:
    """The predictor as the standard's text gives it."""
    p = a + b - c
    return min(((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c)))[2]


def _filtered_rows(pixels: Array, depth: int, kinds: Callable[[int], int]) -> bytes:
    """Filter row by row with plain loops, straight from the standard."""
    step = max(1, pixels.shape[2] * depth // 8)
    above = b""
    out = bytearray()
    for number, row in enumerate(pixels):
        line, kind = _packed_row(row, depth), kinds(number)
        above = above or bytes(len(line))
        out.append(kind)
        for i, value in enumerate(line):
            a, c = (line[i - step], above[i - step]) if i >= step else (0, 0)
            b = above[i]
            out.append((value - (0, a, b, (a + b) // 2, _paeth(a, b, c))[kind]) % 256)
        above = line
    return bytes(out)


def loop_png(
    pixels: Array,
    *,
    depth: int,
    color: int | None = None,
    palette: Array | None = None,
    interlaced: bool = False,
    kinds: Callable[[int], int] = lambda row: row % 5,
    extra: tuple[tuple[bytes, bytes], ...] = (),
) -> bytes:
    """A PNG written slowly from the standard's text: every filter, depth and Adam7."""
    height, width, channels = pixels.shape
    color = _COLOR_TYPES[channels] if color is None else color
    if interlaced:
        passes = [pixels[top::down, left::right] for top, left, down, right in _ADAM7]
        raw = b"".join(_filtered_rows(part, depth, kinds) for part in passes if part.size)
    else:
        raw = _filtered_rows(pixels, depth, kinds)
    table = () if palette is None else ((b"PLTE", palette.tobytes()),)
    header = png_header(width, height, depth=depth, color=color, interlace=int(interlaced))
    return png_file(header, *extra, *table, (b"IDAT", zlib.compress(raw)))


def exif_block(*, thumbnail: bytes = b"", gps: bool = True, order: str = "<") -> bytes:
    """An EXIF block with orientation 6, a maker, a place, and a thumbnail in a second directory."""

    def directory(at: int, entries: list[tuple[int, int, int, bytes]], following: int) -> bytes:
        table = b"".join(
            struct.pack(f"{order}HHI", tag, kind, count) + value.ljust(4, b"\0")
            for tag, kind, count, value in entries
        )
        return struct.pack(f"{order}H", len(entries)) + table + struct.pack(f"{order}I", following)

    def long(value: int) -> bytes:
        return struct.pack(f"{order}I", value)

    first_at, first_size = 8, 2 + 3 * 12 + 4 if gps else 2 + 2 * 12 + 4
    gps_at = first_at + first_size
    second_at = gps_at + (2 + 12 + 4 if gps else 0)
    picture_at = second_at + 2 + 2 * 12 + 4
    entries = [(271, 2, 4, b"Cam\0"), (274, 3, 1, struct.pack(f"{order}H", 6))]
    if gps:
        entries.append((34853, 4, 1, long(gps_at)))
    block = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, first_at)
    block += directory(first_at, entries, second_at if thumbnail else 0)
    if gps:
        block += directory(gps_at, [(1, 2, 2, b"N\0")], 0)
    if thumbnail:
        block += (
            directory(second_at, [(513, 4, 1, long(picture_at)), (514, 4, 1, long(len(thumbnail)))], 0)
            + thumbnail
        )
    return block
