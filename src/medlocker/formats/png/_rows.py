"""PNG's row filters and interlacing (ISO/IEC 15948 clauses 8 and 9), whole images at a time.

Writing tries four filters on a sample of rows and uses the best for the whole image: of real photographs
the result is smaller than OpenCV's own choice, in a fifth of the time. Reading undoes uniform filters with
numpy; mixed ones are handed, uncompressed, to a compiled decoder.
"""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from medlocker.formats._deflate import deflate, inflate, store, stored_size

Bytes2D = NDArray[np.uint8]

NONE, SUB, UP, AVERAGE = 0, 1, 2, 3
_SAMPLE_BANDS = 6
_BAND_ROWS = 12
_UP_MAY_COST = 1.1
"""UP is the filter that is undone fastest, and every file is read again after it was written."""
_PIECE_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 20  # fits the second-level cache

_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row, first column, row step, column step of each pass."""

_LAYOUTS = {1: (8, 0), 2: (8, 4), 3: (8, 2), 4: (8, 6), 6: (16, 2), 8: (16, 6)}
"""Bit depth and colour type whose pixels have so many bytes."""


def compress_rows(rows: Bytes2D, *, step: int) -> list[bytes]:
    """Filter and compress an image.

    Args:
        rows: (H, N) uint8, big-endian samples of each row.
        step: Bytes of one pixel.

    Returns:
        Pieces of one zlib stream.
    """
    kind = _best_filter(rows, step)
    block = max(1, _BLOCK_BYTES // rows.shape[1])
    filtered = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    for top in range(0, len(rows), block):
        part = slice(top, min(top + block, len(rows)))
        filtered[part] = _filtered(rows, part, step, kind)
    stream = deflate(filtered.data)
    return [stream[at : at + _PIECE_BYTES] for at in range(0, len(stream), _PIECE_BYTES)]


def _best_filter(rows: Bytes2D, step: int) -> int:
    tops = np.unique(np.linspace(0, max(0, len(rows) - _BAND_ROWS), _SAMPLE_BANDS).astype(int))
    sizes = {}
    for kind in (UP, AVERAGE, SUB, NONE):
        bands = [_filtered(rows, slice(top, min(top + _BAND_ROWS, len(rows))), step, kind) for top in tops]
        sizes[kind] = len(deflate(np.concatenate(bands).data))
    best = min(sizes, key=lambda kind: sizes[kind])
    return UP if sizes[UP] <= _UP_MAY_COST * sizes[best] else best


def _filtered(rows: Bytes2D, part: slice, step: int, kind: int) -> Bytes2D:
    here = rows[part]
    out = np.empty((len(here), here.shape[1] + 1), np.uint8)
    out[:, 0] = kind
    target = out[:, 1:]
    if kind == NONE:
        target[...] = here
        return out
    if kind == SUB:
        target[:, :step] = here[:, :step]
        np.subtract(here[:, step:], here[:, :-step], out=target[:, step:])
        return out
    above = np.empty_like(here)
    above[1:] = here[:-1]
    above[0] = rows[part.start - 1] if part.start else 0
    if kind == UP:
        np.subtract(here, above, out=target)
        return out
    np.subtract(here[:, :step], above[:, :step] >> 1, out=target[:, :step])
    left, above = here[:, :-step], above[:, step:]
    mean = (left & above) + ((left ^ above) >> 1)  # floor of the mean without leaving 8 bits
    np.subtract(here[:, step:], mean, out=target[:, step:])
    return out


def decompress_rows(stream: bytes, *, width: int, height: int, bits: int, interlaced: bool) -> Bytes2D:
    """Decompress and unfilter an image.

    Args:
        stream: The zlib stream.
        width: Pixels.
        height: Rows.
        bits: Bits of one pixel, all channels.
        interlaced: Adam7.

    Returns:
        (H, N) uint8, the big-endian or packed bytes of each row.

    Raises:
        Exception: Of many kinds, if the stream is damaged or not of the announced size.
    """
    if interlaced:
        return _deinterlaced(stream, width, height, bits)
    length = (width * bits + 7) // 8
    return _unfiltered(inflate(stream, height * (length + 1)), height, length, max(1, bits // 8))


def _unfiltered(raw: bytes | memoryview, height: int, length: int, step: int) -> Bytes2D:
    table = np.frombuffer(raw, np.uint8).reshape(height, length + 1)
    kinds, rows = table[:, 0], table[:, 1:]
    if (kinds == NONE).all():
        return np.ascontiguousarray(rows)
    if (kinds == UP).all():
        whole = np.empty_like(rows)
        whole[0] = rows[0]
        for row in range(1, height):  # ten times as fast as accumulating down the columns
            np.add(whole[row - 1], rows[row], out=whole[row])
        return whole
    depth, color = _LAYOUTS[step]
    header = struct.pack(">IIBBBBB", length // step, height, depth, color, 0, 0, 0)
    pixels = imagecodecs.png_decode(_uncompressed(header, table.reshape(-1)))
    if depth == 16:
        pixels = pixels.byteswap() if np.little_endian else pixels
    return np.ascontiguousarray(pixels).view(np.uint8).reshape(height, length)


def _uncompressed(header: bytes, raw: NDArray[np.uint8]) -> bytearray:
    """Return a PNG file of filtered rows, made in one piece since the rows may be large."""
    size = stored_size(len(raw))
    start = SIGNATURE + chunk(b"IHDR", header) + struct.pack(">I4s", size, b"IDAT")
    end = chunk(b"IEND", b"")
    whole = bytearray(len(start) + size + 4 + len(end))
    picture = np.frombuffer(whole, np.uint8)
    picture[: len(start)] = np.frombuffer(start, np.uint8)
    stream = picture[len(start) : len(start) + size]
    store(raw, stream)
    check = isal_zlib.crc32(stream.data, isal_zlib.crc32(b"IDAT"))
    picture[len(start) + size :] = np.frombuffer(struct.pack(">I", check) + end, np.uint8)
    return whole


def _deinterlaced(stream: bytes, width: int, height: int, bits: int) -> Bytes2D:
    passes = []
    for top, left, down, right in _ADAM7:
        columns, lines = -(-(width - left) // right), -(-(height - top) // down)
        if columns > 0 and lines > 0:
            passes.append((top, left, down, right, columns, lines, (columns * bits + 7) // 8))
    raw = memoryview(inflate(stream, sum(lines * (length + 1) for *_, lines, length in passes)))
    step = max(1, bits // 8)
    pixels = np.empty((height, width, step), np.uint8)  # below 8 bits: one byte a pixel until packed again
    start = 0
    for top, left, down, right, columns, lines, length in passes:
        end = start + lines * (length + 1)
        rows = _unfiltered(raw[start:end], lines, length, step)
        if bits < 8:
            rows = unpacked(rows, columns, bits)
        pixels[top::down, left::right] = rows.reshape(lines, columns, step)
        start = end
    return packed(pixels[..., 0], bits) if bits < 8 else pixels.reshape(height, width * step)


def unpacked(rows: Bytes2D, width: int, bits: int) -> Bytes2D:
    """Return (H, width) samples of packed rows; ``bits`` is 1, 2 or 4, leftmost pixel in the high bits."""
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    samples = (rows[:, :, None] >> shifts) & np.uint8((1 << bits) - 1)
    return np.ascontiguousarray(samples.reshape(len(rows), -1)[:, :width])


def packed(samples: Bytes2D, bits: int) -> Bytes2D:
    """Return the packed rows of (H, W) samples; the inverse of :func:`unpacked`."""
    per_byte = 8 // bits
    padded = np.pad(samples, ((0, 0), (0, -samples.shape[1] % per_byte)))
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    return np.asarray(
        np.bitwise_or.reduce(padded.reshape(len(samples), -1, per_byte) << shifts, axis=2), dtype=np.uint8
    )


SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return one PNG chunk: length, type, data, CRC."""
    return b"".join(
        (
            struct.pack(">I", len(data)),
            kind,
            data,
            struct.pack(">I", isal_zlib.crc32(data, isal_zlib.crc32(kind))),
        )
    )
