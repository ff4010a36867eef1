"""Nasty DICOM files."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from nasty_parts import dicom, element, items, jpeg_start, scan, segment, zeros

MADE: dict[str, Callable[[], bytes]] = {}
"""Each file's maker by its name."""

_PIXELS = bytes(range(256)) * 4
_JPEG, _JPEG_LS, _JPEG_2000 = (b"1.2.840.10008.1.2.4." + number for number in (b"50", b"80", b"90"))
_DEFLATED, _RLE = b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.5"
_PER_FRAME = 0x52009230
_UNDEFINED = 0xFFFFFFFF


def _file(name: str) -> Callable[[Callable[[], bytes]], Callable[[], bytes]]:
    def keep(make: Callable[[], bytes]) -> Callable[[], bytes]:
        MADE[name] = make
        return make

    return keep


def _compressed(frame: bytes, syntax: bytes, **options: int) -> bytes:
    return dicom(items(b"", frame + b"\0" * (len(frame) % 2)), syntax=syntax, encapsulated=True, **options)  # type: ignore[arg-type]


def _nested(depth: int, *, undefined: bool) -> bytes:
    """A sequence in a sequence in a sequence."""
    start = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, _UNDEFINED)
    start += struct.pack("<HHI", 0xFFFE, 0xE000, _UNDEFINED)
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    if undefined:
        return start * depth + end * depth
    content = b""
    for _ in range(depth):
        content = element(0x00081140, b"SQ", items(content))
    return content


@_file("preamble-alone.dcm")
def _preamble() -> bytes:
    return bytes(128) + b"DICM"


@_file("length-of-four-gigabytes.dcm")
def _length() -> bytes:
    data = dicom(_PIXELS)
    return data[: -len(_PIXELS) - 4] + struct.pack("<I", 0xFFFFFFFE) + _PIXELS


@_file("element-longer-than-the-file.dcm")
def _element() -> bytes:
    return dicom(_PIXELS).replace(b"CS\x0c\0MONOCHROME2", b"CS\xff\xffMONOCHROME2")


@_file("sides-of-65535.dcm")
def _sides() -> bytes:
    return dicom(_PIXELS, rows=65535, columns=65535)


@_file("two-billion-frames.dcm")
def _frames() -> bytes:
    return dicom(_PIXELS, (0x00280008, b"IS", b"2147483647"))


@_file("bomb-of-deflate.dcm")
def _deflate() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(bytes(1 << 28)) + packer.flush()
    data = dicom(_PIXELS, syntax=_DEFLATED)
    return data[: data.index(struct.pack("<HH", 0x0008, 0x0016) + b"UI")] + packed


@_file("nested-ten-thousand-deep.dcm")
def _deep() -> bytes:
    data = dicom(_PIXELS)
    at = data.index(struct.pack("<HH", 0x0028, 0x0002) + b"US")
    return data[:at] + _nested(10_000, undefined=True) + data[at:]


@_file("nested-ten-thousand-deep-in-known-lengths.dcm")
def _deep_lengths() -> bytes:
    return dicom(_PIXELS, (_PER_FRAME, b"SQ", items(_nested(10_000, undefined=False))))


@_file("nested-ten-thousand-deep-inside-a-known-length.dcm")
def _deep_inside() -> bytes:
    return dicom(_PIXELS, (_PER_FRAME, b"SQ", items(_nested(10_000, undefined=True))))


def _palette(segments: bytes) -> bytes:
    tags = (0x00281101, 0x00281102, 0x00281103)
    told = [(tag, b"US", struct.pack("<HHH", 256, 0, 16)) for tag in tags]
    data = [(tag + 0x120, b"OW", segments) for tag in tags]
    return dicom(_PIXELS, *told, *data, photometric=b"PALETTE COLOR")


@_file("palette-of-a-billion-entries.dcm")
def _palette_linear() -> bytes:
    return _palette(struct.pack("<HHH", 0, 1, 5) + struct.pack("<HHH", 1, 65535, 5) * 20_000)


@_file("palette-that-points-at-itself.dcm")
def _palette_indirect() -> bytes:
    return _palette(struct.pack("<HHH", 0, 1, 5) + struct.pack("<HHHH", 2, 65535, 0, 0) * 64)


@_file("frame-that-hides-its-size.dcm")
def _hidden() -> bytes:
    """A restart marker is two bytes; who reads a length behind it skips the true frame header."""
    small, large = jpeg_start(32, 32)[2:], jpeg_start(65500, 6100)[2:]
    hidden = b"\xff\xd0" + large
    skipped = struct.unpack(">H", hidden[2:4])[0]
    padding = b"\xff" * (2 + skipped - len(hidden) - 6)
    return _compressed(
        b"\xff\xd8" + hidden + scan(bytes(100)) + padding + small + scan(bytes(4)) + b"\xff\xd9", _JPEG
    )


@_file("frame-of-65500-in-a-hundred-bytes.dcm")
def _jpeg_sides() -> bytes:
    return _compressed(
        jpeg_start(65500, 6100) + scan(bytes(100)) + b"\xff\xd9", _JPEG, columns=65500, rows=6100
    )


def _codestream(width: int, height: int, *, components: int = 1, tile: int = 0) -> bytes:
    size = struct.pack(">H8IH", 0, width, height, 0, 0, tile or width, tile or height, 0, 0, components)
    start = b"\xff\x4f" + segment(0x51, size + b"\x07\x01\x01" * components)
    coding = segment(0x52, bytes((0, 0, 0, 1, 0, 5, 4, 4, 0, 1))) + segment(
        0x5C, bytes((0x40, *(0x40,) * 16))
    )
    return start + coding + segment(0x90, struct.pack(">HIBB", 0, 14, 0, 1)) + b"\xff\x93\xff\xd9"


@_file("codestream-of-16384-components.dcm")
def _components() -> bytes:
    return _compressed(_codestream(2000, 2000, components=16384), _JPEG_2000, columns=2000, rows=2000)


@_file("codestream-of-sides-of-20000.dcm")
def _codestream_sides() -> bytes:
    return _compressed(_codestream(20000, 20000), _JPEG_2000, columns=20000, rows=20000)


@_file("codestream-of-a-tile-per-pixel.dcm")
def _tiles() -> bytes:
    return _compressed(_codestream(255, 255, tile=1), _JPEG_2000, columns=255, rows=255)


@_file("lines-of-65500.dcm")
def _lines() -> bytes:
    frame = struct.pack(">BHHBBBB", 8, 6100, 65500, 1, 1, 0x11, 0)
    header = segment(0xF7, frame) + segment(0xDA, bytes((1, 1, 0, 0, 0, 0)))
    return _compressed(b"\xff\xd8" + header + bytes(40) + b"\xff\xd9", _JPEG_LS, columns=65500, rows=6100)


@_file("runs-that-end-early.dcm")
def _runs() -> bytes:
    return _compressed(struct.pack("<16I", 1, 64, *(0,) * 14) + b"\x81\0", _RLE, columns=20000, rows=20000)


@_file("a-million-fragments.dcm")
def _fragments() -> bytes:
    return dicom(items(b"", *(b"",) * 1_000_000), syntax=_JPEG, encapsulated=True)


@_file("frames-without-number.dcm")
def _many() -> bytes:
    """A frame of one pixel is quickly read, but there are 65,000 of them."""
    return dicom(bytes(65_000), (0x00280008, b"IS", b"65000"), rows=1, columns=1)


@_file("table-of-zeros.dcm")
def _zeros() -> bytes:
    return dicom(zeros(1 << 20), (0x00281050, b"DS", b"1e308"), (0x00281051, b"DS", b"1e-308"))
