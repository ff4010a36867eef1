"""Volumes that show a part of the samples' range: the logo is drawn in the levels of the original.

Viewers choose that part by the samples, which marks change. So the residual begins with the samples that the
original showed black and white.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

from medlocker.errors import InputError, RestoreError
from medlocker.formats._keep import NOTHING, Keep
from medlocker.formats._losslessframes import LosslessFrames
from medlocker.formats._losslessstills import LosslessStills
from medlocker.formats._method import MarkedFile
from medlocker.formats.nifti import ShownRange
from medlocker.geometry import Box
from medlocker.images import Image
from medlocker.logo import Logo
from medlocker.veil import AnyMark

_LIMITS = struct.Struct("<HH")
"""Black and white, as samples in memory."""


@dataclass(frozen=True)
class Volumes:
    """NIfTI of one channel; otherwise as stacks and stills are marked. See docs/FORMAT.md."""

    name: str = "window-v1"

    def suits(self, image: Image) -> bool:
        """Tell whether this is such a volume."""
        return image.format == "nifti" and image.inks is not None

    def influence_box(self, image: Image, box: Box) -> Box:
        """Return the box: every pixel is on its own."""
        return box

    def mark(self, image: Image, marks: Sequence[AnyMark], *, logo: Logo, keep: Keep = NOTHING) -> MarkedFile:
        """Put marks on; see :class:`medlocker.formats._method.Method`."""
        if image.inks is None:
            raise InputError("expected a volume that states how it is displayed")
        limits = _LIMITS.pack(int(image.inks[0]), int(image.inks[-1]))
        marked = _inner(image).mark(image, marks, logo=logo)
        return replace(marked, residual=limits + marked.residual, method=self.name)

    def unmark(self, marked: Image, marks: Sequence[AnyMark], *, logo: Logo, residual: bytes) -> bytes:
        """Take marks off; see :class:`medlocker.formats._method.Method`."""
        if len(residual) < _LIMITS.size:
            raise RestoreError("the residual is cut")
        black, white = _LIMITS.unpack_from(residual)
        if black == white or max(black, white) >> marked.bits:
            raise RestoreError(f"expected two different samples of {marked.bits} bits for black and white")
        window = ShownRange(black, white, marked.bits)
        as_before = replace(marked, shown=window.shown(), inks=window.inks())
        return _inner(marked).unmark(as_before, marks, logo=logo, residual=residual[_LIMITS.size :])


def _inner(image: Image) -> LosslessStills | LosslessFrames:
    return LosslessStills() if image.frames is None else LosslessFrames()
