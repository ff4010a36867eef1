"""Nasty PNG, TIFF, BMP, JPEG and NIfTI files."""

from __future__ import annotations

import gzip
import math
import struct
from collections.abc import Callable

from nasty_parts import (
    LONG,
    SHORT,
    jpeg_start,
    png,
    png_header,
    png_pixels,
    scan,
    segment,
    tiff_directory,
    tiff_grey,
    tiff_start,
    zeros,
)

MADE: dict[str, Callable[[], bytes]] = {}
"""Each file's maker by its name."""


def _file(name: str) -> Callable[[Callable[[], bytes]], Callable[[], bytes]]:
    def keep(make: Callable[[], bytes]) -> Callable[[], bytes]:
        MADE[name] = make
        return make

    return keep


@_file("empty.png")
def _empty() -> bytes:
    return b""


@_file("bomb-behind-the-pixels.png")
def _png_bomb() -> bytes:
    return png(png_header(32, 32), (b"IDAT", zeros(1 << 28)))


@_file("sides-of-65535.png")
def _png_sides() -> bytes:
    return png(png_header(65535, 65535), png_pixels())


@_file("more-pixels-than-bytes.png")
def _png_announced() -> bytes:
    return png(png_header(20000, 20000), png_pixels())


@_file("texts-of-16-megabytes.png")
def _png_texts() -> bytes:
    text = (b"zTXt", b"Raw profile type exif\0\0" + zeros(1 << 24))
    return png(png_header(32, 32), *[text] * 400, png_pixels())


@_file("texts-that-pretend-to-be-pictures.png")
def _png_jpeg_texts() -> bytes:
    text = (b"tEXt", b"a\0" + b"\xff\xd8\xff\xe0" * 20_000)
    return png(png_header(32, 32), *[text] * 40, png_pixels())


@_file("thumbnail-in-a-hundred-thousand-strips.png")
def _png_exif() -> bytes:
    count = 100_000
    second = 8 + 18
    values = second + 30
    first = tiff_directory([(274, SHORT, 1, 1)], second)
    strips = tiff_directory([(273, LONG, count, values), (279, LONG, count, values + 4 * count)])
    block = tiff_start(8) + first + strips
    starts = struct.pack("<I", values) * count
    sizes = struct.pack("<I", 0xFFFFFFFF) * count
    return png(png_header(32, 32), (b"eXIf", block.ljust(values, b"\0") + starts + sizes), png_pixels())


@_file("hundred-thousand-chunks.png")
def _png_chunks() -> bytes:
    return png(png_header(32, 32), *[(b"tEXt", b"a\0b")] * 100_000, png_pixels())


@_file("palette-of-nothing.png")
def _png_palette() -> bytes:
    return png(png_header(32, 32, color=3), (b"PLTE", b""), png_pixels())


@_file("circle-of-directories.tif")
def _tiff_circle() -> bytes:
    pixels = bytes(1024)
    at = 8 + len(pixels)
    return tiff_start(at) + pixels + tiff_directory(tiff_grey(place=8, size=1024), at)


@_file("circle-of-exif.tif")
def _tiff_exif_circle() -> bytes:
    at = 8 + 1024
    return (
        tiff_start(at) + bytes(1024) + tiff_directory([*tiff_grey(place=8, size=1024), (34665, LONG, 1, at)])
    )


@_file("sides-of-65535.tif")
def _tiff_sides() -> bytes:
    return tiff_start(8) + tiff_directory(tiff_grey(width=65535, height=65535, place=8, size=100))


@_file("bomb-in-a-strip.tif")
def _tiff_bomb() -> bytes:
    packed = zeros(1 << 28)
    tags = tiff_grey(place=8, size=len(packed), compression=8)
    return tiff_start(8 + len(packed)) + packed + tiff_directory(tags)


@_file("pages-that-share-their-tags.tif")
def _tiff_pages() -> bytes:
    """Pages of their own, but one EXIF directory of thousands of tags for all."""
    pages, tags = 5000, 4000
    exif_at = 8 + 1024
    exif = tiff_directory((1000 + i, SHORT, 1, 0) for i in range(tags))
    first = exif_at + len(exif)
    size = 2 + 12 * 10 + 4
    parts = [tiff_start(first), bytes(1024), exif]
    for number in range(pages):
        following = first + size * (number + 1) if number + 1 < pages else 0
        page = [*tiff_grey(place=8, size=1024), (34665, LONG, 1, exif_at)]
        parts.append(tiff_directory(page, following))
    return b"".join(parts)


@_file("strips-without-number.tif")
def _tiff_strips() -> bytes:
    count = 1 << 21
    tags = [
        tag for tag in tiff_grey(width=16, height=65000, place=8, size=16) if tag[0] not in (273, 278, 279)
    ]
    at = 8 + 4 * count
    tags = sorted([*tags, (273, LONG, count, 8), (278, LONG, 1, 1), (279, LONG, count, 8)])
    return tiff_start(at) + bytes(4 * count) + tiff_directory(tags)


@_file("count-of-a-quintillion.tif")
def _bigtiff() -> bytes:
    return (
        struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16)
        + struct.pack("<QHHQQ", 1 << 60, 256, 16, 1 << 60, 1)
        + bytes(64)
    )


@_file("sides-of-65535.bmp")
def _bmp_sides() -> bytes:
    return struct.pack(
        "<2sIIIIiiHHIIiiII", b"BM", 100, 0, 54, 40, 65535, 65535, 1, 24, 0, 0, 0, 0, 0, 0
    ) + bytes(64)


@_file("height-without-opposite.bmp")
def _bmp_height() -> bytes:
    return struct.pack(
        "<2sIIIIiiHHIIiiII", b"BM", 100, 0, 54, 40, 1, -(1 << 31), 1, 24, 0, 0, 0, 0, 0, 0
    ) + bytes(64)


@_file("sides-of-65500-in-a-hundred-bytes.jpg")
def _jpeg_sides() -> bytes:
    return jpeg_start(65500, 6100) + scan(bytes(100)) + b"\xff\xd9"


@_file("sides-of-65500-in-a-hundred-bytes-progressive.jpg")
def _jpeg_progressive_sides() -> bytes:
    return jpeg_start(65500, 6100, marker=0xC2) + scan(bytes(100), last=0) + b"\xff\xd9"


@_file("two-hundred-scans.jpg")
def _jpeg_scans() -> bytes:
    """Whole, valid and large: every scan goes over all blocks again, told in runs of 16384 empty ones."""
    side, run = 16384, 1 << 14
    blocks = (side // 8) ** 2
    parts = [jpeg_start(side, side, marker=0xC2, symbol=0xE0), scan(bytes(blocks // 8), last=0)]
    for band in range(1, 15):
        for low in range(13, -1, -1):
            high = 0 if low == 13 else low + 1
            coded = bytes(blocks // run * 15 // 8)
            parts.append(scan(coded, first=band, last=band, bits=high << 4 | low))
    return b"".join((*parts, b"\xff\xd9"))


@_file("more-scans-than-anybody-needs.jpg")
def _jpeg_more_scans() -> bytes:
    return jpeg_start(32, 32, marker=0xC2) + scan(bytes(2), last=0) * 5000 + b"\xff\xd9"


@_file("quantisation-of-zero.jpg")
def _jpeg_zero() -> bytes:
    return jpeg_start(32, 32, table=0) + scan(bytes(4)) + b"\xff\xd9"


@_file("second-scan-of-garbage.jpg")
def _jpeg_second() -> bytes:
    """A decoder stops after the first scan; who reads on finds a component that is not there."""
    garbage = segment(0xDA, bytes((1, 9, 0x33, 0, 63, 0))) + bytes(4)
    return jpeg_start(32, 32) + scan(bytes(4)) + garbage + b"\xff\xd9"


@_file("second-scan-again.jpg")
def _jpeg_again() -> bytes:
    return jpeg_start(32, 32) + scan(bytes(4)) + scan(bytes(4)) + b"\xff\xd9"


@_file("table-of-nothing-behind-the-scan.jpg")
def _jpeg_behind() -> bytes:
    return jpeg_start(32, 32) + scan(bytes(4)) + segment(0xC4, b"\0" + bytes((255,)) * 16) + b"\xff\xd9"


@_file("sampling-of-ten-by-ten.jpg")
def _jpeg_sampling() -> bytes:
    return jpeg_start(32, 32, sampling=(0xAA, 0x11, 0x11)) + scan(bytes(40), count=3) + b"\xff\xd9"


@_file("sampling-of-three-and-four.jpg")
def _jpeg_odd_sampling() -> bytes:
    return jpeg_start(32, 32, sampling=(0x44, 0x31, 0x13)) + scan(bytes(400), count=3) + b"\xff\xd9"


def _nifti(*dims: int, bits: int = 8, start: float = 352, code: int = 2) -> bytes:
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, len(dims), *dims, *(1,) * (7 - len(dims)))
    struct.pack_into("<hh", header, 70, code, bits)
    struct.pack_into("<f", header, 108, start)
    header[344:348] = b"n+1\0"
    return bytes(header)


@_file("seven-axes-of-32767.nii")
def _nifti_axes() -> bytes:
    return _nifti(*(32767,) * 7)


@_file("offset-of-nan.nii")
def _nifti_nan() -> bytes:
    return _nifti(4, 4, 4, start=math.nan) + bytes(64)


@_file("offset-of-infinity.nii")
def _nifti_infinity() -> bytes:
    return _nifti(4, 4, 4, start=math.inf) + bytes(64)


@_file("slices-of-one-voxel.nii")
def _nifti_slices() -> bytes:
    return _nifti(1, 1, 32767, 2, bits=16, code=512) + bytes(range(256)) * 512


@_file("bomb-behind-the-voxels.nii.gz")
def _nifti_bomb() -> bytes:
    return gzip.compress(_nifti(32, 32, 4) + bytes(1 << 28), 9)


@_file("members-of-nothing.nii.gz")
def _gzip_members() -> bytes:
    return gzip.compress(_nifti(32, 32, 4) + bytes(4096)) + gzip.compress(b"") * 200_000


@_file("gzip-in-gzip.nii.gz")
def _gzip_twice() -> bytes:
    return gzip.compress(gzip.compress(_nifti(32, 32, 4)))
