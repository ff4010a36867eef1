"""The samples of one TIFF page: unpacked from its strips or tiles, and packed again the same way."""

from __future__ import annotations

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from medlocker.formats._deflate import deflate, inflate
from medlocker.formats.tiff._layout import COLOR_MAP, LZW, NONE, PACKBITS, Layout, Segment, Tags
from medlocker.images import Pixels

_SIGN = np.uint16(1 << 15)
"""Flipped in signed samples, as they are held: it keeps their order."""


def read_palette(layout: Layout) -> NDArray[np.uint8] | None:
    """Return (256, 3) uint8, or None for a page without one."""
    if layout.kind != "palette":
        return None
    colors = np.array(Tags(layout.directory, layout.order).all(COLOR_MAP), np.uint16).reshape(3, 256).T
    # some writers fill only the lower half of the 16 bits
    return np.ascontiguousarray(colors >> 8 if colors.max() > 255 else colors, dtype=np.uint8)


def read_samples(data: bytes, layout: Layout) -> Pixels:
    """Return a page's samples, (H, W, C) in the machine's byte order.

    Raises:
        Exception: Of many kinds, if it is damaged.
    """
    pixels = np.empty((layout.height, layout.width, layout.samples), layout.dtype.newbyteorder("="))
    for segment in layout.segments:
        _read_segment(data, segment, layout, pixels)
    return pixels ^ _SIGN if layout.signed else pixels


def _read_segment(data: bytes, segment: Segment, layout: Layout, pixels: Pixels) -> None:
    channels = 1 if layout.planar else layout.samples
    size = segment.rows * segment.columns * channels * layout.bits // 8
    raw: bytes | bytearray = data[segment.at : segment.at + segment.size]
    if len(raw) != segment.size:
        raise ValueError("expected the strip inside the file")
    if layout.compression == LZW:
        raw = imagecodecs.lzw_decode(raw, out=size)
    elif layout.compression == PACKBITS:
        raw = imagecodecs.packbits_decode(raw, out=size)
    elif layout.compression != NONE:
        raw = inflate(bytes(raw), size, exact=False)  # a last strip may go on below the picture
    part = np.frombuffer(raw, layout.dtype, size * 8 // layout.bits)
    part = part.reshape(segment.rows, segment.columns, channels)
    if layout.predictor == 2:
        part = np.add.accumulate(part.astype(pixels.dtype), axis=1, dtype=pixels.dtype)
    window = _window(pixels, segment, layout)
    window[...] = part[: window.shape[0], : window.shape[1]]


def _window(pixels: Pixels, segment: Segment, layout: Layout) -> Pixels:
    planes = slice(segment.plane, segment.plane + 1) if layout.planar else slice(None)
    rows = slice(segment.top, segment.top + segment.rows)
    return pixels[rows, segment.left : segment.left + segment.columns, planes]


def pack_segment(segment: Segment, layout: Layout, pixels: Pixels) -> bytes:
    """Return the bytes of one strip or tile as the file packs them.

    Args:
        segment: Which one.
        layout: Of the page.
        pixels: All samples of the page, (H, W, C).
    """
    part = _window(pixels, segment, layout)
    if layout.signed:
        part = part ^ _SIGN
    below, beside = segment.rows - part.shape[0], segment.columns - part.shape[1]
    if below or beside:
        part = np.pad(part, ((0, below), (0, beside), (0, 0)), mode="edge")
    if layout.predictor == 2:
        differences = part.copy()
        np.subtract(part[:, 1:], part[:, :-1], out=differences[:, 1:])
        part = differences
    raw = np.ascontiguousarray(part, dtype=layout.dtype).tobytes()
    if layout.compression == LZW:
        return bytes(imagecodecs.lzw_encode(raw))
    if layout.compression == PACKBITS:
        row_bytes = len(raw) // segment.rows  # the standard: runs never cross a row
        rows = (raw[i : i + row_bytes] for i in range(0, len(raw), row_bytes))
        return b"".join(bytes(imagecodecs.packbits_encode(row)) for row in rows)
    return raw if layout.compression == NONE else deflate(raw)
