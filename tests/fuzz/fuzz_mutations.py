"""Damaging files on purpose: blindly, and along their structure, which gets past the first checks."""

from __future__ import annotations

import gzip
import random
import re
import struct
import zlib
from collections.abc import Callable

from medlocker.formats._ifd import Directory, parse_directory, parse_header
from medlocker.formats.jpeg._stream import SOS

Mutation = Callable[[bytes, random.Random], bytes]
Pieces = list[bytes]

_NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    8,
    255,
    256,
    4095,
    32767,
    32768,
    65500,
    65535,
    1 << 24,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
)
_WORDS = (
    b"NaN", b"-Infinity", b"1e308", b"1e999", b"-0", b"9" * 400, b"9" * 5000, b"null", b"true", b"[]", b"{}",
    b'""', b'"\\ud800"', b'"\\u0000"', b"[[[[", b"../../x", b'"', b",,,,", b"\0", b"\xff\xfe",
    b"\xe2\x80\xa8", b"0x10", b"1_0",
)  # fmt: skip
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[-+.\w]+|[\[\]{}:,;\n]')


def flip(data: bytes, rng: random.Random) -> bytes:
    """Change up to eight bits."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        if out:
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def flip_early(data: bytes, rng: random.Random) -> bytes:
    """Change bytes among the first: headers are there."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if out:
            out[rng.randrange(min(len(out), 600))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(out)


def cut(data: bytes, rng: random.Random) -> bytes:
    """Leave the end out."""
    return data[: rng.randrange(len(data) + 1)]


def remove(data: bytes, rng: random.Random) -> bytes:
    """Leave a part out."""
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.choice((1, 2, 4, 8, rng.randrange(1, 300))) :]


def repeat(data: bytes, rng: random.Random) -> bytes:
    """Put a part in twice or more."""
    at, size = rng.randrange(len(data) + 1), rng.choice((1, 4, 16, rng.randrange(1, 300)))
    return data[:at] + data[at : at + size] * rng.choice((2, 3, 40)) + data[at + size :]


def number(data: bytes, rng: random.Random) -> bytes:
    """Write a number that is at the edge of something, in either byte order."""
    form = rng.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
    size = struct.calcsize(form)
    if len(data) < size:
        return data
    near = min(len(data), rng.choice((64, 1024, len(data)))) - size
    at = rng.randint(0, max(near, 0))
    value = rng.choice((*_NUMBERS, len(data), len(data) - at, (1 << 64) - 1)) & ((1 << 8 * size) - 1)
    return data[:at] + struct.pack(form, value) + data[at + size :]


BLIND: tuple[Mutation, ...] = (flip, flip, flip_early, flip_early, cut, remove, repeat, number, number)


def shuffled(pieces: Pieces, rng: random.Random, change: Mutation | None = None) -> Pieces:
    """Exchange, repeat, leave out or change pieces."""
    out = list(pieces)
    for _ in range(rng.randint(1, 3)):
        if not out:
            return out
        at, other = rng.randrange(len(out)), rng.randrange(len(out))
        kind = rng.randrange(5)
        if kind == 0:
            out[at], out[other] = out[other], out[at]
        elif kind == 1:
            out.insert(other, out[at])
        elif kind == 2:
            del out[at]
        else:
            out[at] = (change or rng.choice(BLIND))(out[at], rng)
    return out


# ------------------------------------------------------------------------------------------------ structures


def png_pieces(data: bytes) -> Pieces:
    """Type and content of each chunk."""
    found, at = [], 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        found.append(data[at + 4 : at + 8 + size])
        at += 12 + size
    return found


def png_joined(pieces: Pieces) -> bytes:
    """A PNG whose lengths and checksums are right, whatever is in it."""
    chunks = (struct.pack(">I", max(len(p) - 4, 0)) + p + struct.pack(">I", zlib.crc32(p)) for p in pieces)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def mutate_png(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Chunks, and sometimes what is inside of the pixels' stream."""
    pieces = png_pieces(data)
    if rng.random() < 0.2:
        pieces[rng.randrange(len(pieces)) :] = png_pieces(other)[rng.randrange(3) :]
    if rng.random() < 0.3:
        at = next((i for i, p in enumerate(pieces) if p[:4] == b"IDAT"), None)
        if at is not None:
            try:
                raw = zlib.decompress(b"".join(p[4:] for p in pieces if p[:4] == b"IDAT"))
                pieces[at] = b"IDAT" + zlib.compress(rng.choice(BLIND)(raw, rng))
            except zlib.error:
                pass
        return png_joined(pieces)

    def inner(piece: bytes, rng: random.Random) -> bytes:
        return piece[:4] + rng.choice(BLIND)(piece[4:], rng)

    return png_joined(shuffled(pieces, rng, inner))


def jpeg_pieces(data: bytes) -> Pieces:
    """Marker and content of each segment, entropy-coded data with its scan."""
    found, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 2 + size
        if marker == SOS:
            nearest = re.compile(rb"\xff[^\x00\xd0-\xd7]").search(data, end)
            end = nearest.start() if nearest else len(data)
        found.append(data[at:end])
        at = end
    return found


def mutate_jpeg(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Segments, their lengths made right again half of the time; scans from another file."""
    pieces = jpeg_pieces(data)
    if rng.random() < 0.3:
        foreign = jpeg_pieces(other)
        for _ in range(rng.randint(1, 3)):
            if foreign:
                at = rng.randrange(len(pieces) + 1)
                pieces[at : at + rng.randint(0, 1)] = [rng.choice(foreign)]

    def inner(piece: bytes, rng: random.Random) -> bytes:
        if piece[1:2] == bytes((SOS,)):
            if rng.random() < 0.5:  # its header alone
                return piece[:4] + flip_early(piece[4:14], rng)[:10] + piece[14:]
            return rng.choice((flip, cut, remove, repeat))(piece, rng)
        changed = rng.choice((flip_early, flip, number, cut, repeat))(piece[4:], rng)
        size = len(changed) + 2 if rng.random() < 0.8 else rng.choice(_NUMBERS)
        return piece[:2] + struct.pack(">H", size & 0xFFFF) + changed

    end = b"\xff\xd9" if rng.random() < 0.95 else b""
    return b"\xff\xd8" + b"".join(shuffled(pieces, rng, inner)) + end


def _tiff_entries(data: bytes) -> list[tuple[int, str]]:
    """Places of all entries of a classic TIFF's first directories, with the byte order."""
    order, at = parse_header(data)
    found: list[tuple[int, str]] = []
    for _ in range(8):
        directory: Directory = parse_directory(data, at, order=order)
        found += [(at + 2 + 12 * i, order) for i in range(len(directory.entries))]
        at = directory.next_at
        if not at:
            break
    return found


def mutate_tiff(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Fields of single tags: number, type, count, value."""
    out = bytearray(data)
    entries = _tiff_entries(data)
    for _ in range(rng.randint(1, 3)):
        at, order = rng.choice(entries)
        form, place = rng.choice((("H", 0), ("H", 2), ("I", 4), ("H", 8), ("I", 8), ("I", 8)))
        value = rng.choice((*_NUMBERS, 5, 32773, 32946, len(data), rng.choice(entries)[0] - 2))
        if rng.random() < 0.3:  # what another tag has there
            source = rng.choice(entries)[0]
            out[at + place : at + place + 4] = data[source + place : source + place + 4]
        else:
            struct.pack_into(order + form, out, at + place, value & (0xFFFF if form == "H" else 0xFFFFFFFF))
    return bytes(out)


def dicom_pieces(data: bytes) -> Pieces:
    """Elements of an explicit little-endian file; the rest in one piece where that ends."""
    found, at = [data[:132]], 132
    while at + 8 <= len(data):
        long = data[at + 4 : at + 6] in (b"OB", b"OW", b"SQ", b"UN", b"UT", b"OF")
        size = int.from_bytes(data[at + 8 : at + 12] if long else data[at + 6 : at + 8], "little")
        end = len(data) if size == 0xFFFFFFFF else at + (12 if long else 8) + size
        found.append(data[at:end])
        at = end
    return found


def mutate_dicom(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Elements and their lengths; elements from another file."""
    pieces = dicom_pieces(data)
    if rng.random() < 0.3:
        foreign = dicom_pieces(other)
        for _ in range(rng.randint(1, 4)):
            piece = rng.choice(foreign)
            at = next((i for i, own in enumerate(pieces) if own[:4] == piece[:4]), rng.randrange(len(pieces)))
            pieces[at] = piece

    def inner(piece: bytes, rng: random.Random) -> bytes:
        start = 12 if piece[4:6] in (b"OB", b"OW", b"SQ", b"UN", b"UT") else 8
        changed = rng.choice(BLIND)(piece[start:], rng)
        if start == 8 and rng.random() < 0.7:
            return piece[:6] + struct.pack("<H", len(changed) & 0xFFFF) + changed
        return piece[:start] + changed

    return b"".join(shuffled(pieces, rng, inner))


def mutate_gzip(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """What is inside, packed again; or several members."""
    if data[:2] != b"\x1f\x8b":
        return rng.choice(BLIND)(data, rng)
    if rng.random() < 0.2:
        return data + (other if other[:2] == b"\x1f\x8b" else gzip.compress(other))
    return gzip.compress(rng.choice((flip_early, number, cut, repeat))(gzip.decompress(data), rng), 1)


def mutate_text(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Words exchanged, repeated, left out, and replaced by nasty ones: JSON, CSV, keys."""
    pieces = _TOKEN.findall(data)
    places = [match.span() for match in _TOKEN.finditer(data)]
    out = data
    for _ in range(rng.randint(1, 3)):
        if not places:
            return rng.choice(_WORDS)
        start, end = rng.choice(places)
        if end > len(out):
            continue
        here = data[start:end]
        alike = [piece for piece in pieces if piece[:1] == here[:1] or (piece.isdigit() and here.isdigit())]
        if here.isdigit() and rng.random() < 0.7:  # a number stays one, so that its own rule is reached
            word = b"%d" % rng.choice((*_NUMBERS, -1, int(here[:9]) + 1, 65536, (1 << 53) - 1, 1 << 63))
        elif alike and rng.random() < 0.4:
            word = rng.choice(alike)
        else:
            word = rng.choice((*_WORDS, rng.choice(pieces), rng.choice(pieces) * rng.choice((2, 50)), b""))
        out = out[:start] + word + out[end:]
    return out


def mutate_proto(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """A message inside a protocol buffer, with the lengths around it made right again."""
    return _proto(data, rng, depth=0)


def _proto(data: bytes, rng: random.Random, *, depth: int) -> bytes:
    fields = proto_fields(data)
    if not fields or depth > 5:
        return rng.choice(BLIND)(data, rng)
    at = rng.randrange(len(fields))
    key, value = fields[at]
    kind = rng.randrange(6)
    if kind == 0:
        fields.insert(rng.randrange(len(fields)), fields[at])
    elif kind == 1:
        del fields[at]
    elif kind == 2:
        fields[at] = (rng.choice(fields)[0], value)
    elif isinstance(value, int):
        fields[at] = (key, rng.choice((*_NUMBERS, (1 << 64) - 1, (1 << 63) - 1)))
    else:
        fields[at] = (key, _proto(value, rng, depth=depth + 1))
    return proto_joined(fields)


def proto_fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """Keys and values of varint and length-delimited fields; nothing if there are others."""
    found: list[tuple[int, int | bytes]] = []
    at = 0
    try:
        while at < len(data):
            key, at = _varint(data, at)
            value, at = _varint(data, at)
            if key & 7 == 0:
                found.append((key, value))
            elif key & 7 == 2 and at + value <= len(data):
                found.append((key, data[at : at + value]))
                at += value
            else:
                return []
    except IndexError:
        return []
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value, at


def proto_varint(value: int) -> bytes:
    """A number as protocol buffers write it."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def proto_joined(fields: list[tuple[int, int | bytes]]) -> bytes:
    """The bytes of a message."""
    parts = []
    for key, value in fields:
        if isinstance(value, int):
            parts.append(proto_varint(key & ~7) + proto_varint(value))
        else:
            parts.append(proto_varint(key & ~7 | 2) + proto_varint(len(value)) + value)
    return b"".join(parts)


STRUCTURED: dict[str, Callable[[bytes, random.Random, bytes], bytes]] = {
    "png": mutate_png,
    "jpeg": mutate_jpeg,
    "tiff": mutate_tiff,
    "dicom": mutate_dicom,
    "gzip": mutate_gzip,
    "text": mutate_text,
    "proto": mutate_proto,
}


def mutated(seeds: list[bytes], structure: str, rng: random.Random) -> bytes:
    """Return one damaged file.

    Args:
        seeds: Sound files of one kind.
        structure: A key of :data:`STRUCTURED`, or empty for blind damage alone.
        rng: Decides everything.
    """
    data = rng.choice(seeds)
    other = rng.choice(seeds)
    change = STRUCTURED.get(structure)
    if change is not None and rng.random() < 0.65:
        try:
            data = change(data, rng, other)
        except (ValueError, struct.error, IndexError, OverflowError):
            data = rng.choice(BLIND)(data, rng)  # that seed has another structure: BigTIFF among TIFF
        return rng.choice(BLIND)(data, rng) if rng.random() < 0.1 else data
    if rng.random() < 0.1:
        return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]
    for _ in range(rng.randint(1, 2)):
        data = rng.choice(BLIND)(data, rng)
    return data
