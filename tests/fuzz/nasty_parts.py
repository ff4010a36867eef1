"""The bricks of nasty files: formats put together by hand, so that every field can lie."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from functools import cache

# ------------------------------------------------------------------------------------------------------- PNG


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of given chunks with right checksums; IEND is added."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in (*chunks, (b"IEND", b"")):
        parts.append(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
    return b"".join(parts)


def png_header(width: int, height: int, *, depth: int = 8, color: int = 0) -> tuple[bytes, bytes]:
    """IHDR."""
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)


def png_pixels(width: int = 32, height: int = 32) -> tuple[bytes, bytes]:
    """Grey pixels in one IDAT."""
    return b"IDAT", zlib.compress((b"\0" + bytes(range(width))) * height)


@cache
def zeros(size: int) -> bytes:
    """A zlib stream of zeros, a two-hundredth as long."""
    packer = zlib.compressobj(1)
    piece = bytes(1 << 20)
    parts = [packer.compress(piece) for _ in range(size >> 20)]
    return b"".join((*parts, packer.compress(bytes(size % (1 << 20))), packer.flush()))


# ------------------------------------------------------------------------------------------------------ TIFF

SHORT, LONG = 3, 4
Tag = tuple[int, int, int, int]
"""Number, type, count, value or place."""


def tiff_directory(tags: Iterable[Tag], following: int = 0) -> bytes:
    """One little-endian directory."""
    listed = list(tags)
    body = b"".join(struct.pack("<HHII", *tag) for tag in listed)
    return struct.pack("<H", len(listed)) + body + struct.pack("<I", following)


def tiff_grey(*, width: int = 32, height: int = 32, place: int, size: int, compression: int = 1) -> list[Tag]:
    """The tags of a grey picture in one strip."""
    return [
        (256, LONG, 1, width), (257, LONG, 1, height), (258, SHORT, 1, 8), (259, SHORT, 1, compression),
        (262, SHORT, 1, 1), (273, LONG, 1, place), (277, SHORT, 1, 1), (278, LONG, 1, height),
        (279, LONG, 1, size),
    ]  # fmt: skip


def tiff_start(at: int) -> bytes:
    """The header."""
    return struct.pack("<2sHI", b"II", 42, at)


# ------------------------------------------------------------------------------------------------------ JPEG


def segment(marker: int, content: bytes) -> bytes:
    """A marker segment."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def jpeg_start(
    width: int,
    height: int,
    *,
    marker: int = 0xC0,
    sampling: tuple[int, ...] = (0x11,),
    table: int = 1,
    symbol: int = 0,
) -> bytes:
    """Start, one quantisation table, frame header, and Huffman tables whose only code is the bit 0.

    It means the difference 0, and of the other coefficients ``symbol``.
    """
    count = len(sampling)
    components = b"".join(bytes((i + 1, factors, 0)) for i, factors in enumerate(sampling))
    huffman = b"".join(
        bytes((kind, 1)) + bytes(15) + bytes((value,)) for kind, value in ((0, 0), (0x10, symbol))
    )
    return (
        b"\xff\xd8"
        + segment(0xDB, b"\0" + bytes((table,)) * 64)
        + segment(marker, struct.pack(">BHHB", 8, height, width, count) + components)
        + segment(0xC4, huffman)
    )


def scan(coded: bytes, *, count: int = 1, first: int = 0, last: int = 63, bits: int = 0) -> bytes:
    """One scan of the first components."""
    names = b"".join(bytes((i + 1, 0)) for i in range(count))
    return segment(0xDA, bytes((count,)) + names + bytes((first, last, bits))) + coded


# ----------------------------------------------------------------------------------------------------- DICOM


def element(tag: int, vr: bytes, value: bytes, *, length: int | None = None) -> bytes:
    """One explicit little-endian element, its length as told."""
    value += b"\0" * (len(value) % 2)
    size = len(value) if length is None else length
    start = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        return start + struct.pack("<HI", 0, size) + value
    return start + struct.pack("<H", size) + value


def items(*contents: bytes) -> bytes:
    """Items of a sequence or of compressed pixels."""
    return b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in contents)


def dicom(
    pixels: bytes,
    *more: tuple[int, bytes, bytes],
    syntax: bytes = b"1.2.840.10008.1.2.1",
    photometric: bytes = b"MONOCHROME2",
    rows: int = 32,
    columns: int = 32,
    samples: int = 1,
    encapsulated: bool = False,
) -> bytes:
    """A file of 8 bits; more elements replace those of the same tag."""
    numbers = {
        0x00280002: samples, 0x00280010: rows, 0x00280011: columns, 0x00280100: 8, 0x00280101: 8,
        0x00280102: 7, 0x00280103: 0,
    }  # fmt: skip
    found = {tag: element(tag, b"US", struct.pack("<H", value)) for tag, value in numbers.items()}
    found[0x00280004] = element(0x00280004, b"CS", photometric)
    found[0x00080016] = element(0x00080016, b"UI", b"1.2.840.10008.5.1.4.1.1.7")
    for tag, vr, value in more:
        found[tag] = element(tag, vr, value)
    body = b"".join(found[tag] for tag in sorted(found))
    undefined = 0xFFFFFFFF if encapsulated else None
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) if encapsulated else b""
    body += element(0x7FE00010, b"OB", pixels, length=undefined) + end
    meta = element(0x00020010, b"UI", syntax)
    return bytes(128) + b"DICM" + element(0x00020000, b"UL", struct.pack("<I", len(meta))) + meta + body


# ------------------------------------------------------------------------------------------------------ ONNX


def field(number: int, value: int | bytes | str) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode("utf-8") if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def onnx_value(name: str, dims: Iterable[int]) -> bytes:
    """An input or output of floats."""
    shape = b"".join(field(1, field(1, dim)) for dim in dims)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))


def onnx_node(kind: str, inputs: Iterable[str], outputs: Iterable[str], *, domain: str = "") -> bytes:
    """A node without attributes."""
    return (
        b"".join(field(1, name) for name in inputs)
        + b"".join(field(2, name) for name in outputs)
        + field(4, kind)
        + (field(7, domain) if domain else b"")
    )


def onnx_model(
    nodes: Iterable[bytes],
    *,
    inputs: Iterable[bytes] = (onnx_value("image", (1, 3, 8, 8)),),
    outputs: Iterable[bytes] = (onnx_value("answer", (1, 192)),),
    tensors: Iterable[bytes] = (),
) -> bytes:
    """A model of opset 17."""
    graph = (
        b"".join(field(1, node) for node in nodes)
        + field(2, "graph")
        + b"".join(field(5, tensor) for tensor in tensors)
        + b"".join(field(11, value) for value in inputs)
        + b"".join(field(12, value) for value in outputs)
    )
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17))
