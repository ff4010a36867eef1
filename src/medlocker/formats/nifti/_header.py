"""The header of a NIfTI file: which voxels are where, after the definitions of NIfTI-1.1 and NIfTI-2.

Read with nothing but the standard library: a header is a few fixed fields, it comes from strangers, and
whoever restores should need no more libraries than now.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from medlocker.images import CHANNELS, Kind, Limits, check_frames, check_size, refuse

STARTS = (b"\x5c\x01\0\0", b"\0\0\x01\x5c", b"\x1c\x02\0\0", b"\0\0\x02\x1c")
"""The first field, its own size: 348 or 540, little-endian or big-endian."""

MAX_HEADER = 540
_ONE, _TWO = 348, 540
_WHOLE = {_ONE: b"n+1\0", _TWO: b"n+2\0\r\n\x1a\n"}
_PAIR = {_ONE: b"ni1\0", _TWO: b"ni2\0\r\n\x1a\n"}
_EXTENSION_FLAGS = 4
_EXPECTED_VOXELS = "expected NIfTI voxels of 8, 16 or 32 bit integers, or RGB"
_FLOATS = {16: 32, 64: 64, 1536: 128}
_UNREAD = {1: "single bits", 32: "complex numbers", 1024: "64-bit integers", 1280: "64-bit integers",
           1792: "complex numbers", 2048: "complex numbers"}  # fmt: skip


@dataclass(frozen=True)
class _Fields:
    """Places and types of the fields that are used, in one version."""

    magic: int
    datatype: int
    dim: tuple[int, str]
    pixdim: tuple[int, str]
    vox_offset: tuple[int, str]
    scaling: tuple[int, str]
    calibration: tuple[int, str]
    units: tuple[int, str]


_FIELDS = {
    _ONE: _Fields(344, 70, (40, "8h"), (76, "8f"), (108, "f"), (112, "2f"), (124, "2f"), (123, "B")),
    _TWO: _Fields(4, 12, (16, "8q"), (104, "8d"), (168, "q"), (176, "2d"), (192, "2d"), (500, "i")),
}


@dataclass(frozen=True)
class VoxelType:
    """How voxels are stored.

    Args:
        kind: What their channels mean.
        bits: Of one sample.
        signed: Whether samples are signed.
    """

    kind: Kind
    bits: int
    signed: bool = False

    @property
    def held_bits(self) -> int:
        """Bits of one sample in memory: voxels of 32 bits are read if their values fit into 16."""
        return min(self.bits, 16)

    @property
    def channels(self) -> int:
        """Samples of one voxel."""
        return CHANNELS[self.kind]


_TYPES: Mapping[int, VoxelType] = {
    2: VoxelType("grey", 8),
    4: VoxelType("grey", 16, signed=True),
    8: VoxelType("grey", 32, signed=True),
    128: VoxelType("rgb", 8),
    256: VoxelType("grey", 8, signed=True),
    512: VoxelType("grey", 16),
    768: VoxelType("grey", 32),
    2304: VoxelType("rgba", 8),
}


@dataclass(frozen=True)
class NiftiHeader:
    """What matters of a header.

    Args:
        order: ``<`` or ``>``.
        version: 1 or 2.
        type: Of the voxels.
        sizes: Voxels along each used axis, the fastest first, at least three.
        start: Offset of the first voxel.
        spacing: Along the same axes, in the file's own units.
        scaling: Slope and intercept from stored samples to values; slope 0 means none.
        calibration: Values to be shown black and white; equal if not told.
        millimetres: Whether lengths are in them.
        base: The value that is 0 in memory.
    """

    order: str
    version: int
    type: VoxelType
    sizes: tuple[int, ...]
    start: int
    spacing: tuple[float, ...]
    scaling: tuple[float, float]
    calibration: tuple[float, float]
    millimetres: bool
    base: int = 0

    @property
    def width(self) -> int:
        """Columns of a slice."""
        return self.sizes[0]

    @property
    def height(self) -> int:
        """Rows of a slice."""
        return self.sizes[1]

    @property
    def count(self) -> int:
        """Slices, of all time points together."""
        return math.prod(self.sizes[2:])

    @property
    def middle(self) -> int:
        """Number of the middle slice, at the middle time point."""
        place, step = 0, 1
        for size in self.sizes[2:]:
            place += size // 2 * step
            step *= size
        return place

    @property
    def frame_bytes(self) -> int:
        """Bytes of one slice."""
        return self.width * self.height * self.type.channels * self.type.bits // 8

    @property
    def end(self) -> int:
        """Offset after the last voxel."""
        return self.start + self.count * self.frame_bytes

    @property
    def is_scaled(self) -> bool:
        """Whether values differ from stored samples."""
        return self.scaling[0] not in (0.0, 1.0) or self.scaling[1] != 0.0

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of samples as stored."""
        return np.dtype(f"{self.order}{'i' if self.type.signed else 'u'}{self.type.bits // 8}")

    @property
    def extension_bytes(self) -> int:
        """Bytes between header and voxels that hold something."""
        return self.start - (_ONE if self.version == 1 else _TWO) - _EXTENSION_FLAGS


def parse_nifti_header(data: bytes | bytearray, name: str, *, limits: Limits) -> NiftiHeader:
    """Read the header at the beginning of a file, which may be cut after it.

    Raises:
        UnsupportedImageError: If it is of another kind, of voxels that are not read, or beyond the limits.
        Exception: Of other kinds, if it is damaged.
    """
    order = "<" if data[0] else ">"
    (size,) = struct.unpack_from(f"{order}i", data)
    fields = _FIELDS[size]
    magic = bytes(data[fields.magic : fields.magic + len(_WHOLE[size])])
    if magic == _PAIR[size]:
        refuse(
            name,
            "expected a NIfTI in one file, got the header of a pair of .hdr and .img",
            hint="convert it to .nii or .nii.gz",
        )
    if magic != _WHOLE[size]:
        refuse(name, "expected a NIfTI in one file, got another header of its size")
    (code,) = struct.unpack_from(f"{order}h", data, fields.datatype)
    (bits,) = struct.unpack_from(f"{order}h", data, fields.datatype + 2)
    kind = _voxel_type(code, name)
    if bits != kind.bits * kind.channels:
        refuse(name, f"expected voxels of {kind.bits * kind.channels} bits, got {bits}")

    def values(field: tuple[int, str]) -> tuple[Any, ...]:
        return struct.unpack_from(order + field[1], data, field[0])

    dim = values(fields.dim)
    if not 1 <= dim[0] <= 7 or any(side < 1 for side in dim[1 : dim[0] + 1]):
        refuse(name, "expected 1 to 7 axes of at least one voxel")
    sizes = tuple(int(side) for side in dim[1 : dim[0] + 1]) + (1,) * (3 - dim[0])
    check_size(name, width=sizes[0], height=sizes[1], limits=limits)
    (start,) = values(fields.vox_offset)
    if start != int(start) or start < size + _EXTENSION_FLAGS:
        raise ValueError("expected voxels after the header")
    (units,) = values(fields.units)
    high, low = values(fields.calibration)
    header = NiftiHeader(
        order=order,
        version=1 if size == _ONE else 2,
        type=kind,
        sizes=sizes,
        start=int(start),
        spacing=tuple(abs(float(step)) for step in values(fields.pixdim)[1 : len(sizes) + 1]),
        scaling=values(fields.scaling),
        calibration=(low, high),
        millimetres=units & 7 == 2,
        base=-(1 << (kind.held_bits - 1)) if kind.signed else 0,
    )
    check_frames(name, count=header.count, frame_bytes=header.frame_bytes, limits=limits)
    return header


def _voxel_type(code: int, name: str) -> VoxelType:
    if code in _FLOATS:
        refuse(
            name,
            f"{_EXPECTED_VOXELS}, got {_FLOATS[code]}-bit floating-point ones",
            hint="marks come off exactly from integers only: convert to int16 with scl_slope and scl_inter",
        )
    if code not in _TYPES:
        refuse(name, f"{_EXPECTED_VOXELS}, got {_UNREAD.get(code, f'data type {code}')}")
    return _TYPES[code]
