"""DICOM: frames are marked in their stored samples, and a few elements of the header say so.

Restoring puts the header's old bytes back, so that files which are not compressed return byte for byte.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from medlocker.errors import RestoreError
from medlocker.formats._keep import NOTHING, Keep
from medlocker.formats._losslessframes import join_residuals, split_residuals
from medlocker.formats._method import MarkedFile
from medlocker.formats._registry import metadata_digest
from medlocker.formats.dicom._file import DicomImage, dicom_of
from medlocker.formats.dicom._frames import DicomFrames, FrameWriter
from medlocker.formats.dicom._header import LARGEST, SMALLEST, instance_uid, marked_header, original_header
from medlocker.formats.dicom._layout import PHOTOMETRIC, Layout, Words, to_pixels
from medlocker.formats.dicom._patch import Patch, pack_patch, unpack_patch
from medlocker.geometry import Box
from medlocker.images import FramesHash, Image, pixel_digest, translated
from medlocker.logo import Logo
from medlocker.marking import mark_pixels, unmark_pixels
from medlocker.veil import AnyMark


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

    def mark(self, image: Image, marks: Sequence[AnyMark], *, logo: Logo, keep: Keep = NOTHING) -> MarkedFile:
        """Put marks on; see :class:`medlocker.formats._method.Method`."""
        original = dicom_of(image)
        source = original.dicom
        with translated("image", what="DICOM"):  # a header may be readable and yet no place for changes
            base, written = source.written
            uid = instance_uid(image, marks, logo=logo)
            parts, layout, undo = marked_header(base, written, original, uid=uid, keep=keep)
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
        patch = pack_patch(Patch(undo, base.tail, source.pad, image.inks))
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
            patch = unpack_patch(residual[4 : 4 + length])
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
