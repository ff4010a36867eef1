"""Which blocks of a JPEG marks touch, and by how much a blend changes their coefficients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medlocker.geometry import Box
from medlocker.images._image import Pixels
from medlocker.images._jpegstream import Component, Frame
from medlocker.logo import blend
from medlocker.marking._pixels import Layer

_k = np.arange(8)
_DCT = np.cos((2 * _k[None, :] + 1) * _k[:, None] * np.pi / 16) / 2
_DCT[0] /= np.sqrt(2)
DCT = np.ascontiguousarray(_DCT, dtype=np.float32)
"""(frequency, sample): the forward transform of T.81, A.3.3."""
YCBCR = np.array(
    [[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]], np.float32
)
"""From differences of R, G, B to those of Y, Cb, Cr (JFIF 1.02)."""
_MAX = 1023


@dataclass(frozen=True, eq=False)
class Part:
    """Layers that share blocks, and the pixels of all blocks they may touch.

    Args:
        frame: The picture's.
        box: In pixels; its left and top lie on the grid of :attr:`Frame.unit`, and so do right and bottom
            unless the image ends before.
        layers: In the order in which they are put on.
    """

    frame: Frame
    box: Box
    layers: tuple[Layer, ...]

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the image."""
        return slice(self.box.y, self.box.bottom), slice(self.box.x, self.box.right)

    def blocks(self, component: Component) -> tuple[slice, slice]:
        """Return the rows and columns of a component's blocks that lie in the part."""
        width, height = extent(self.frame, component)
        return (
            slice(self.box.y // height, -(-self.box.bottom // height)),
            slice(self.box.x // width, -(-self.box.right // width)),
        )

    def touched(self) -> tuple[NDArray[np.bool_], ...]:
        """Return for each component which of those blocks hold a pixel that a layer covers."""
        covered = np.zeros((self.box.height, self.box.width), np.bool_)
        for layer in self.layers:
            covered[self._inside(layer)] |= layer.weight > 0
        found: list[NDArray[np.bool_]] = []
        for component in self.frame.components:
            width, height = extent(self.frame, component)
            rows = np.logical_or.reduceat(covered, np.arange(0, self.box.height, height), axis=0)
            found.append(np.logical_or.reduceat(rows, np.arange(0, self.box.width, width), axis=1))
        return tuple(found)

    def blended(self, pixels: Pixels) -> Pixels:
        """Return the part's pixels with all layers put on."""
        result = pixels[self.window].copy()
        for layer in self.layers:
            under = result[self._inside(layer)]
            under[...] = blend(under, layer.color, layer.weight)
        return result

    def _inside(self, layer: Layer) -> tuple[slice, slice]:
        rows, cols = layer.window
        top, left = self.box.y, self.box.x
        return slice(rows.start - top, rows.stop - top), slice(cols.start - left, cols.stop - left)


def extent(frame: Frame, component: Component) -> tuple[int, int]:
    """Return the (width, height) in pixels that one block of a component covers."""
    across, down = frame.most
    return 8 * across // component.across, 8 * down // component.down


def parts_of(layers: Sequence[Layer], frame: Frame) -> tuple[Part, ...]:
    """Group layers so that no block belongs to two parts; sorted from top to bottom."""
    groups: list[tuple[Box, list[int]]] = []
    for number, layer in enumerate(layers):
        rows, cols = layer.window
        box, members = _aligned(rows, cols, frame), [number]
        while True:
            near = [group for group in groups if group[0].overlaps(box)]
            if not near:
                break
            groups = [group for group in groups if group not in near]
            for other, numbers in near:
                box = _around(box, other)
                members += numbers
        groups.append((box, members))
    return tuple(
        Part(frame, box, tuple(layers[number] for number in sorted(members)))
        for box, members in sorted(groups, key=lambda group: (group[0].y, group[0].x))
    )


def _aligned(rows: slice, cols: slice, frame: Frame) -> Box:
    width, height = frame.unit
    left, top = cols.start // width * width, rows.start // height * height
    right = min(-(-cols.stop // width) * width, frame.width)
    bottom = min(-(-rows.stop // height) * height, frame.height)
    return Box(left, top, right - left, bottom - top)


def _around(a: Box, b: Box) -> Box:
    left, top = min(a.x, b.x), min(a.y, b.y)
    return Box(left, top, max(a.right, b.right) - left, max(a.bottom, b.bottom) - top)


def changes(
    part: Part,
    pixels: Pixels,
    tables: Sequence[NDArray[np.uint16]],
    touched: Sequence[NDArray[np.bool_]],
    *,
    is_ycbcr: bool,
) -> Iterator[NDArray[np.int32]]:
    """Yield for each component by how much its touched blocks change.

    The transform is linear, so only the difference of the blend is transformed: where nothing changes no
    coefficient does, and decoding's own rounding is not coded once more.

    Args:
        part: Which pixels.
        pixels: (H, W, C) of the whole image, decoded.
        tables: Each component's quantisation table.
        touched: Of :meth:`Part.touched`.
        is_ycbcr: Whether RGB is stored as YCbCr.

    Yields:
        (n, 64), in quantisation steps.
    """
    difference = part.blended(pixels).astype(np.float32)
    difference -= pixels[part.window]
    for index, (component, table, mask) in enumerate(
        zip(part.frame.components, tables, touched, strict=True)
    ):
        plane = difference @ YCBCR[index] if is_ycbcr else difference[..., index]
        samples = _samples(plane, part.frame, component, mask)
        coefficients = DCT @ samples @ DCT.T
        yield np.rint(coefficients.reshape(-1, 64) / table.astype(np.float32)).astype(np.int32)


def _samples(
    plane: NDArray[np.float32], frame: Frame, component: Component, mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the (n, 8, 8) samples of touched blocks: means of pixels, the last repeated beyond edges."""
    width, height = extent(frame, component)
    rows, cols = mask.shape
    beyond = ((0, rows * height - plane.shape[0]), (0, cols * width - plane.shape[1]))
    if beyond != ((0, 0), (0, 0)):
        plane = np.pad(plane, beyond, mode="edge")
    blocks = plane.reshape(rows, 8, height // 8, cols, 8, width // 8)
    blocks = blocks.transpose(0, 3, 1, 4, 2, 5)[mask]
    return np.asarray(blocks.mean(axis=(3, 4), dtype=np.float32))


def changed(old: NDArray[np.int16], by: NDArray[np.int32]) -> NDArray[np.int16]:
    """Return coefficients after a change, as far as an 8-bit JPEG can hold them."""
    wanted = old + by
    wanted[:, 0] = np.clip(wanted[:, 0], -_MAX - 1, _MAX)  # the mean of a black block
    wanted[:, 1:] = np.clip(wanted[:, 1:], -_MAX, _MAX)
    return np.asarray(wanted, dtype=np.int16)
