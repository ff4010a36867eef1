"""Which method marks which image: the first that suits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medlocker.errors import RestoreError
from medlocker.formats._method import MarkedFile, Method
from medlocker.formats._stacks import Stacks
from medlocker.formats._stills import Stills
from medlocker.formats.dicom.mark import Dicom
from medlocker.formats.jpeg.mark import JpegDct
from medlocker.formats.nifti.mark import Volumes
from medlocker.geometry import Box
from medlocker.images import Image
from medlocker.logo import Logo
from medlocker.veil import AnyMark

METHODS: Mapping[str, Method] = {
    method.name: method for method in (Dicom(), JpegDct(), Volumes(), Stills(), Stacks())
}
"""By the names that sealed records give; the first that suits an image marks it."""


def mark_file(image: Image, marks: Sequence[AnyMark], *, logo: Logo) -> MarkedFile:
    """Put marks on an image and return the file to write.

    Raises:
        InputError: If a mark leaves the image, or the file cannot be written.
    """
    return _method_for(image).mark(image, marks, logo=logo)


def unmark_file(
    marked: Image, marks: Sequence[AnyMark], *, logo: Logo, residual: bytes, method: str
) -> bytes:
    """Take marks off and return the original as a file; the caller compares digests.

    Raises:
        RestoreError: If the method is unknown, or parameters and residual do not belong to this image.
    """
    known = METHODS.get(method)
    if known is None:
        raise RestoreError(
            f"expected the method {' or '.join(METHODS)}, got {method}", hint="a newer medlocker may know it"
        )
    if not known.suits(marked):
        raise RestoreError(f"the method {method} does not suit this file")
    return known.unmark(marked, marks, logo=logo, residual=residual)


def reach(image: Image, box: Box) -> Box:
    """Return the pixels of an image that may change if any pixel of a box is marked.

    Where a format stores blocks instead of pixels this is more than the box; a mark that stays out of it
    changes nothing inside the box.
    """
    return _method_for(image).reach(image, box)


def kept(image: Image, reached: Box) -> Box | None:
    """Return the pixels that stay as they are if all marks keep out of a box: the inverse of :func:`reach`.

    Args:
        image: The original.
        reached: What :func:`reach` returned; a decoder may mix its outermost pixels with what lies beyond.

    Returns:
        None if no pixel is certain to stay: a small box that is not one of whole blocks.
    """
    inner, outer = reached, reach(image, reached)
    while True:
        left, top = inner.x + (outer.x < reached.x), inner.y + (outer.y < reached.y)
        right = inner.right - (outer.right > reached.right)
        bottom = inner.bottom - (outer.bottom > reached.bottom)
        if right <= left or bottom <= top:
            return None
        smaller = Box(left, top, right - left, bottom - top)
        if smaller == inner:
            return inner
        inner, outer = smaller, reach(image, smaller)


def _method_for(image: Image) -> Method:
    return next(method for method in METHODS.values() if method.suits(image))
