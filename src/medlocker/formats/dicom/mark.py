"""DICOM: frames are marked in their stored samples, and a few elements of the header say so.

Restoring puts the header's old bytes back, so that files which are not compressed return byte for byte.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import RestoreError
from medlocker.formats._edits import Edit, pack_edits, unpack_edits
from medlocker.formats._keep import NOTHING, Keep
from medlocker.formats._losslessframes import join_residuals, split_residuals
from medlocker.formats._method import MarkedFile
from medlocker.formats._registry import metadata_digest
from medlocker.formats.dicom._file import DicomImage, dicom_of
from medlocker.formats.dicom._frames import DicomFrames, FrameWriter
from medlocker.formats.dicom._header import LARGEST, SMALLEST, Origin, marked_header, original_header
from medlocker.formats.dicom._layout import PHOTOMETRIC, Layout, Words, to_pixels
from medlocker.formats.dicom._origin import derived_uid
from medlocker.geometry import Box
from medlocker.images import FramesHash, Image, pixel_digest, translated
from medlocker.logo import Logo
from medlocker.marking import mark_pixels, unmark_pixels
from medlocker.provenance import Provenance
from medlocker.veil import AnyMark

_COUNT = struct.Struct("<I")
_INKS = 256
_MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Dicom:
    """DICOM images of one frame or several.

    The residual is the patch of the header and, as for other objects of several frames, each frame's
    residual. See docs/FORMAT.md.
    """

    name: str = "dicom-v1"

    def suits(self, image: Image) -> bool:
        """Tell whether the image was read from DICOM."""
        return isinstance(image, DicomImage)

    def influence_box(self, image: Image, box: Box) -> Box:
        """Return the box: every pixel is on its own."""
        return box

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
        original = dicom_of(image)
        source = original.dicom
        with translated("image", what="DICOM"):  # a header may be readable and yet no place for changes
            base, written = source.written
            release = "" if provenance is None else provenance.release
            uid = derived_uid("instance", image, marks, logo=logo, release=release)
            origin = None
            if provenance is not None:
                origin = Origin(provenance, derived_uid("source", image, marks, logo=logo))
            parts, layout, undo = marked_header(base, written, original, uid=uid, keep=keep, origin=origin)
        own_pad = layout.frame_bytes == source.layout.frame_bytes and "trailing" in keep
        size = len(source) * layout.frame_bytes
        pad = source.pad if own_pad else bytes(0 if parts.encapsulated else size % 2)
        writer = FrameWriter(parts, layout, pad=pad)
        residuals: list[bytes] = []
        digest = FramesHash(count=len(source), like=image.pixels)
        for single, words in _singles(original, source):
            result = mark_pixels(single, marks, logo=logo)
            residuals.append(result.residual)
            digest.update(result.pixels)
            writer.add(result.pixels, like=words)
        for tag, sample in ((SMALLEST, writer.lowest), (LARGEST, writer.highest)):
            element = parts.elements.get(tag)
            if element is not None and element.end - element.value_at == 2:
                writer.patch(element.value_at, _sample_value(sample, layout, parts.dialect.order))
        patch = _pack(_Patch(undo, base.tail, source.pad, image.inks))
        return MarkedFile(
            writer.finish(),
            struct.pack("<I", len(patch)) + patch + join_residuals(residuals),
            self.name,
            pixel_digest(result.pixels) if len(source) == 1 else digest.hexdigest(),
            metadata_digest(image),
        )

    def unmark(self, marked: Image, marks: Sequence[AnyMark], *, logo: Logo, residual: bytes) -> bytes:
        """Take marks off; see :class:`medlocker.formats._method.Method`."""
        image = dicom_of(marked)
        source = image.dicom
        try:
            (length,) = struct.unpack_from("<I", residual)
            patch = _unpack(residual[4 : 4 + length])
            parts = original_header(source.parts, patch.edits, patch.tail)
        except (ValueError, struct.error) as error:
            raise RestoreError("the residual of the header does not belong to this file") from error
        residuals = split_residuals(residual[4 + length :], len(source))
        if patch.inks is not None:
            image = replace(image, inks=patch.inks.astype(image.pixels.dtype))
        layout = source.layout.with_photometric(parts.text(PHOTOMETRIC))
        writer = FrameWriter(parts, layout, pad=patch.pad)
        for (single, words), own in zip(_singles(image, source), residuals, strict=True):
            writer.add(unmark_pixels(single, marks, logo=logo, residual=own), like=words)
        return writer.finish()


def _singles(image: DicomImage, source: DicomFrames) -> Iterator[tuple[Image, Words]]:
    """Yield each frame as an image of its own, and its words as stored."""
    for index in range(len(source)):
        words = source.words(index)
        yield replace(image, pixels=to_pixels(words, source.layout), frames=None), words


def _sample_value(sample: int, layout: Layout, order: str) -> bytes:
    """Return a sample as the value of an element."""
    return struct.pack(f"{order}h" if layout.signed else f"{order}H", sample - layout.sign)


@dataclass(frozen=True, eq=False)
class _Patch:
    """What gives an original's header back.

    Args:
        edits: From the marked file's bytes before the pixels to the original's.
        tail: The original's bytes behind the pixels.
        pad: What follows the original's frames within Pixel Data.
        inks: (256,) uint16 samples that the logo's levels were drawn in, None if they are its levels.
    """

    edits: Sequence[Edit]
    tail: bytes
    pad: bytes
    inks: NDArray[Any] | None


def _pack(patch: _Patch) -> bytes:
    """Return a patch as bytes; see docs/FORMAT.md."""
    inks = b"" if patch.inks is None else patch.inks.astype("<u2").tobytes()
    pieces = [pack_edits(patch.edits)]
    for block in (patch.tail, patch.pad, inks):
        pieces += (_COUNT.pack(len(block)), block)
    return zlib.compress(b"".join(pieces), 9)


def _unpack(data: bytes) -> _Patch:
    """Read what :func:`_pack` wrote.

    Raises:
        RestoreError: If it is damaged.
    """
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(data, _MOST_BYTES)
        if not unpacker.eof or unpacker.unused_data:
            raise ValueError("expected one whole stream")
        edits, at = unpack_edits(plain, 0)
        blocks: list[bytes] = []
        for _ in range(3):
            (size,) = _COUNT.unpack_from(plain, at)
            blocks.append(_piece(plain, at + _COUNT.size, size))
            at += _COUNT.size + size
        tail, pad, inks = blocks
        if at != len(plain) or len(inks) not in (0, 2 * _INKS):
            raise ValueError("expected nothing more")
    except (zlib.error, struct.error, ValueError) as error:
        raise RestoreError("the residual of the header is damaged") from error
    return _Patch(edits, tail, pad, np.frombuffer(inks, "<u2") if inks else None)


def _piece(plain: bytes, at: int, size: int) -> bytes:
    piece = plain[at : at + size]
    if len(piece) != size:
        raise ValueError("expected a whole piece")
    return piece
