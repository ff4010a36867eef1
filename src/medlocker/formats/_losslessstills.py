"""Stills of formats that keep every pixel: blended into the stored pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from medlocker.formats._keep import NOTHING, Keep
from medlocker.formats._method import MarkedFile
from medlocker.formats._registry import encode_image
from medlocker.geometry import Box
from medlocker.images import Image, pixel_digest
from medlocker.logo import Logo
from medlocker.marking import mark_pixels, unmark_pixels
from medlocker.provenance import Provenance
from medlocker.veil import AnyMark


@dataclass(frozen=True)
class LosslessStills:
    """PNG, TIFF, BMP."""

    name: str = "pixels-v1"

    def suits(self, image: Image) -> bool:
        """Tell whether the image is a still of such a format."""
        return image.frames is None and image.format != "jpeg"

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
        marked = mark_pixels(image, marks, logo=logo)
        return MarkedFile(
            encode_image(image, marked.pixels), marked.residual, self.name, pixel_digest(marked.pixels)
        )

    def unmark(self, marked: Image, marks: Sequence[AnyMark], *, logo: Logo, residual: bytes) -> bytes:
        """Take marks off; see :class:`medlocker.formats._method.Method`."""
        return unmark_still(replace(marked, shown=None, inks=None), marks, logo=logo, residual=residual)


def unmark_still(marked: Image, marks: Sequence[AnyMark], *, logo: Logo, residual: bytes) -> bytes:
    """Take marks off a still that is shown as its original is; see :class:`LosslessStills`."""
    return encode_image(marked, unmark_pixels(marked, marks, logo=logo, residual=residual))
