"""NIfTI files written by nibabel, and headers broken on purpose."""

from __future__ import annotations

import gzip
import struct
from typing import Any

import nibabel
import numpy as np
from image_samples import Array
from nibabel.nifti1 import Nifti1Extension

PERSON = b"DOE^JANE"
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
CLASSES: dict[int, Any] = {1: nibabel.Nifti1Image, 2: nibabel.Nifti2Image}


def nifti(
    voxels: Array,
    *,
    version: int = 1,
    order: str = "<",
    packed: bool = False,
    slope: float = 1.0,
    inter: float = 0.0,
    calibration: tuple[float, float] = (0, 0),
    extension: bytes = b"",
    trailing: bytes = b"",
) -> bytes:
    """A file of the given stored samples; the fields for free text name a person."""
    affine = np.diag([-1.0, -1.0, 2.5, 1.0])
    picture = CLASSES[version](voxels, affine, dtype=voxels.dtype)
    picture.header["descrip"] = PERSON
    picture.header["aux_file"] = PERSON
    picture.header["intent_name"] = PERSON
    picture.header["cal_min"], picture.header["cal_max"] = calibration
    picture.header.set_xyzt_units("mm", "sec")
    if extension:
        picture.header.extensions.append(Nifti1Extension(6, extension))
    swapped = type(picture)(voxels, affine, picture.header.as_byteswapped(order))
    data = bytearray(_bytes(swapped, voxels, slope, inter)) + trailing
    return gzip.compress(data) if packed else bytes(data)


def _bytes(picture: Any, voxels: Array, slope: float, inter: float) -> bytes:
    """Header by nibabel, then the samples as they are, never scaled."""
    data = bytearray(picture.to_bytes())
    header = type(picture.header)(bytes(data[: picture.header.sizeof_hdr]), check=False)
    header["scl_slope"], header["scl_inter"] = slope, inter
    start = int(header["vox_offset"])
    stored = np.asarray(voxels)
    if stored.dtype.fields is None:
        stored = stored.astype(stored.dtype.newbyteorder(header.endianness))
    data[: len(header.binaryblock)] = header.binaryblock
    data[start:] = stored.tobytes(order="F")
    return bytes(data)


def patched(data: bytes, at: int, form: str, *values: float) -> bytes:
    """Overwrite a header field."""
    out = bytearray(data)
    struct.pack_into(form, out, at, *values)
    return bytes(out)
