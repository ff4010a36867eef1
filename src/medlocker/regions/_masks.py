"""Boxes of lesions drawn as masks: decoding one mask and finding its connected parts."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL.TiffImagePlugin import TiffImageFile

from medlocker.errors import InputError, UnsupportedImageError
from medlocker.files import read_limited
from medlocker.formats import read_image
from medlocker.formats.dicom import quiet
from medlocker.geometry import Box
from medlocker.images import Image, Limits, Pixels

MAX_MASK_BYTES = 1 << 30
MAX_LOOK_BYTES = 1 << 26
MAX_LOOK_PIXELS = 1 << 26

_CONNECTIVITY = 8
_PNG_BIT_DEPTH_AT = 24
_TIFF_BITS_PER_SAMPLE = 258


def boxes_from_mask(mask: NDArray[Any], *, min_area_px: int = 1) -> tuple[Box, ...]:
    """Return the bounding box of every connected part of a mask.

    Args:
        mask: (H, W) bool or integers; whatever is not 0 belongs to a lesion. Pixels that touch at a corner
            are connected.
        min_area_px: Parts of fewer pixels are left out.

    Returns:
        The boxes, sorted.

    Raises:
        InputError: If the mask is not two-dimensional.

    >>> import numpy as np
    >>> boxes_from_mask(np.array([[1, 0, 0, 0], [0, 1, 0, 7]]))
    (Box(x=0, y=0, width=2, height=2), Box(x=3, y=1, width=1, height=1))
    """
    if mask.ndim != 2:
        raise InputError(f"expected a mask of (H, W), got {mask.ndim} dimensions")
    if mask.size == 0:
        return ()
    marked = np.ascontiguousarray(mask != 0).view(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(marked, connectivity=_CONNECTIVITY)
    boxes = []
    for x, y, width, height, area in stats[1:].tolist():
        if area >= min_area_px:
            boxes.append(Box(x, y, width, height))
    return tuple(sorted(boxes))


def read_mask(path: Path, *, name: str, width: int, height: int) -> NDArray[np.bool_]:
    """Read a mask of a known size.

    A pixel belongs to a lesion if its grey value or any of its colours is not 0; in a palette picture also
    if its index is not 0. Where transparency differs between pixels, transparency alone decides: what is
    not wholly transparent belongs to a lesion. Of several frames a lesion in any one counts.

    Args:
        path: The file: what :func:`medlocker.formats.read_image` reads, or a picture of
            1, 2 or 4 bits, or of 32 (whole or real numbers).
        name: How messages call it.
        width: Columns the mask must have; another size is refused before anything is decoded.

    Returns:
        (height, width) bool.

    Raises:
        InputError: If the file cannot be read or is of another size.
    """
    data = read_limited(path, max_bytes=MAX_MASK_BYTES, what="mask")
    only_masks = _check_header(data, name=name, width=width, height=height)
    marked = _decoded(data, name, Limits(max_pixels=width * height), only_masks=only_masks)
    if marked.shape != (height, width):
        raise _wrong_size(name, expected=(width, height), got=(marked.shape[1], marked.shape[0]))
    return marked


def mask_share(path: Path, *, name: str) -> float:
    """Return the share of a mask's pixels that belong to a lesion, as :func:`read_mask` decides it.

    Raises:
        InputError: If the file cannot be read, or is larger than a look at it is worth.
    """
    data = read_limited(path, max_bytes=MAX_LOOK_BYTES, what="mask")
    limits = Limits(max_pixels=MAX_LOOK_PIXELS)
    try:
        with quiet(), PillowImage.open(io.BytesIO(data)) as picture:
            width, height, only_masks = *picture.size, _only_masks_have(picture, data)
    except Exception:  # as below: the real reader words the refusal
        width, height, only_masks = 0, 0, False
    if width * height > MAX_LOOK_PIXELS:
        raise InputError(f"mask {name}: expected at most {MAX_LOOK_PIXELS} pixels", subject=name)
    return float(_decoded(data, name, limits, only_masks=only_masks).mean())


def _decoded(data: bytes, name: str, limits: Limits, *, only_masks: bool) -> NDArray[np.bool_]:
    try:
        image = read_image(data, name=f"mask {name}", limits=limits)
    except UnsupportedImageError:
        if not only_masks:
            raise
        return _read_other(data, name=name)
    return _lesion_pixels(image)


def _check_header(data: bytes, *, name: str, width: int, height: int) -> bool:
    """Refuse another size from the header alone; tells whether samples are of a kind that only masks have."""
    try:
        # only the size matters here, and it is checked below
        with quiet(), PillowImage.open(io.BytesIO(data)) as picture:
            size, only_masks = picture.size, _only_masks_have(picture, data)
    except Exception:  # decoders raise anything on foreign bytes; the real reader words the refusal
        return False
    if size != (width, height):
        raise _wrong_size(name, expected=(width, height), got=size)
    return only_masks


def _only_masks_have(picture: PillowImage.Image, data: bytes) -> bool:
    """Tell whether samples have fewer than 8 bits, or are whole or real numbers of 32."""
    if picture.mode in ("1", "F", "I"):
        return True
    if picture.format == "PNG" and picture.mode in ("L", "P"):
        return data[_PNG_BIT_DEPTH_AT] < 8
    if isinstance(picture, TiffImageFile) and picture.mode in ("L", "P"):
        return bool(max(picture.tag_v2.get(_TIFF_BITS_PER_SAMPLE, (1,))) < 8)
    return False


def _read_other(data: bytes, *, name: str) -> NDArray[np.bool_]:
    """Decode a picture of 1, 2, 4 or 32 bits, which no image to be marked may be, but a mask may."""
    try:
        with quiet(), PillowImage.open(io.BytesIO(data)) as picture:
            pictures = getattr(picture, "n_frames", 1)
            if pictures != 1:
                raise InputError(f"mask {name}: expected one picture, got {pictures}", subject=name)
            marked = np.asarray(picture) != 0
            if picture.mode == "P":
                marked |= np.asarray(picture.convert("RGB")).any(axis=2)
            return np.asarray(marked)
    except InputError:
        raise
    except Exception as error:  # as above: decoders raise anything
        raise UnsupportedImageError(
            f"mask {name}: expected a whole picture, got a damaged one", subject=name
        ) from error


def _lesion_pixels(image: Image) -> NDArray[np.bool_]:
    """Return what belongs to a lesion in any frame: marks are the same in all of them."""
    frames = image.frames
    if frames is None:
        return _lesion_pixels_of(image, image.pixels)
    marked = np.zeros((image.height, image.width), np.bool_)
    for index in range(len(frames)):
        marked |= _lesion_pixels_of(image, frames[index])
    return marked


def _lesion_pixels_of(image: Image, pixels: Pixels) -> NDArray[np.bool_]:
    if image.kind in ("grey-alpha", "rgba"):
        alpha = pixels[..., -1]
        if alpha.min() != alpha.max():
            return np.asarray(alpha != 0)
    # signed samples are held with their sign bit flipped
    zero = 1 << (image.bits - 1) if image.facts.get("signed") is True else 0
    base = image.facts.get("base")
    if isinstance(base, int):  # of 32-bit samples
        zero = -base
    marked = np.asarray(pixels[..., : image.color_channels] != zero).any(axis=2)
    if image.kind == "palette" and image.palette is not None:
        colored = np.zeros(256, np.bool_)
        colored[: len(image.palette)] = image.palette.any(axis=1)
        marked |= colored[pixels[..., 0]]
    return np.asarray(marked)


def _wrong_size(name: str, *, expected: tuple[int, int], got: tuple[int, int]) -> InputError:
    return InputError(
        f"mask {name}: expected a mask of {expected[0]} x {expected[1]} pixels, got {got[0]} x {got[1]}",
        subject=name,
    )
