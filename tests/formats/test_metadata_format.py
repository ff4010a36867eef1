"""The metadata digests, computed from docs/FORMAT.md alone for plain files, with no code of the package."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from image_samples import noise, pillow, png_chunks
from nifti_samples import nifti

from medlocker.formats import metadata_digest, read_image
from medlocker.images import content_digest

_TYPES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 16: 8}
_LEFT_OUT = {273, 279, 324, 325, 259, 278, 317, 322, 323}


def _digest(*pieces: bytes) -> str:
    return hashlib.sha256(b"medlocker-metadata-v1\n" + b"".join(pieces)).hexdigest()


def _entries(data: bytes, at: int, *, order: str, big: bool) -> tuple[list[bytes], int]:
    head, entry, place = ("Q", "HHQ", "Q") if big else ("H", "HHI", "I")
    (count,) = struct.unpack_from(order + head, data, at)
    at += struct.calcsize(order + head)
    room = struct.calcsize(order + place)
    found = []
    for _ in range(count):
        tag, kind, number = struct.unpack_from(order + entry, data, at)
        size, start = _TYPES[kind] * number, at + struct.calcsize(order + entry)
        at = start + room
        if size > room:
            (start,) = struct.unpack_from(order + place, data, start)
        if tag not in _LEFT_OUT:
            found.append((tag, struct.pack("<HHQ", tag, kind, number) + data[start : start + size]))
    return [value for _, value in sorted(found)], struct.unpack_from(order + place, data, at)[0]


@pytest.mark.parametrize("pages", [1, 3])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True])
def test_tiff(pages: int, order: str, big: bool) -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, bigtiff=big, byteorder=order) as writer:  # type: ignore[arg-type]
        for page in range(pages):
            writer.write(
                noise((9, 8), seed=page),
                metadata=None,
                description=f"page {page} of several",
                resolution=(300, 200),
                compression="lzw",
            )
    data = stream.getvalue()
    (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    pieces = [(b"bigtiff " if big else b"tiff ") + order.encode()]
    while at:
        values, at = _entries(data, at, order=order, big=big)
        assert len(values) > 8
        pieces += ([struct.pack("<Q", len(values))] if pages > 1 else []) + values
    assert metadata_digest(read_image(data, name="a")) == _digest(*pieces)


def test_png() -> None:
    data = pillow(noise((9, 8, 3)), "PNG", dpi=(300, 300), icc_profile=b"profile")
    chunks = [
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in png_chunks(data)
        if kind not in (b"IHDR", b"IDAT")
    ]
    assert len(chunks) == 2
    assert metadata_digest(read_image(data, name="a")) == _digest(
        b"png\n", data[16:26] + b"\0\0\0", *chunks, b"pixels\n"
    )


def test_bmp() -> None:
    data = bytearray(pillow(noise((9, 7, 3)), "BMP"))
    image = read_image(bytes(data), name="a")
    (at,) = struct.unpack_from("<I", data, 10)
    for row in range(9):  # 21 used bytes and 3 of padding
        start = at + 24 * row
        data[start : start + 21] = bytes(21)
    assert metadata_digest(image) == _digest(b"bmp\n", bytes(data))


@pytest.mark.parametrize("packed", [False, True])
def test_nifti(packed: bool) -> None:
    data = nifti(np.arange(9 * 8 * 3, dtype="i2").reshape(9, 8, 3), extension=b"notes", trailing=b"rest")
    (start,) = struct.unpack_from("<f", data, 108)
    image = read_image(gzip.compress(data) if packed else data, name="a")
    assert metadata_digest(image) == _digest(b"nifti\n", data[: int(start)], b"voxels\n", b"rest")


def test_frames_digest() -> None:
    stored = np.arange(9 * 8 * 3, dtype="i2").reshape(9, 8, 3) - 100
    unsigned = [(stored[..., k].T.astype("i4") + 32768).astype("<u2").tobytes() for k in range(3)]
    expected = hashlib.sha256(b"medlocker-frames-v1 3 8 9 1 16\n" + b"".join(unsigned)).hexdigest()
    for order in "<>":
        assert content_digest(read_image(nifti(stored, order=order), name="a")) == expected
