"""PNG (ISO/IEC 15948): chunks read and written one by one, so that all but the pixels stays byte for byte."""

from __future__ import annotations

import binascii
import re
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from medlocker.formats._deflate import inflate_at_most
from medlocker.formats._exif import exif_facts, has_preview, without_thumbnail
from medlocker.formats._glance import Content, Glance, release
from medlocker.formats.png._range import SHOWN, find_range
from medlocker.formats.png._rows import SIGNATURE, chunk, compress_rows, decompress_rows, packed, unpacked
from medlocker.images import CHANNELS, NO_LIMITS, Image, Kind, Limits, Pixels, check_size, refuse, translated

_KINDS: dict[int, Kind] = {0: "grey", 2: "rgb", 3: "palette", 4: "grey-alpha", 6: "rgba"}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_MAX_CHUNKS = 250_000
_MAX_OTHERS = 100_000
"""Chunks besides those of pixels."""

_MAX_EXIF_BYTES = 1 << 24
MAX_TEXT_BYTES = 1 << 24
_MAX_TEXTS_BYTES = 1 << 26
"""All texts of a file together, decompressed: each of them is searched for previews."""
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_EDITOR_LAYERS = (b"prVW", b"mkBF", b"mkBS", b"mkBT", b"mkTS")
"""Chunks in which an editor keeps the picture's layers and preview: they would show it unmarked."""

_IDAT_BYTES = 1 << 20
_MAPPED_BYTES = 1 << 26
_RAW_PROFILE = re.compile(rb"Raw profile type ")


@dataclass(frozen=True)
class Header:
    """What IHDR says."""

    width: int
    height: int
    depth: int
    color: int
    interlaced: bool

    @property
    def kind(self) -> Kind:
        """What the channels mean."""
        return _KINDS[self.color]

    @property
    def bits(self) -> int:
        """Bits of one pixel."""
        return self.depth * CHANNELS[self.kind]

    def to_bytes(self) -> bytes:
        """Return IHDR's content, never interlaced."""
        return struct.pack(">IIBBBBB", self.width, self.height, self.depth, self.color, 0, 0, 0)


@dataclass(frozen=True)
class Parts:
    """A PNG file taken apart: header, other chunks before and after the pixels, the pixels' stream."""

    header: Header
    before: tuple[tuple[bytes, bytes], ...]
    after: tuple[tuple[bytes, bytes], ...]
    stream: bytes

    def find(self, kind: bytes) -> bytes | None:
        """Return the content of the first chunk of a type, or None."""
        return next((data for name, data in (*self.before, *self.after) if name == kind), None)


def parse_png(data: bytes, name: str, *, limits: Limits = NO_LIMITS) -> Parts:
    """Take a PNG file apart without decompressing anything.

    Raises:
        UnsupportedImageError: If it is damaged, animated, of 1 bit, or beyond the limits.
    """
    return _parse(_chunks(data, name), name, limits)


def glance_png(data: Content, name: str, *, limits: Limits) -> Glance:
    """Tell what a PNG file's chunks say, without a look at the pixels; see :func:`read_png`."""
    parts = _parse(_chunks(data, name, pixels=False), name, limits)
    _check_texts(parts, name)
    header = parts.header
    size = header.width * header.height * CHANNELS[header.kind] * max(header.depth, 8) // 8
    return Glance("png", header.width, header.height, 1, size, _facts(parts))


def _parse(chunks: Iterator[tuple[bytes, bytes]], name: str, limits: Limits) -> Parts:
    header: Header | None = None
    before: list[tuple[bytes, bytes]] = []
    after: list[tuple[bytes, bytes]] = []
    stream: list[bytes] = []
    for kind, content in chunks:
        if header is None:
            if kind != b"IHDR":
                refuse(name, "expected a PNG that begins with its header")
            header = _parse_header(content, name, limits)
        elif kind == b"IDAT":
            if after:
                refuse(name, "expected the PNG's pixels in one run of chunks")
            stream.append(content)
        elif kind in (b"acTL", b"fcTL", b"fdAT"):
            refuse(name, "expected a single picture, got an animated PNG")
        elif kind[0] & 0x20 == 0 and (kind != b"PLTE" or stream or any(k == b"PLTE" for k, _ in before)):
            refuse(name, "expected a PNG with known critical chunks in their order")
        else:
            (after if stream else before).append((kind, content))
            if len(before) + len(after) > _MAX_OTHERS:
                refuse(name, f"expected a PNG of at most {_MAX_OTHERS} chunks besides those of pixels")
    if header is None or not stream:
        refuse(name, "expected a PNG with pixels")
    return Parts(header, tuple(before), tuple(after), b"".join(stream))


def _chunks(data: Content, name: str, *, pixels: bool = True) -> Iterator[tuple[bytes, bytes]]:
    """Yield all chunks but the last; without ``pixels`` those of pixels empty, and not checked."""
    at, released = len(SIGNATURE), 0
    for _ in range(_MAX_CHUNKS):
        if at + 12 > len(data):
            refuse(name, "expected a whole PNG image, got a cut one")
        size, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + size > len(data):
            refuse(name, "expected a whole PNG image, got a cut one")
        if kind == b"eXIf" and size > _MAX_EXIF_BYTES:
            refuse(name, f"expected EXIF of at most {_MAX_EXIF_BYTES} bytes, got {size}")
        if kind == b"IDAT" and not pixels:
            yield kind, b""
            at += 12 + size
            if at - released > _MAPPED_BYTES:
                release(data)
                released = at
            continue
        content = data[at + 8 : at + 8 + size]
        if not kind.isalpha() or isal_zlib.crc32(content, isal_zlib.crc32(kind)) != _u32(data, at + 8 + size):
            refuse(name, "expected a whole PNG image, got a damaged chunk")
        if kind == b"IEND":
            return
        yield kind, content
        at += 12 + size
    refuse(name, f"expected a PNG of at most {_MAX_CHUNKS} chunks")


def tail_of(data: bytes) -> bytes:
    """Return what follows the last chunk of a file that has been read before."""
    at, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        size, kind = struct.unpack_from(">I4s", data, at)
        at += 12 + size
    return data[at:]


def _u32(data: Content, at: int) -> int:
    return int(struct.unpack_from(">I", data, at)[0])


def _parse_header(content: bytes, name: str, limits: Limits) -> Header:
    if len(content) != 13:
        refuse(name, "expected a PNG header of 13 bytes")
    width, height, depth, color, packing, filtering, interlace = struct.unpack(">IIBBBBB", content)
    if depth not in _DEPTHS.get(color, ()) or packing or filtering or interlace > 1:
        refuse(name, "expected a PNG header as the standard defines it")
    if depth == 1:
        refuse(name, "expected 8 or 16 bits, got a black-and-white image of 1 bit")
    if depth < 8 and color == 0:
        refuse(name, f"expected 8 or 16 bits for grey, got {depth} bits", hint="convert it to 8 bits first")
    check_size(name, width=width, height=height, limits=limits)
    return Header(width, height, depth, color, bool(interlace))


def read_png(data: bytes, name: str, *, limits: Limits) -> Image:
    """Read a PNG file.

    Raises:
        UnsupportedImageError: As :func:`parse_png`, or if the pixels are damaged or the texts too long.
    """
    parts = parse_png(data, name, limits=limits)
    _check_texts(parts, name)
    header = parts.header
    palette = _palette(parts, name)
    with translated(name, what="PNG"):
        rows = decompress_rows(
            parts.stream,
            width=header.width,
            height=header.height,
            bits=header.bits,
            interlaced=header.interlaced,
        )
        pixels = _from_rows(rows, header)
    if palette is not None and pixels.max() >= len(palette):
        refuse(name, "expected palette indices below the palette's size")
    window = None
    if header.depth == 16:
        noted, significant = parts.find(SHOWN) or b"", parts.find(b"sBIT") or b""
        window = find_range(header.kind, pixels, noted=noted, significant=significant)
    if window is None:
        return Image(pixels, header.kind, "png", data, palette, _facts(parts))
    facts = _facts(parts) | {"shown": window.words()}
    return Image(pixels, header.kind, "png", data, None, facts, shown=window.shown(), inks=window.inks())


def _check_texts(parts: Parts, name: str) -> None:
    left = _MAX_TEXTS_BYTES
    for kind, data in (*parts.before, *parts.after):
        if kind in TEXTS:
            left -= len(text_of(kind, data))
        if left < 0:
            refuse(name, f"expected texts of at most {_MAX_TEXTS_BYTES} bytes in all, got more")


def _palette(parts: Parts, name: str) -> NDArray[np.uint8] | None:
    if parts.header.kind != "palette":
        return None
    content = parts.find(b"PLTE") or b""
    count, rest = divmod(len(content), 3)
    if rest or not 0 < count <= 1 << parts.header.depth:
        refuse(name, f"expected a palette of 1 to {1 << parts.header.depth} colours")
    return np.frombuffer(content, np.uint8).reshape(count, 3).copy()


def _from_rows(rows: NDArray[np.uint8], header: Header) -> Pixels:
    shape = (header.height, header.width, CHANNELS[header.kind])
    if header.depth < 8:
        return unpacked(rows, header.width, header.depth).reshape(shape)
    if header.depth == 8:
        return rows.reshape(shape)
    return rows.view(">u2").astype(np.uint16).reshape(shape)


def _to_rows(pixels: Pixels, header: Header) -> NDArray[np.uint8]:
    if header.depth < 8:
        return packed(pixels[..., 0], header.depth)
    flat = pixels.reshape(header.height, -1)
    if header.depth == 16:
        return np.asarray((flat.byteswap() if sys.byteorder == "little" else flat).view(np.uint8))
    return flat


def _facts(parts: Parts) -> dict[str, str | int | bool]:
    header = parts.header
    facts: dict[str, str | int | bool] = {
        "bit depth": header.depth,
        "kind": header.kind,
        "compression": "deflate",
        "interlaced": header.interlaced,
        "icc": parts.find(b"iCCP") is not None,
        "transparency": parts.find(b"tRNS") is not None,
        "exif": False,
        "gps": False,
    }
    block = parts.find(b"eXIf")
    if block is not None:
        facts |= exif_facts(block)
    density = parts.find(b"pHYs")
    if density is not None and len(density) == 9 and density[8] == 1:
        across, down = struct.unpack_from(">II", density)
        facts["dpi"] = f"{across * 0.0254:.5g} x {down * 0.0254:.5g}"
    previews = sum(_kept(kind, data) != data for kind, data in (*parts.before, *parts.after))
    if previews:
        facts["previews not passed on"] = previews
    return facts


def _kept(kind: bytes, data: bytes) -> bytes | None:
    """Return a chunk's content as it may be passed on: without thumbnails, or None to leave the chunk out."""
    if kind == b"eXIf":
        return without_thumbnail(data)
    if kind in _EDITOR_LAYERS:
        return None
    if kind in TEXTS and has_preview(_text(kind, data)):
        return None
    return data


def _text(kind: bytes, data: bytes) -> bytes:
    """Return what a text chunk says, decompressed and, for hexadecimal profiles, decoded; else its bytes."""
    keyword, rest = data.partition(b"\0")[0], text_of(kind, data)
    if _RAW_PROFILE.match(keyword):
        try:
            return binascii.unhexlify(b"".join(rest.split()[2:]))
        except binascii.Error:
            return rest
    return rest


def text_of(kind: bytes, data: bytes) -> bytes:
    """Return what stands behind the keyword of a text chunk, decompressed."""
    rest = data.partition(b"\0")[2]
    packed_text = kind == b"zTXt"
    if kind == b"iTXt":
        packed_text = rest[:1] == b"\1"
        rest = rest[2:].split(b"\0", 2)[-1]
    elif packed_text:
        rest = rest[1:]
    return inflate_at_most(rest, MAX_TEXT_BYTES) if packed_text else rest


def encode_png(image: Image, frames: Iterator[Pixels]) -> bytes:
    """Write pixels with all other chunks of the image's source, without interlacing.

    Args:
        image: Read from PNG.
        frames: One, checked to be of the image's shape and type.
    """
    (pixels,) = frames
    parts = parse_png(image.source, "image")
    header, rows = parts.header, _to_rows(pixels, parts.header)
    return b"".join(
        (
            SIGNATURE,
            chunk(b"IHDR", header.to_bytes()),
            *_written(parts.before),
            *(chunk(b"IDAT", piece) for piece in compress_rows(rows, step=max(1, header.bits // 8))),
            *_written(parts.after),
            chunk(b"IEND", b""),
        )
    )


def _written(chunks: Iterable[tuple[bytes, bytes]]) -> Iterator[bytes]:
    for kind, data in chunks:
        kept = _kept(kind, data)
        if kept is not None:
            yield chunk(kind, kept)


def canonical_png(
    header: Header, before: Iterable[tuple[bytes, bytes]], after: Iterable[tuple[bytes, bytes]] = ()
) -> Iterator[bytes]:
    """Yield what is kept of a PNG file besides its pixels."""
    yield b"png\n"
    yield header.to_bytes()
    yield from _written(before)
    yield b"pixels\n"
    yield from _written(after)


def metadata_png(image: Image) -> Iterator[bytes]:
    """Yield what is kept of an image's source besides its pixels."""
    parts = parse_png(image.source, "image")
    return canonical_png(parts.header, parts.before, parts.after)


def join_png(parts: Parts) -> bytes:
    """Return a file with the same stream of pixels."""
    header = bytearray(parts.header.to_bytes())
    header[12] = parts.header.interlaced
    pixels = (parts.stream[at : at + _IDAT_BYTES] for at in range(0, len(parts.stream), _IDAT_BYTES))
    return b"".join(
        (
            SIGNATURE,
            chunk(b"IHDR", bytes(header)),
            *(chunk(kind, data) for kind, data in parts.before),
            *(chunk(b"IDAT", piece) for piece in pixels),
            *(chunk(kind, data) for kind, data in parts.after),
            chunk(b"IEND", b""),
        )
    )
