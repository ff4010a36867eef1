"""Formats marked pixel by pixel: what may hold the unmarked picture is taken out before, and put back.

The method's residual begins with what was held back, see docs/FORMAT.md.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from medlocker.errors import InputError, RestoreError
from medlocker.formats._keep import NOTHING, Keep
from medlocker.formats._losslessframes import LosslessFrames
from medlocker.formats._losslessstills import LosslessStills
from medlocker.formats._method import MarkedFile, Method
from medlocker.formats._registry import metadata_digest
from medlocker.formats._windowed import Windowed, told_if_needed
from medlocker.formats.bmp import complete_bmp, hold_bmp
from medlocker.formats.dicom import complete_dicom, hold_dicom
from medlocker.formats.dicom.mark import Dicom
from medlocker.formats.nifti import complete_nifti, hold_nifti
from medlocker.formats.png import complete_png, hold_png
from medlocker.formats.tiff import complete_tiff, hold_tiff
from medlocker.geometry import Box
from medlocker.images import Image
from medlocker.logo import Logo
from medlocker.provenance import Provenance
from medlocker.veil import AnyMark

_LENGTHS = struct.Struct("<BI")
_MOST_BYTES = 1 << 30
_AS_STORED: tuple[Method, ...] = (Windowed(), LosslessStills(), LosslessFrames())


@dataclass(frozen=True)
class _Format:
    """How a format gives away what is held back, and takes it again.

    Args:
        hold: Returns the image without it, and it; nothing if all of it passes.
        complete: From a whole file without it, and it, returns the whole file with it.
        methods: The first that suits what is left marks it.
    """

    hold: Callable[[Image, Keep], tuple[Image, bytes]]
    complete: Callable[[bytes, bytes], bytes]
    methods: tuple[Method, ...] = _AS_STORED


_FORMATS: Mapping[str, _Format] = {
    "png": _Format(hold_png, complete_png),
    "tiff": _Format(hold_tiff, complete_tiff),
    "bmp": _Format(hold_bmp, complete_bmp),
    "nifti": _Format(hold_nifti, complete_nifti),
    "dicom": _Format(hold_dicom, complete_dicom, (Dicom(),)),
}
INNER: Mapping[str, Method] = {method.name: method for one in _FORMATS.values() for method in one.methods}


@dataclass(frozen=True)
class Sealed:
    """All but JPEG: with more than what is known to be harmless; else as the inner method has it."""

    name: str = "sealed-v1"

    def suits(self, image: Image) -> bool:
        """Tell whether an image is of such a format."""
        return image.format in _FORMATS

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
        own = _FORMATS[image.format]
        bare, held = own.hold(image, keep)
        inner = next(method for method in own.methods if method.suits(bare))
        marked = told_if_needed(inner.mark(bare, marks, logo=logo, keep=keep, provenance=provenance), bare)
        if not held:
            return marked
        packed, name = zlib.compress(held, 6), marked.method.encode("ascii")
        return replace(
            marked,
            residual=_LENGTHS.pack(len(name), len(packed)) + name + packed + marked.residual,
            method=self.name,
            metadata=metadata_digest(image),
        )

    def unmark(self, marked: Image, marks: Sequence[AnyMark], *, logo: Logo, residual: bytes) -> bytes:
        """Take marks off; see :class:`medlocker.formats._method.Method`."""
        inner, held, rest = _split(residual)
        if not inner.suits(marked):
            raise RestoreError(f"the method {inner.name} does not suit this file")
        bare = inner.unmark(marked, marks, logo=logo, residual=rest)
        try:
            return _FORMATS[marked.format].complete(bare, held)
        except (InputError, ValueError, struct.error, IndexError) as error:
            raise RestoreError("what was held back does not belong to this file") from error


def _split(residual: bytes) -> tuple[Method, bytes, bytes]:
    try:
        named, size = _LENGTHS.unpack_from(residual)
        start = _LENGTHS.size + named
        inner = INNER[residual[_LENGTHS.size : start].decode("ascii")]
        unpacker = zlib.decompressobj()
        held = unpacker.decompress(residual[start : start + size], _MOST_BYTES)
        if not unpacker.eof or unpacker.unused_data or start + size > len(residual):
            raise ValueError("expected one whole stream")
    except (struct.error, KeyError, ValueError, zlib.error) as error:
        raise RestoreError("what was held back is damaged") from error
    return inner, held, residual[start + size :]
