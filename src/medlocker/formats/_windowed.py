"""Pictures that show a part of the samples' range: the logo is drawn in the levels of the original.

Viewers choose that part by the samples, which marks change. So the residual begins with the samples that the
original showed black and white; and a marked PNG or TIFF says which they are, to be shown as its original.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from medlocker.errors import InputError, RestoreError
from medlocker.formats._keep import NOTHING, Keep
from medlocker.formats._losslessframes import LosslessFrames, unmark_frames
from medlocker.formats._losslessstills import LosslessStills, unmark_still
from medlocker.formats._method import MarkedFile
from medlocker.formats._registry import metadata_digest, read_image
from medlocker.formats._shownrange import ShownRange
from medlocker.formats.png import tell_range_png
from medlocker.formats.tiff import tell_range_tiff
from medlocker.geometry import Box
from medlocker.images import NO_LIMITS, Image, content_digest
from medlocker.logo import Logo
from medlocker.provenance import Provenance
from medlocker.veil import AnyMark

_WIDE = 32
"""Bits of voxels that are held in fewer."""

_LIMITS = struct.Struct("<HH")
"""Black and white, as samples in memory."""

_TELL: Mapping[str, Callable[[bytes, tuple[int, int] | None], bytes]] = {
    "png": tell_range_png,
    "tiff": tell_range_tiff,
}
"""From a file the same with a note of the least and the greatest sample shown, or without one."""


@dataclass(frozen=True)
class Windowed:
    """NIfTI of one channel, PNG and TIFF of 10 or 12 bits in 16; otherwise as stacks and stills are marked.

    See docs/FORMAT.md.
    """

    name: str = "window-v1"

    def suits(self, image: Image) -> bool:
        """Tell whether this is such a picture."""
        return image.format in ("nifti", *_TELL) and image.inks is not None

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
        if image.inks is None:
            raise InputError("expected a volume that states how it is displayed")
        inner = LosslessStills() if image.frames is None else LosslessFrames()
        marked = inner.mark(image, marks, logo=logo)
        if image.facts["bit depth"] == _WIDE and content_digest(_read(marked)) != marked.pixels:
            raise InputError("expected marked voxels that fit into the same 16 bits as the original ones")
        return _told(marked, image, int(image.inks[0]), int(image.inks[-1]), self.name)

    def unmark(self, marked: Image, marks: Sequence[AnyMark], *, logo: Logo, residual: bytes) -> bytes:
        """Take marks off; see :class:`medlocker.formats._method.Method`."""
        if len(residual) < _LIMITS.size:
            raise RestoreError("the residual is cut")
        black, white = _LIMITS.unpack_from(residual)
        if black == white or max(black, white) >> marked.bits:
            raise RestoreError(f"expected two different samples of {marked.bits} bits for black and white")
        window = ShownRange(black, white, marked.bits)
        as_before = replace(marked, shown=window.shown(), inks=window.inks())
        tell = _TELL.get(marked.format)
        if tell is not None:
            as_before = replace(as_before, source=tell(marked.source, None))
        unmark = unmark_still if marked.frames is None else unmark_frames
        return unmark(as_before, marks, logo=logo, residual=residual[_LIMITS.size :])


def told_if_needed(marked: MarkedFile, image: Image) -> MarkedFile:
    """Return a marked file that is shown as its original, which shows all samples.

    A dark logo may leave so little brightness that the file would be taken for one of fewer bits.

    Args:
        marked: The file.
        image: Its original.
    """
    if image.format not in _TELL or image.bits != 16 or image.inks is not None:
        return marked
    if _read(marked).inks is None:
        return marked
    top = (1 << 16) - 1
    black, white = (top, 0) if image.white_is_zero else (0, top)
    return _told(marked, image, black, white, Windowed().name)


def _read(marked: MarkedFile) -> Image:
    return read_image(marked.data, name="image", limits=NO_LIMITS)


def _told(marked: MarkedFile, image: Image, black: int, white: int, method: str) -> MarkedFile:
    tell = _TELL.get(image.format)
    residual = _LIMITS.pack(black, white) + marked.residual
    if tell is None:
        return replace(marked, residual=residual, method=method)
    data = tell(marked.data, (min(black, white), max(black, white)))
    return replace(marked, data=data, residual=residual, method=method, metadata=metadata_digest(image))
