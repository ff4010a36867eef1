"""Single frames: as they are stored, or as plain samples, little-endian."""

from __future__ import annotations

import io

import numpy as np
from pydicom import Dataset, dcmread, uid
from pydicom.encaps import get_frame, parse_basic_offsets
from pydicom.pixels.utils import pixel_array

from medlocker.errors import InputError, UnsupportedImageError
from medlocker.formats.dicom import quiet
from medlocker.images import LIMITS
from medlocker.proxy._accept import OCTETS
from medlocker.proxy._parts import pixels_at, readable

PLAIN = str(uid.ExplicitVRLittleEndian)
_AS_STORED = frozenset({PLAIN, str(uid.ImplicitVRLittleEndian)})
"""Syntaxes whose samples are plain."""
_KINDS = {
    "image/jpeg": (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1),
    "image/jls": (uid.JPEGLSLossless, uid.JPEGLSNearLossless),
    "image/jp2": (uid.JPEG2000Lossless, uid.JPEG2000),
    "image/jphc": (uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K),
    "image/dicom-rle": (uid.RLELossless,),
}
_KIND_OF = {str(syntax): kind for kind, syntaxes in _KINDS.items() for syntax in syntaxes}


def kind_of(syntax: str) -> str:
    """Return the media type of a frame as it is stored."""
    return _KIND_OF.get(syntax, OCTETS)


class Frames:
    """The frames of one DICOM file; only those that are asked for are read.

    Args:
        data: The file.

    Raises:
        UnsupportedImageError: If it is damaged, or has no pixels.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._header, self._at = pixels_at(data)
        self.syntax = str(self._header.file_meta.TransferSyntaxUID)
        with readable():
            self.count = int(self._header.get("NumberOfFrames") or 1)
        if self._at < 0 or not 0 < self.count <= LIMITS.max_frames:
            raise UnsupportedImageError("the instance has no frames")

    @property
    def is_packed(self) -> bool:
        """Whether frames are compressed, each by itself."""
        return uid.UID(self.syntax).is_encapsulated

    def stored(self, number: int) -> bytes:
        """Return a frame as it is stored, 1 is the first.

        Raises:
            InputError: If there is no such frame.
            UnsupportedImageError: If it is damaged, or no whole number of bytes.
        """
        self._check(number)
        with readable():
            if self.is_packed:
                return self._packed(number - 1)
            length = _frame_bytes(self._header)
            start = self._at + (number - 1) * length
            frame = self._data[start : start + length]
            if len(frame) < length:
                raise UnsupportedImageError("the pixels are cut off")
            return frame

    def plain(self, number: int) -> bytes:
        """Return a frame's samples uncompressed, little-endian, in the order that the header tells.

        Raises:
            InputError: If there is no such frame.
            UnsupportedImageError: If it cannot be decoded into what the header says.
        """
        self._check(number)
        if self.syntax in _AS_STORED:
            return self.stored(number)
        with readable(), quiet():
            if str(self._header.get("PhotometricInterpretation", "")).endswith(
                ("_422", "_420", "_ICT", "_RCT")
            ):
                raise UnsupportedImageError("frames of this colour model are given as they are stored")
            samples = pixel_array(io.BytesIO(self._data), index=number - 1, raw=True)
            if samples.ndim == 3 and self._header.get("PlanarConfiguration") == 1:
                samples = np.moveaxis(samples, 2, 0)
            return np.ascontiguousarray(samples, samples.dtype.newbyteorder("<")).tobytes()

    def _check(self, number: int) -> None:
        if not 1 <= number <= self.count:
            raise InputError(f"frame {number}: the instance has {self.count}")

    def _packed(self, index: int) -> bytes:
        stream = io.BytesIO(self._data)
        stream.seek(self._at)
        if self.count > 1 and not parse_basic_offsets(stream):
            extended = self._header.get("ExtendedOffsetTable"), self._header.get("ExtendedOffsetTableLengths")
            stream.seek(self._at)
            if all(extended):
                return get_frame(stream, index, number_of_frames=self.count, extended_offsets=extended)
        stream.seek(self._at)
        return get_frame(stream, index, number_of_frames=self.count)


def _frame_bytes(header: Dataset) -> int:
    """Return the length of an uncompressed frame."""
    samples = int(header.SamplesPerPixel)
    bits = int(header.Rows) * int(header.Columns) * samples * int(header.BitsAllocated)
    if header.get("PhotometricInterpretation") == "YBR_FULL_422":
        bits = bits // 3 * 2
    if bits <= 0 or bits % 8:
        raise UnsupportedImageError("the frames are no whole number of bytes")
    return bits // 8


def as_plain_file(data: bytes) -> bytes:
    """Return a DICOM file in Explicit VR Little Endian, uncompressed, with the same UIDs.

    Raises:
        UnsupportedImageError: If it cannot be decoded.
    """
    with readable(), quiet():
        dataset = dcmread(io.BytesIO(data))
        syntax = uid.UID(dataset.file_meta.TransferSyntaxUID)
        if syntax == PLAIN:
            return data
        if syntax.is_encapsulated:
            dataset.decompress(as_rgb=False, generate_instance_uid=False)
        elif not syntax.is_little_endian and "PixelData" in dataset:
            raise UnsupportedImageError("big-endian files are given as they are stored")
        dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        stream = io.BytesIO()
        dataset.save_as(stream, implicit_vr=False, little_endian=True, enforce_file_format=True)
        return stream.getvalue()
