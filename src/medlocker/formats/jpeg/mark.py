"""JPEG: marks go into the DCT coefficients of the blocks under them, all others stay as they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from medlocker.errors import InputError, RestoreError
from medlocker.formats._keep import NOTHING, Keep
from medlocker.formats._method import MarkedFile
from medlocker.formats._registry import metadata_digest
from medlocker.formats.jpeg._blocks import blend_into_blocks, extent, touched_blocks
from medlocker.formats.jpeg._coefficients import read_coefficients, write_coefficients
from medlocker.formats.jpeg._previews import has_more_pictures, restored_metadata, without_previews
from medlocker.formats.jpeg._residual import Residual
from medlocker.formats.jpeg._stream import frame_of
from medlocker.formats.jpeg._veil import blend_veil_into_blocks
from medlocker.geometry import Box
from medlocker.images import Image
from medlocker.logo import Logo
from medlocker.marking import render_layer, render_layer_coarsely
from medlocker.provenance import Provenance
from medlocker.veil import AnyMark, Veil

_KNOWN: WeakKeyDictionary[Image, tuple[frozenset[int], frozenset[int]]] = WeakKeyDictionary()
"""Of images in work: photographs have hundreds of boxes, and each is asked for again and again."""


@dataclass(frozen=True)
class JpegDct:
    """JPEG in, JPEG out."""

    name: str = "jpeg-dct-v1"

    def suits(self, image: Image) -> bool:
        """Tell whether the image is a JPEG."""
        return image.format == "jpeg"

    def influence_box(self, image: Image, box: Box) -> Box:
        """Return the pixels of all blocks that the box's pixels depend on.

        Decoders interpolate subsampled components, so a pixel depends on one sample more on each side.
        """
        widths, heights = _extents(image)
        across = [_around(box.x, box.right, width) for width in widths]
        down = [_around(box.y, box.bottom, height) for height in heights]
        left, top = min(first for first, _ in across), min(first for first, _ in down)
        right = min(max(last for _, last in across), image.width)
        bottom = min(max(last for _, last in down), image.height)
        return Box(left, top, right - left, bottom - top)

    def mark(
        self,
        image: Image,
        marks: Sequence[AnyMark],
        *,
        logo: Logo,
        keep: Keep = NOTHING,
        provenance: Provenance | None = None,
    ) -> MarkedFile:
        """Put marks on; see :class:`medlocker.formats._method.Method`."""
        if isinstance(marks[0], Veil):
            return self._veil(image, marks, logo, keep)
        layers = [render_layer(mark, logo=logo, image=image) for mark in marks]
        around, blocks = read_coefficients(image.source)
        touched = touched_blocks(layers, around.frame)
        originals = tuple(own[mask] for own, mask in zip(blocks, touched, strict=True))
        blend_into_blocks(
            blocks,
            layers,
            image.pixels,
            frame=around.frame,
            tables=around.tables(),
            touched=touched,
            is_ycbcr=around.is_ycbcr,
        )
        head, head_withheld = without_previews(around.head, keep=keep)
        tail, tail_withheld = without_previews(around.tail, keep=keep)
        data = write_coefficients(replace(around, head=head, tail=tail, trailer=b""), blocks)
        if has_more_pictures((*around.head, *around.tail)):
            return MarkedFile(data, image.source, JpegFile.name, None, metadata_digest(image))
        residual = Residual(originals, head_withheld, tail_withheld, around.trailer)
        return MarkedFile(data, residual.to_bytes(), self.name, None, metadata_digest(image))

    def _veil(self, image: Image, marks: Sequence[AnyMark], logo: Logo, keep: Keep) -> MarkedFile:
        """Put a veil on.

        It changes nearly every block, and nothing says what they were in fewer bytes than the original file:
        that is its residual.
        """
        veil, *others = marks
        if others or not isinstance(veil, Veil):
            raise InputError("expected a veil alone on a JPEG")
        step = math.gcd(veil.grain_px, 2)
        layer = render_layer_coarsely(veil, logo=logo, image=image, step=step)
        around, blocks = read_coefficients(image.source)
        blend_veil_into_blocks(
            blocks,
            layer,
            image.pixels,
            frame=around.frame,
            tables=around.tables(),
            is_ycbcr=around.is_ycbcr,
        )
        head, tail = (without_previews(part, keep=keep)[0] for part in (around.head, around.tail))
        data = write_coefficients(replace(around, head=head, tail=tail, trailer=b""), blocks)
        return MarkedFile(data, image.source, self.name, None, metadata_digest(image))

    def unmark(self, marked: Image, marks: Sequence[AnyMark], *, logo: Logo, residual: bytes) -> bytes:
        """Take marks off; see :class:`medlocker.formats._method.Method`."""
        if any(isinstance(mark, Veil) for mark in marks):
            return residual
        try:
            layers = [render_layer(mark, logo=logo, image=marked) for mark in marks]
        except InputError as error:
            raise RestoreError(f"the parameters do not fit this image: {error}") from error
        try:
            around, blocks = read_coefficients(marked.source)
            touched = touched_blocks(layers, around.frame)
            found = Residual.from_bytes(residual, [int(mask.sum()) for mask in touched])
            for own, mask, original in zip(blocks, touched, found.coefficients, strict=True):
                own[mask] = original
            head = restored_metadata(around.head, found.head)
            tail = restored_metadata(around.tail, found.tail)
            return write_coefficients(replace(around, head=head, tail=tail, trailer=found.trailer), blocks)
        except (InputError, ValueError) as error:
            raise RestoreError("the residual does not fit this image") from error


@dataclass(frozen=True)
class JpegFile:
    """JPEG files with further pictures behind the first (MPO), whose places stand in the file.

    A restored first picture has another length, so these would not be found: the residual is the original.
    Only the first picture is marked, and the marked file has no other.
    """

    name: str = "jpeg-file-v1"

    def suits(self, image: Image) -> bool:
        """Tell whether the image is a JPEG: a marked one has nothing of the others."""
        return image.format == "jpeg"

    def influence_box(self, image: Image, box: Box) -> Box:
        """Return what :class:`JpegDct` does."""
        return JpegDct().influence_box(image, box)

    def mark(
        self,
        image: Image,
        marks: Sequence[AnyMark],
        *,
        logo: Logo,
        keep: Keep = NOTHING,
        provenance: Provenance | None = None,
    ) -> MarkedFile:
        """Put marks on as :class:`JpegDct` does."""
        return JpegDct().mark(image, marks, logo=logo, keep=keep)

    def unmark(self, marked: Image, marks: Sequence[AnyMark], *, logo: Logo, residual: bytes) -> bytes:
        """Return the original."""
        return residual


def _extents(image: Image) -> tuple[frozenset[int], frozenset[int]]:
    """Return what widths and what heights in pixels the blocks of an image's components have."""
    found = _KNOWN.get(image)
    if found is None:
        frame = frame_of(image.source)
        sizes = [extent(frame, component) for component in frame.components]
        found = frozenset(width for width, _ in sizes), frozenset(height for _, height in sizes)
        _KNOWN[image] = found
    return found


def _around(start: int, stop: int, extent_px: int) -> tuple[int, int]:
    """Grow one side of a box to whole blocks, after one sample of a subsampled component on both ends."""
    sample_px = extent_px // 8
    beyond = sample_px if sample_px > 1 else 0
    first = max(start // sample_px * sample_px - beyond, 0)
    last = -(-stop // sample_px) * sample_px + beyond
    return first // extent_px * extent_px, -(-last // extent_px) * extent_px
