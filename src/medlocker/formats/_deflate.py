"""Compress fast, and decompress only as much as was announced.

Measured on one thread of a 2-core machine, filter and compression together, ms and bytes:

=================  ================  ====================  ====================
encoder            1072x712          4288x2848             4288x2848
                   photo-like        photo-like            real fundus
=================  ================  ====================  ====================
Pillow, level 6    162    403,874    2660   6,229,322      -
Pillow, level 1    46     475,919    582    7,234,305      -
OpenCV, default    13     421,868    205    6,577,984      276    10,022,280
up, libdeflate 4   -                 -                     274    6,539,581
up, libdeflate 1   -                 -                     -          118, 7,379,841
average, zlib 1    14     476,368    248    7,269,547      -
average, zlib-ng   8.5    457,723    165    7,051,946      -
average, ISA-L 1   3.2    453,539    83     6,954,455      104    9,295,296
up, ISA-L 1        3.1    490,216    54     7,517,916      64     7,666,040
=================  ================  ====================  ====================

So libdeflate's level 1. ISA-L is twice as fast, but of about 5,000 pictures one came out with other bytes
(for the same pixels) in another process, and its code depends on the processor: a resumed run, or one of
several machines, would not be equal byte for byte. All of these release the interpreter lock. ISA-L reads.
"""

from __future__ import annotations

import struct
from typing import cast

import imagecodecs
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

_LEVEL = 1
_STORED_MAX = 65_535
_MAX_RATIO = 1_040
"""Deflate cannot shrink by more than 1032; what promises more is cut off or a lie."""


class DeflateError(ValueError):
    """The stream is damaged, cut, or not of the announced length."""


def deflate(data: bytes | memoryview) -> bytes:
    """Return a whole zlib stream, fast rather than small; equal bytes for equal data."""
    # it takes any buffer, its stub names only some
    return bytes(imagecodecs.deflate_encode(cast(bytes, data), _LEVEL))


def inflate(stream: bytes, size: int, *, exact: bool = True) -> bytes:
    """Return the ``size`` bytes of a zlib stream, never holding more than one byte above that.

    Args:
        stream: zlib stream; bytes after its end are not looked at.
        size: Announced length.
        exact: Refuse a stream that holds more, or whose end and checksum are missing.

    Raises:
        DeflateError: If it holds fewer bytes, or other than announced.
        isal.isal_zlib.error: If it is damaged.
    """
    if size > (len(stream) + 1) * _MAX_RATIO:
        raise DeflateError("expected a longer stream for the announced size")
    machine = isal_zlib.decompressobj()
    data = bytes(machine.decompress(stream, size + 1))
    if len(data) < size or (exact and (len(data) > size or not machine.eof)):
        raise DeflateError("expected a whole stream of the announced size")
    return data[:size]


def inflate_at_most(stream: bytes, size: int) -> bytes:
    """Return at most the first ``size`` bytes of a zlib stream, nothing of a damaged one."""
    try:
        return bytes(isal_zlib.decompressobj().decompress(stream, size))
    except Exception:  # the library's stub does not declare its error as one
        return b""


def stored_size(size: int) -> int:
    """Return the length of the zlib stream that :func:`store` writes for ``size`` bytes."""
    return 2 + size // _STORED_MAX * (_STORED_MAX + 5) + 5 + size % _STORED_MAX + 4


def store(raw: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Write a zlib stream that holds ``raw`` uncompressed, the same bytes on every machine.

    Args:
        raw: (N,) uint8.
        out: (stored_size(N),) uint8, filled.
    """
    whole = len(raw) // _STORED_MAX
    end = 2 + whole * (_STORED_MAX + 5)
    out[:2] = (0x78, 0x01)
    blocks = out[2:end].reshape(whole, _STORED_MAX + 5)
    blocks[:, :5] = np.frombuffer(struct.pack("<BHH", 0, _STORED_MAX, 0), np.uint8)
    blocks[:, 5:] = raw[: whole * _STORED_MAX].reshape(whole, _STORED_MAX)
    rest = raw[whole * _STORED_MAX :]
    out[end : end + 5] = np.frombuffer(struct.pack("<BHH", 1, len(rest), len(rest) ^ 0xFFFF), np.uint8)
    out[end + 5 : -4] = rest
    out[-4:] = np.frombuffer(struct.pack(">I", isal_zlib.adler32(raw.data)), np.uint8)
