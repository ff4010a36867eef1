"""Which blocks of a JPEG marks touch, and by how much a blend changes their coefficients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.formats.jpeg._jpeglib import Blocks
from medlocker.formats.jpeg._stream import Component, Frame
from medlocker.images import Pixels
from medlocker.logo import blend
from medlocker.marking import Layer

_k = np.arange(8)
_DCT = np.cos((2 * _k[None, :] + 1) * _k[:, None] * np.pi / 16) / 2
_DCT[0] /= np.sqrt(2)
DCT = np.ascontiguousarray(np.kron(_DCT, _DCT).T, dtype=np.float32)
"""(sample, frequency), both row by row: the forward transform of T.81, A.3.3."""
YCBCR = np.array(
    [[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]], np.float32
)
"""From differences of R, G, B to those of Y, Cb, Cr (JFIF 1.02)."""
_MAX = 1023
_TILE = 256
Touched = NDArray[np.bool_]
"""(rows, columns) of a component's blocks."""
Window = tuple[slice, slice]


def extent(frame: Frame, component: Component) -> tuple[int, int]:
    """Return the (width, height) in pixels that one block of a component covers: multiples of 8."""
    across, down = frame.most
    return 8 * across // component.across, 8 * down // component.down


def touched_blocks(layers: Sequence[Layer], frame: Frame) -> tuple[Touched, ...]:
    """Return for each component which blocks hold a pixel that a layer covers."""
    cells = np.zeros((-(-frame.height // 8), -(-frame.width // 8)), np.bool_)
    for layer in layers:
        rows, cols = layer.window
        covered = np.logical_or.reduceat(layer.weight > 0, _starts(rows), axis=0)
        covered = np.logical_or.reduceat(covered, _starts(cols), axis=1)
        height, width = covered.shape
        top, left = rows.start // 8, cols.start // 8
        cells[top : top + height, left : left + width] |= covered
    found: list[Touched] = []
    for component in frame.components:
        width, height = extent(frame, component)
        coarse = np.logical_or.reduceat(cells, np.arange(0, cells.shape[0], height // 8), axis=0)
        found.append(np.logical_or.reduceat(coarse, np.arange(0, cells.shape[1], width // 8), axis=1))
    return tuple(found)


def _starts(span: slice) -> NDArray[np.intp]:
    """Return where the cells of 8 pixels begin that a window runs through, counted in the window."""
    return np.asarray(np.arange(span.start // 8 * 8, span.stop, 8).clip(span.start) - span.start)


def blend_into_blocks(
    blocks: Sequence[Blocks],
    layers: Sequence[Layer],
    pixels: Pixels,
    *,
    frame: Frame,
    tables: Sequence[NDArray[np.uint16]],
    touched: Sequence[Touched],
    is_ycbcr: bool,
) -> None:
    """Blend layers into coefficients, in place.

    The transform is linear, so only the blend's difference is transformed and added: where nothing changes no
    coefficient does, and what decoding rounded is not coded once more. Done in tiles that fit into a cache.

    Args:
        blocks: Of each component.
        layers: In the order in which they are put on.
        pixels: (H, W, C) as decoded.
        frame: Sizes and sampling.
        tables: Each component's quantisation table.
        touched: Of :func:`touched_blocks`.
        is_ycbcr: Whether RGB is stored as YCbCr.
    """
    sizes = [extent(frame, component) for component in frame.components]
    transforms = [DCT / table.astype(np.float32) for table in tables]
    for window in _tiles(layers, frame):
        difference = _difference(layers, pixels, window)
        if difference is None:
            continue
        planes = np.moveaxis(cv2.transform(difference, YCBCR) if is_ycbcr else difference, 2, 0)
        for own, mask, size, transform, plane in zip(blocks, touched, sizes, transforms, planes, strict=True):
            place = _block_window(window, size)
            within, inside = own[place], mask[place]
            steps = _samples(plane, size, inside) @ transform
            np.rint(steps, out=steps)
            within[inside] = _limited(np.add(within[inside], steps.astype(np.int32), dtype=np.int32))


def _tiles(layers: Sequence[Layer], frame: Frame) -> Iterator[Window]:
    """Yield the pixels of whole blocks of all components, in tiles around the layers."""
    width, height = (_TILE // side * side for side in frame.unit)
    tiles = {
        (row, col)
        for rows, cols in (layer.window for layer in layers)
        for row in range(rows.start // height, -(-rows.stop // height))
        for col in range(cols.start // width, -(-cols.stop // width))
    }
    for row, col in sorted(tiles):
        yield (
            slice(row * height, min((row + 1) * height, frame.height)),
            slice(col * width, min((col + 1) * width, frame.width)),
        )


def _difference(layers: Sequence[Layer], pixels: Pixels, window: Window) -> NDArray[np.float32] | None:
    """Return by how much all layers together change the pixels of a tile; None if none of them covers one."""
    before = pixels[window]
    after: Pixels | None = None
    for layer in layers:
        inner, outer = zip(*map(_overlap, layer.window, window), strict=True)
        weight = layer.weight[inner]
        if not weight.any():
            continue
        if after is None:
            after = before.copy()
        after[outer] = blend(after[outer], layer.color[inner], weight)
    if after is None:
        return None
    return after.astype(np.float32) - before


def _overlap(span: slice, tile: slice) -> tuple[slice, slice]:
    """Return what a layer and a tile share along one axis, counted in the layer and in the tile."""
    start, stop = max(span.start, tile.start), min(span.stop, tile.stop)
    stop = max(start, stop)
    return slice(start - span.start, stop - span.start), slice(start - tile.start, stop - tile.start)


def _block_window(window: Window, size: tuple[int, int]) -> Window:
    rows, cols = window
    width, height = size
    return (
        slice(rows.start // height, -(-rows.stop // height)),
        slice(cols.start // width, -(-cols.stop // width)),
    )


def _samples(plane: NDArray[Any], size: tuple[int, int], mask: Touched) -> NDArray[Any]:
    """Return the (n, 64) samples of touched blocks: means of pixels, the last repeated beyond edges."""
    width, height = size
    rows, cols = mask.shape
    beyond = ((0, rows * height - plane.shape[0]), (0, cols * width - plane.shape[1]))
    if beyond != ((0, 0), (0, 0)):
        plane = np.pad(plane, beyond, mode="edge")
    if size != (8, 8):
        plane = cv2.resize(np.ascontiguousarray(plane), (cols * 8, rows * 8), interpolation=cv2.INTER_AREA)
    blocks = plane.reshape(rows, 8, cols, 8).swapaxes(1, 2)
    return blocks[mask].reshape(-1, 64)


def _limited(wanted: NDArray[np.int32]) -> NDArray[np.int16]:
    """Return coefficients as far as an 8-bit JPEG can hold them."""
    wanted[:, 0] = np.clip(wanted[:, 0], -_MAX - 1, _MAX)  # the mean of a black block
    wanted[:, 1:] = np.clip(wanted[:, 1:], -_MAX, _MAX)
    return wanted.astype(np.int16)
