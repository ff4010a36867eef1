"""A veil in the coefficients of a JPEG: only the low frequencies, which are all that a model sees of it.

A veil changes nearly every block. The fine edges of its logos would double the file, and are gone once a
picture is shrunk to a model's input. So only coefficients up to a frequency that depends on the picture's
size are moved, and those that would move by less than half a step stay (docs/RESULTS.md has the sizes).
Restoring takes the original file out of the sealed record, so nothing here needs equal rounding everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.formats.jpeg._blocks import YCBCR, extent
from medlocker.formats.jpeg._jpeglib import Blocks
from medlocker.formats.jpeg._stream import Frame
from medlocker.images import Pixels
from medlocker.logo import ONE, spread_weight
from medlocker.marking import Layer

FINEST = 1200
"""Highest frequency kept, in half periods over the shorter side of the picture."""
_LEAST_CUT, _MOST_CUT = 2, 14
_STRIP_UNITS = 16
_MAX = 1023

Floats = NDArray[np.float32]


def blend_veil_into_blocks(
    blocks: Sequence[Blocks],
    layer: Layer,
    pixels: Pixels,
    *,
    frame: Frame,
    tables: Sequence[NDArray[np.uint16]],
    is_ycbcr: bool,
) -> None:
    """Blend a veil into coefficients, in place; blocks on which it has no weight keep every coefficient.

    Args:
        blocks: Of each component, (rows, columns, 64).
        layer: Of the whole picture; of every ``layer.step``-th row and column.
        pixels: (H, W, C) as decoded.
        frame: Sizes and sampling.
        tables: Each component's quantisation table.
        is_ycbcr: Whether RGB is stored as YCbCr.
    """
    step = layer.step
    cut = min(max(round(FINEST / min(frame.height, frame.width)), _LEAST_CUT), _MOST_CUT)
    frequencies = np.array([k for k in range(64) if k // 8 + k % 8 <= cut])
    lowest = np.where(frequencies == 0, -_MAX - 1, -_MAX)  # the mean of a black block
    transforms = [_transform(frequencies, 8 // step) / table[frequencies] for table in tables]
    unit_height = frame.unit[1]
    rows_px = _STRIP_UNITS * unit_height
    for top in range(0, frame.height, rows_px):  # what is in work fits the processor's cache
        rows = slice(top, min(top + rows_px, frame.height))
        difference = _difference(layer, pixels, rows, step)
        if difference is None:
            continue
        planes = np.asarray(cv2.transform(difference, YCBCR) if is_ycbcr else difference, np.float32)
        for k, (own, component) in enumerate(zip(blocks, frame.components, strict=True)):
            width, height = extent(frame, component)
            place = slice(rows.start // height, -(-rows.stop // height))
            plane = planes[..., k] if planes.ndim == 3 else planes
            samples = _samples(
                plane, own[place].shape[:2], size=(width // step, height // step), side=8 // step
            )
            moved = samples @ transforms[k]
            steps = np.rint(moved).astype(np.int32)
            part = own[place]
            wanted = part[..., frequencies] + steps.reshape(*part.shape[:2], -1)
            part[..., frequencies] = np.clip(wanted, lowest, _MAX)


def _difference(layer: Layer, pixels: Pixels, rows: slice, step: int) -> Floats | None:
    """Return by how much a veil changes some rows of a picture, (h / step, w / step, C)."""
    own = slice(rows.start // step, -(-rows.stop // step))
    weight = layer.weight[own]
    if not weight.any():
        return None
    before = pixels[rows]
    if step > 1:
        height, width = weight.shape
        short = (height * step - before.shape[0], width * step - before.shape[1])
        if any(short):
            before = np.pad(before, ((0, short[0]), (0, short[1]), (0, 0)), mode="edge")
        before = cv2.resize(before, (width, height), interpolation=cv2.INTER_AREA)
        before = before.reshape(height, width, -1)
    difference = layer.color[own].astype(np.float32)
    difference -= before
    share = spread_weight(weight, difference.shape[2], np.float32)
    share *= np.float32(1 / ONE)
    difference *= share
    return difference


def _samples(plane: Floats, shape: tuple[int, int], *, size: tuple[int, int], side: int) -> Floats:
    """Return (blocks, side * side) means of a plane, its last row and column repeated beyond its edges.

    Args:
        plane: (h, w).
        shape: Rows and columns of blocks.
        size: Width and height of a block in the plane.
        side: Samples along each side of a block.
    """
    rows, cols = shape
    short = (rows * size[1] - plane.shape[0], cols * size[0] - plane.shape[1])
    if any(short):
        plane = np.pad(plane, ((0, short[0]), (0, short[1])), mode="edge")
    if size != (side, side):
        small = cv2.resize(
            np.ascontiguousarray(plane), (cols * side, rows * side), interpolation=cv2.INTER_AREA
        )
        plane = np.asarray(small, np.float32)
    blocks = plane.reshape(rows, side, cols, side).swapaxes(1, 2)
    return np.asarray(blocks.reshape(rows * cols, side * side), np.float32)


def _transform(frequencies: NDArray[np.int64], side: int) -> Floats:
    """Return (side * side, frequencies): the transform of T.81, A.3.3, of samples of several pixels."""
    k = np.arange(8)
    matrix = np.cos((2 * k[None, :] + 1) * k[:, None] * np.pi / 16) / 2
    matrix[0] /= np.sqrt(2)
    narrow = matrix.reshape(8, side, 8 // side).sum(axis=2)
    whole = np.kron(narrow, narrow)
    return np.ascontiguousarray(whole[frequencies].T, dtype=np.float32)
