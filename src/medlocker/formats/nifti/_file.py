"""NIfTI-1 and NIfTI-2 in one file, plain or gzipped: header and extensions stay byte for byte.

The frames are the slices along the third stored axis, of all time points one after the other: rows are the
second axis, columns the first, as stored (an affine only says where they lie in a body). Signed samples are
held with their sign bit flipped, which keeps their order; 32-bit ones as what they exceed a common value by.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from medlocker.formats._glance import Content, Glance
from medlocker.formats._keep import Keep
from medlocker.formats.nifti._gzip import gunzip, gunzip_start, gzipped
from medlocker.formats.nifti._header import MAX_HEADER, STARTS, NiftiHeader, parse_nifti_header
from medlocker.formats.nifti._window import find_window
from medlocker.images import NO_LIMITS, Image, Limits, Pixels, refuse, translated

GZIP_START = b"\x1f\x8b\x08"
NIFTI_STARTS = (*STARTS, GZIP_START)
_EXTENSION_FLAGS = 4
_HELD_BITS, _HALF, _MOST = 16, 1 << 15, (1 << 16) - 1
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
        # modulo 2^bits, as unsigned types count: no wider numbers are needed
        held = stored.astype(f"u{header.type.held_bits // 8}")
        held -= held.dtype.type(header.base % (1 << header.type.held_bits))
        return held.reshape(header.height, header.width, header.type.channels)


def _parse(data: Content, name: str, limits: Limits) -> tuple[NiftiHeader, bool]:
    """Return a file's header, and whether it is gzipped."""
    packed = data[: len(GZIP_START)] == GZIP_START
    start = gunzip_start(data, MAX_HEADER) if packed else data[:MAX_HEADER]
    if not start.startswith(STARTS):
        refuse(name, "expected a NIfTI in a gzip file, got something else in it")
    header = parse_nifti_header(start, name, limits=limits)
    if header.end > limits.max_file_bytes:
        refuse(name, f"expected at most {limits.max_file_bytes} bytes uncompressed, got {header.end}")
    return header, packed


def glance_nifti(data: Content, name: str, *, limits: Limits) -> Glance:
    """Tell what a NIfTI file's header says, without decompressing the rest; see :func:`read_nifti`."""
    with translated(name, what="NIfTI"):
        header, packed = _parse(data, name, limits)
        if header.end > len(data) and not packed:
            refuse(name, "expected a whole NIfTI image, got a cut one")
    size = header.count * header.frame_bytes
    facts = _facts(header, packed=packed)
    facts.pop("base", None)  # only the voxels tell
    return Glance("nifti", header.width, header.height, header.count, size, facts)


def _open(data: bytes, name: str, limits: Limits) -> _Slices:
    """Parse a file and decompress it as far as its header announces."""
    header, packed = _parse(data, name, limits)
    content = gunzip(data, size=header.end, most=header.end + _MAX_TRAILING) if packed else data
    if header.end > len(content):
        refuse(name, "expected a whole NIfTI image, got a cut one")
    if header.type.bits == 32:
        header = replace(header, base=_base(header, content, name))
    return _Slices(header, content)


def _base(header: NiftiHeader, content: bytes | bytearray, name: str) -> int:
    """Return the value that is held as 0, so that all values of a volume of 32 bits fit into 16.

    Rather one of a 16-bit type, else a round one: a marked volume should have the same.
    """
    size = header.width * header.height
    places = range(header.start, header.end, header.frame_bytes)
    slices = [np.frombuffer(content, header.dtype, size, at) for at in places]
    least, most = min(int(one.min()) for one in slices), max(int(one.max()) for one in slices)
    if header.type.signed and least >= -_HALF and most < _HALF:
        return -_HALF
    for bits in range(_HELD_BITS, -1, -1):
        base = least >> bits << bits
        if most - base <= _MOST:
            return base
    refuse(name, "expected 32-bit voxels whose values fit into 16 bits, got values too far apart")


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
    if header.type.bits > header.type.held_bits:
        facts["base"] = header.base
    if header.millimetres:
        facts["voxel size"] = " x ".join(f"{step:.4g}" for step in header.spacing[:3]) + " mm"
    if header.count > 1:
        facts["frames"] = header.count
    return facts


def encode_nifti(image: Image, frames: Iterator[Pixels]) -> bytes:
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
        stored = pixels.astype(f"u{header.type.bits // 8}")
        stored += stored.dtype.type(header.base % (1 << header.type.bits))
        yield stored.astype(header.dtype.str.replace("i", "u"), copy=False).tobytes()
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


def hold_nifti(image: Image, keep: Keep) -> tuple[Image, bytes]:
    """Return the image without extensions and without what follows the voxels, and what was there.

    Args:
        image: Read from NIfTI.
        keep: What passes although it may hold a picture.

    Returns:
        The image, and the length of what precedes the voxels, that, and what follows them; nothing if all of
        it passes.
    """
    slices = _slices(image)
    header = slices.header
    start, end = bytes(slices.content[: header.start]), bytes(slices.content[header.end :])
    known = header.start - header.extension_bytes - _EXTENSION_FLAGS
    bare_start = start if "private" in keep else start[:known] + bytes(header.start - known)
    bare_end = end if "trailing" in keep else b""
    if (bare_start, bare_end) == (start, end):
        return image, b""
    pieces = (bare_start, memoryview(slices.content)[header.start : header.end], bare_end)
    held = struct.pack("<Q", len(start)) + start + end
    # a still is opened again from its source, a volume is open
    content = b"".join(pieces)
    frames = None if image.frames is None else replace(slices, content=content)
    source = gzipped(pieces) if frames is None and image.source.startswith(GZIP_START) else content
    if frames is not None:
        source = image.source[: len(GZIP_START)]  # tells whether it is packed
    return replace(image, source=source, frames=frames), held


def complete_nifti(bare: bytes, held: bytes) -> bytes:
    """Return a file with what :func:`hold_nifti` held back."""
    slices = _open(bare, "image", NO_LIMITS)
    (size,) = struct.unpack_from("<Q", held)
    start, end = held[8 : 8 + size], held[8 + size :]
    header = slices.header
    if size != header.start:
        raise ValueError("expected as much before the voxels")
    pieces = (start, memoryview(slices.content)[header.start : header.end], end)
    return gzipped(pieces) if bare.startswith(GZIP_START) else b"".join(pieces)
