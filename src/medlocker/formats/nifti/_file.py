"""NIfTI-1 and NIfTI-2 in one file, plain or gzipped: header and extensions stay byte for byte.

The frames are the slices along the third stored axis, of all time points one after the other: rows are the
second axis, columns the first, as stored (an affine only says where they lie in a body). Signed samples are
held with their sign bit flipped, which keeps their order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from medlocker.formats.nifti._gzip import gunzip, gunzip_start, gzipped
from medlocker.formats.nifti._header import MAX_HEADER, STARTS, NiftiHeader, parse_nifti_header
from medlocker.formats.nifti._window import find_window
from medlocker.images import NO_LIMITS, Image, Limits, Pixels, refuse, translated

GZIP_START = b"\x1f\x8b\x08"
NIFTI_STARTS = (*STARTS, GZIP_START)
_MAX_TRAILING = 1 << 20
"""Bytes after the last voxel; a gzipped file may not grow beyond that."""


@dataclass(frozen=True, eq=False)
class _Slices:
    """All slices of a volume, in uncompressed content."""

    header: NiftiHeader
    content: bytes | bytearray

    def __len__(self) -> int:
        return self.header.count

    def __getitem__(self, index: int, /) -> Pixels:
        header = self.header
        samples = header.width * header.height * header.type.channels
        at = header.start + index * header.frame_bytes
        stored = np.frombuffer(self.content, header.dtype, samples, at)
        native = stored.astype(header.dtype.newbyteorder("="))
        if header.type.signed:
            native ^= native.dtype.type(1 << (header.type.bits - 1))
        return native.reshape(header.height, header.width, header.type.channels)


def _open(data: bytes, name: str, limits: Limits) -> _Slices:
    """Parse a file and decompress it as far as its header announces."""
    packed = data.startswith(GZIP_START)
    start = gunzip_start(data, MAX_HEADER) if packed else data
    if not start.startswith(STARTS):
        refuse(name, "expected a NIfTI in a gzip file, got something else in it")
    header = parse_nifti_header(start, name, limits=limits)
    if header.end > limits.max_file_bytes:
        refuse(name, f"expected at most {limits.max_file_bytes} bytes uncompressed, got {header.end}")
    content = gunzip(data, size=header.end, most=header.end + _MAX_TRAILING) if packed else data
    if header.end > len(content):
        refuse(name, "expected a whole NIfTI image, got a cut one")
    return _Slices(header, content)


def read_nifti(data: bytes, name: str, *, limits: Limits) -> Image:
    """Read a NIfTI file, gzipped or not.

    Raises:
        UnsupportedImageError: If it is damaged, one of a pair, of floating-point or other voxels that are
            not read, or beyond the limits.
    """
    with translated(name, what="NIfTI"):
        slices = _open(data, name, limits)
        header = slices.header
        window = None
        if header.type.kind == "grey":
            window = find_window(header, (slices[i] for i in range(len(slices))))
        return Image(
            slices[header.middle],
            header.type.kind,
            "nifti",
            data,
            facts=_facts(header, packed=data.startswith(GZIP_START)),
            frames=slices if header.count > 1 else None,
            shown=None if window is None else window.shown(),
            inks=None if window is None else window.inks(),
        )


def _facts(header: NiftiHeader, *, packed: bool) -> dict[str, str | int | bool]:
    """Return what tells nothing of a person: free text, names and extensions are only counted."""
    facts: dict[str, str | int | bool] = {
        "bit depth": header.type.bits,
        "kind": header.type.kind,
        "compression": "gzip" if packed else "none",
        "byte order": "little" if header.order == "<" else "big",
        "version": f"NIfTI-{header.version}",
        "signed": header.type.signed,
        "voxels": " x ".join(str(size) for size in header.sizes),
        "scaled": header.is_scaled,
        "extension bytes": header.extension_bytes,
        "icc": False,
        "exif": False,
        "gps": False,
    }
    if header.millimetres:
        facts["voxel size"] = " x ".join(f"{step:.4g}" for step in header.spacing[:3]) + " mm"
    if header.count > 1:
        facts["frames"] = header.count
    return facts


def encode_nifti(image: Image, pixels: Pixels) -> bytes:
    """Write the only slice of a volume; all else stays as in the image's source.

    Args:
        image: Read from NIfTI.
        pixels: Checked to be of the image's shape and type.
    """
    return encode_nifti_frames(image, iter((pixels,)))


def encode_nifti_frames(image: Image, frames: Iterator[Pixels]) -> bytes:
    """Write all slices; all else stays as in the image's source. Gzip files have no name and no time.

    Args:
        image: Read from NIfTI.
        frames: As many as its slices, checked to be of the image's shape and type.
    """
    slices = _slices(image)
    header, content = slices.header, memoryview(slices.content)
    pieces = _pieces(header, content, frames)
    return gzipped(pieces) if image.source.startswith(GZIP_START) else b"".join(pieces)


def _pieces(
    header: NiftiHeader, content: memoryview, frames: Iterator[Pixels]
) -> Iterator[bytes | memoryview]:
    yield content[: header.start]
    for pixels in frames:
        if header.type.signed:
            pixels = pixels ^ pixels.dtype.type(1 << (header.type.bits - 1))
        yield pixels.astype(header.dtype, copy=False).tobytes()
    yield content[header.end :]


def _slices(image: Image) -> _Slices:
    """Return the slices of an image that has been read; those of a volume are open already."""
    if isinstance(image.frames, _Slices):
        return image.frames
    return _open(image.source, "image", NO_LIMITS)


def metadata_nifti(image: Image) -> Iterator[bytes]:
    """Yield header, extensions, and what follows the voxels."""
    slices = _slices(image)
    content = memoryview(slices.content)
    yield b"nifti\n"
    yield bytes(content[: slices.header.start])
    yield b"voxels\n"
    yield bytes(content[slices.header.end :])
