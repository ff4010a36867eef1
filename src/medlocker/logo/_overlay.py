"""A texture found by a search, added to the logo's own colours: coarse, bounded, part of the parameter list.

The cells are about as large as a model's pixels, so a quarter-side logo needs a few kilobytes. Between the
cells' centres the texture is bilinear, in integers.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import InputError

MAX_CELLS = 128
_LARGEST_TEXT = 96 * 1024
_MEMORY = 9
"""Of zlib: more symbols to one table."""


def pack_overlay(cells: NDArray[np.int8]) -> str:
    """Write (rows, cols, 3) int8 grey levels, -127 to 127, as base64 of deflate of two sizes and the cells.

    Raises:
        InputError: If a side is not 1 to 128 or a value is -128.
    """
    rows, cols, channels = cells.shape
    if not (1 <= rows <= MAX_CELLS and 1 <= cols <= MAX_CELLS and channels == 3) or (cells == -128).any():
        raise InputError(f"overlay: expected at most {MAX_CELLS} x {MAX_CELLS} x 3 levels of -127 to 127")
    raw = bytes((rows, cols)) + np.ascontiguousarray(cells, np.int8).tobytes()
    # cells are signs of a noisy gradient and zeros beside the logo: looking for more than runs takes
    # thirty times as long, of every candidate of a search, and makes the text longer
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, _MEMORY, zlib.Z_RLE)
    return base64.b64encode(packer.compress(raw) + packer.flush()).decode("ascii")


@lru_cache(maxsize=64)
def unpack_overlay(text: str) -> NDArray[np.int8]:
    """Read what :func:`pack_overlay` wrote; do not write into the result.

    Raises:
        InputError: If it is damaged or too large.
    """
    if len(text) > _LARGEST_TEXT:
        raise InputError(f"overlay: expected at most {_LARGEST_TEXT} characters, got {len(text)}")
    most = 2 + MAX_CELLS * MAX_CELLS * 3
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(base64.b64decode(text, validate=True), most + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise InputError("overlay: expected base64 of deflate") from error
    if len(raw) < 2 or not unpacker.eof or unpacker.unused_data:
        raise InputError("overlay: expected whole deflate data")
    rows, cols = raw[0], raw[1]
    if not (1 <= rows <= MAX_CELLS and 1 <= cols <= MAX_CELLS) or len(raw) != 2 + rows * cols * 3:
        raise InputError("overlay: expected two sizes and that many levels")
    cells = np.frombuffer(raw, np.int8, offset=2).reshape(rows, cols, 3)
    if (cells == -128).any():
        raise InputError("overlay: expected levels of -127 to 127")
    return cells


def spread_overlay(cells: NDArray[np.int8], height: int, width: int) -> NDArray[np.int64]:
    """Return (height, width, 3) grey levels: bilinear between cell centres, constant outside."""
    top, fy = _positions(height, cells.shape[0])
    left, fx = _positions(width, cells.shape[1])
    wide = cells.astype(np.int64)
    below, right = np.minimum(top + 1, len(wide) - 1), np.minimum(left + 1, wide.shape[1] - 1)
    fx, fy = fx[None, :, None], fy[:, None, None]
    across = wide[:, left] * (256 - fx) + wide[:, right] * fx
    return np.asarray((across[top] * (256 - fy) + across[below] * fy + 32768) // 65536)


def _positions(pixels: int, cells: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for every pixel the cell before its centre, and the way to the next in 1/256."""
    centres = (2 * np.arange(pixels, dtype=np.int64) + 1) * cells * 128 // pixels - 128
    return np.divmod(np.clip(centres, 0, (cells - 1) * 256), 256)


def overlay_matrix(pixels: int, cells: int, *, step: int) -> NDArray[np.float32]:
    """Return :func:`spread_overlay` along one axis, averaged over blocks, as (ceil(pixels / step), cells)."""
    before, way = _positions(pixels, cells)
    weights = np.zeros((pixels, cells), np.float32)
    every = np.arange(pixels)
    weights[every, before] += (256 - way).astype(np.float32) / 256
    weights[every, np.minimum(before + 1, cells - 1)] += way.astype(np.float32) / 256
    starts = np.arange(0, pixels, step)
    sums = np.add.reduceat(weights, starts, axis=0)
    return np.asarray(sums / np.minimum(step, pixels - starts)[:, None], dtype=np.float32)
