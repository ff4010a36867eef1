"""Which method marks which image: the first that suits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medlocker.errors import RestoreError
from medlocker.formats._keep import NOTHING, Keep
from medlocker.formats._layer import LAYERED
from medlocker.formats._method import MarkedFile, Method
from medlocker.formats._sealed import INNER, Sealed
from medlocker.formats._told import with_packet
from medlocker.formats.jpeg.mark import JpegDct, JpegFile
from medlocker.geometry import Box
from medlocker.images import Image
from medlocker.logo import Logo
from medlocker.provenance import Provenance
from medlocker.veil import AnyMark

_JPEG: tuple[Method, ...] = (JpegDct(), JpegFile())
METHODS: Mapping[str, Method] = {method.name: method for method in (*_JPEG, Sealed(), *INNER.values())}
"""By the names that sealed records give; the first that suits an image marks it."""


def mark_file(
    image: Image,
    marks: Sequence[AnyMark],
    *,
    logo: Logo,
    keep: Keep = NOTHING,
    provenance: Provenance | None = None,
) -> MarkedFile:
    """Put marks on an image and return the file to write.

    It has no metadata but what is known to be harmless; the rest is in the residual.

    Args:
        image: From :func:`medlocker.formats.read_image`.
        marks: In the order in which they are put on.
        keep: What else passes, see :data:`medlocker.formats.KEEPABLE`.
        provenance: What the file says of itself, in the terms of its format; None for nothing.

    Raises:
        InputError: If a mark leaves the image, or the file cannot be written.
    """
    marked = _method_for(image).mark(image, marks, logo=logo, keep=keep, provenance=provenance)
    return marked if provenance is None else with_packet(marked, image, provenance)


def unmark_file(
    marked: Image, marks: Sequence[AnyMark], *, logo: Logo, residual: bytes, method: str
) -> bytes:
    """Take marks off and return the original as a file; the caller compares digests.

    What lies around the file was taken off before, see :func:`medlocker.formats.without_layers`.

    Raises:
        RestoreError: If the method is unknown, or parameters and residual do not belong to this image.
    """
    known = METHODS.get(method)
    if known is None:
        names = " or ".join((*METHODS, LAYERED))
        raise RestoreError(f"expected the method {names}, got {method}", hint="a newer medlocker may know it")
    if not known.suits(marked):
        raise RestoreError(f"the method {method} does not suit this file")
    return known.unmark(marked, marks, logo=logo, residual=residual)


def influence_box(image: Image, box: Box) -> Box:
    """Return the pixels of an image that may change if any pixel of a box is marked.

    Where a format stores blocks instead of pixels this is more than the box; a mark that stays out of it
    changes nothing inside the box.
    """
    return _method_for(image).influence_box(image, box)


def unaffected_box(image: Image, reached: Box) -> Box | None:
    """Return the pixels that stay as they are if all marks keep out of a box: the inverse of
    :func:`influence_box`.

    Args:
        image: The original.
        reached: What :func:`influence_box` returned; a decoder may mix its outermost pixels with what lies
        beyond.

    Returns:
        None if no pixel is certain to stay: a small box that is not one of whole blocks.
    """
    inner, outer = reached, influence_box(image, reached)
    while True:
        left, top = inner.x + (outer.x < reached.x), inner.y + (outer.y < reached.y)
        right = inner.right - (outer.right > reached.right)
        bottom = inner.bottom - (outer.bottom > reached.bottom)
        if right <= left or bottom <= top:
            return None
        smaller = Box(left, top, right - left, bottom - top)
        if smaller == inner:
            return inner
        inner, outer = smaller, influence_box(image, smaller)


def _method_for(image: Image) -> Method:
    return next(method for method in METHODS.values() if method.suits(image))
