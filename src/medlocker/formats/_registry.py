"""One entrance for all formats: content decides which adapter reads, the image's format which one writes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from medlocker.errors import InputError
from medlocker.formats._glance import Content, Glance
from medlocker.formats.bmp import encode_bmp, glance_bmp, metadata_bmp, read_bmp
from medlocker.formats.dicom import (
    encode_dicom,
    glance_dicom,
    looks_like_dicom,
    metadata_dicom,
    read_dicom,
)
from medlocker.formats.jpeg import glance_jpeg, metadata_jpeg, read_jpeg
from medlocker.formats.nifti import (
    NIFTI_STARTS,
    encode_nifti,
    glance_nifti,
    metadata_nifti,
    read_nifti,
)
from medlocker.formats.png import SIGNATURE, encode_png, glance_png, metadata_png, read_png
from medlocker.formats.tiff import encode_tiff, glance_tiff, metadata_tiff, read_tiff
from medlocker.images import LIMITS, Image, Limits, Pixels, refuse


class _Glancer(Protocol):
    def __call__(self, data: Content, name: str, /, *, limits: Limits) -> Glance: ...


class _Reader(Protocol):
    def __call__(self, data: bytes, name: str, /, *, limits: Limits) -> Image: ...


@dataclass(frozen=True)
class _Adapter:
    """How one format is told, read and written."""

    starts: tuple[bytes, ...]
    read: _Reader
    glance: _Glancer
    metadata: Callable[[Image], Iterator[bytes]]
    encode: Callable[[Image, Iterator[Pixels]], bytes] | None = None


_ADAPTERS: Mapping[str, _Adapter] = {
    "png": _Adapter((SIGNATURE,), read_png, glance_png, metadata_png, encode_png),
    "tiff": _Adapter(
        (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        read_tiff,
        glance_tiff,
        metadata_tiff,
        encode_tiff,
    ),
    "bmp": _Adapter((b"BM",), read_bmp, glance_bmp, metadata_bmp, encode_bmp),
    "jpeg": _Adapter((b"\xff\xd8\xff",), read_jpeg, glance_jpeg, metadata_jpeg),
    "dicom": _Adapter((), read_dicom, glance_dicom, metadata_dicom, encode_dicom),
    "nifti": _Adapter(NIFTI_STARTS, read_nifti, glance_nifti, metadata_nifti, encode_nifti),
}
_LONGEST_START = 8
_EXPECTED = "expected a PNG, TIFF, BMP, JPEG, DICOM or NIfTI image"


def read_image(data: bytes, *, name: str, limits: Limits = LIMITS) -> Image:
    """Read one object of one frame or several, pixels exactly as stored.

    Args:
        data: The whole file. Its content tells the format, never its name.
        name: How messages call the file.
        limits: What is refused from the header, before anything is decoded.

    Returns:
        The image; its ``facts`` have ``bit depth``, ``kind``, ``compression``, ``icc``, ``exif``, ``gps``
        and, where told, ``orientation`` and ``dpi``.

    Raises:
        UnsupportedImageError: If it is empty, cut, damaged, animated, of pages that differ, of an unsupported
            pixel type, or beyond the limits; nothing else.
    """
    return _adapter(data, name, limits).read(data, name, limits=limits)


def glance_image(data: Content, *, name: str, limits: Limits = LIMITS) -> Glance:
    """Tell what the headers of an object say, without decoding anything: fast, however large it is.

    Args:
        data: The whole file, as it is or mapped into memory.
        name: How messages call the file.
        limits: What is refused.

    Raises:
        UnsupportedImageError: As :func:`read_image`, as far as headers show it.
    """
    return _adapter(data, name, limits).glance(data, name, limits=limits)


def _adapter(data: Content, name: str, limits: Limits) -> _Adapter:
    if not data:
        refuse(name, f"{_EXPECTED}, got an empty file")
    if len(data) > limits.max_file_bytes:
        refuse(name, f"expected at most {limits.max_file_bytes} bytes, got {len(data)}")
    if looks_like_dicom(data):  # before the others: its preamble may look like the start of a TIFF
        return _ADAPTERS["dicom"]
    start = data[:_LONGEST_START]
    for adapter in _ADAPTERS.values():
        if start.startswith(adapter.starts):
            return adapter
    if start.startswith((b"GIF87a", b"GIF89a")):
        refuse(name, f"{_EXPECTED}, got a GIF")
    refuse(name, f"{_EXPECTED}, got something else")


def encode_image(image: Image, pixels: Pixels) -> bytes:
    """Return a file with other pixels and everything else as in the image's source, without loss.

    The format, bit depth, kind and palette stay.
    Thumbnails and editors' layers, which would show the picture unmarked, are left out.

    Args:
        image: From :func:`read_image`.
        pixels: (H, W, C) of the image's shape and type.

    Raises:
        InputError: If the pixels do not fit the image, or it is a JPEG, which cannot hold chosen pixels.
    """
    if image.frames is not None:
        raise InputError(f"expected {len(image.frames)} frames, got the pixels of one")
    return _encode(image, iter((pixels,)), 1)


def encode_frames(image: Image, frames: Iterator[Pixels]) -> bytes:
    """Return a file with other frames and everything else as in the image's source, without loss.

    Args:
        image: From :func:`read_image`, of several frames.
        frames: As many as the image has, (H, W, C) of its shape and type each; taken one at a time.

    Raises:
        InputError: If the frames do not fit the image, or it is a still.
    """
    if image.frames is None:
        raise InputError(f"expected an image of several frames, got a {image.format} still")
    data = _encode(image, frames, len(image.frames))
    if next(frames, None) is not None:
        raise InputError(f"expected {len(image.frames)} frames, got more")
    return data


def _encode(image: Image, frames: Iterator[Pixels], count: int) -> bytes:
    encode = _ADAPTERS[image.format].encode
    if encode is None:
        raise InputError(f"expected a format that keeps chosen pixels, got {image.format}")
    return encode(image, _checked(image, frames, count))


def _checked(image: Image, frames: Iterator[Pixels], count: int) -> Iterator[Pixels]:
    for index in range(count):
        frame = next(frames, None)
        if frame is None:
            raise InputError(f"expected {count} frames, got {index}")
        _check_pixels(image, frame)
        yield np.ascontiguousarray(frame)


def _check_pixels(image: Image, pixels: Pixels) -> None:
    if pixels.shape != image.pixels.shape or pixels.dtype != image.pixels.dtype:
        raise InputError(
            f"expected pixels {image.pixels.shape} {image.pixels.dtype}, got {pixels.shape} {pixels.dtype}"
        )
    if image.palette is not None and pixels.max() >= len(image.palette):
        raise InputError(f"expected palette indices below {len(image.palette)}, got {pixels.max()}")


def metadata_digest(image: Image) -> str:
    """Return the SHA-256 of everything a file holds besides its pixels and their layout.

    A file written by :func:`encode_image` has the digest of its source. In a JPEG quantisation tables and
    sampling count as metadata.

    Returns:
        64 lower-case hex digits.
    """
    digest = hashlib.sha256(b"medlocker-metadata-v1\n")
    for piece in _ADAPTERS[image.format].metadata(image):
        digest.update(piece)
    return digest.hexdigest()
