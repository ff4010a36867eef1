"""Chunks of a PNG file that may hold the unmarked picture: taken out, and put back."""

from __future__ import annotations

import struct
from dataclasses import replace

from isal import isal_zlib

from medlocker.formats._deflate import inflate_at_most
from medlocker.formats._exif import known_only
from medlocker.formats._icc import is_plain_profile
from medlocker.formats._keep import MOST_BYTES, Keep
from medlocker.formats.png._file import MAX_TEXT_BYTES, TEXTS, join_png, parse_png, tail_of, text_of
from medlocker.formats.png._range import SHOWN, range_chunk
from medlocker.images import Image

_FIXED = {
    b"PLTE": 768, b"tRNS": 256, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"sBIT": 4, b"bKGD": 6, b"hIST": 512,
    b"pHYs": 9, b"tIME": 7, b"cICP": 4, b"mDCV": 24, b"cLLI": 8, b"oFFs": 9, b"sTER": 1,
}  # fmt: skip
"""Chunks that say how pixels are shown, and how many bytes they may have."""

_KEYWORDS = frozenset((b"Title", b"Author", b"Description", b"Copyright", b"Creation Time", b"Software",
                       b"Disclaimer", b"Warning", b"Source", b"Comment"))  # fmt: skip
_XMP = b"XML:com.adobe.xmp"
_HELD = struct.Struct("<BBI4sI")
_CHANGED, _AFTER, _BEHIND = 1, 2, 4
_MOST_BEHIND = 1 << 26


def hold_png(image: Image, keep: Keep) -> tuple[Image, bytes]:
    """Return the image without chunks that may hold a picture and what follows the last one, and these.

    More behind the last chunk than 64 MiB is dropped.

    Args:
        image: Read from PNG.
        keep: What passes although it may hold a picture.

    Returns:
        The image, and for each chunk flags, a number among the chunks before or behind the pixels, type,
        length and content; nothing if all of them pass.
    """
    parts = parse_png(image.source, "image")
    passed: list[list[tuple[bytes, bytes]]] = [[], []]
    held: list[bytes] = []
    seen: set[bytes] = set()
    for flag, chunks in enumerate((parts.before, parts.after)):
        for index, (kind, data) in enumerate(chunks):
            harmless = _harmless(kind, data, keep, seen)
            if harmless is not None:
                passed[flag].append((kind, harmless))
            if harmless != data:
                flags = (harmless is not None) * _CHANGED + flag * _AFTER
                held += (_HELD.pack(flags, 0, index, kind, len(data)), data)
    behind = tail_of(image.source)
    if 0 < len(behind) <= _MOST_BEHIND:
        held += (_HELD.pack(_BEHIND, 0, 0, b"IEND", len(behind)), behind)
    if not held:
        return image, b""
    return replace(
        image, source=join_png(replace(parts, before=tuple(passed[0]), after=tuple(passed[1])))
    ), b"".join(held)


def _harmless(kind: bytes, data: bytes, keep: Keep, seen: set[bytes]) -> bytes | None:
    """Return a chunk's content as it is passed on, or None to leave the chunk out; each kind passes once."""
    if kind in TEXTS:
        keyword = data.partition(b"\0")[0]
        name = "xmp" if keyword == _XMP else "text"
        known = keyword in _KEYWORDS and keyword not in seen and len(text_of(kind, data)) <= MOST_BYTES
        seen.add(keyword)
        return data if name in keep or (known and len(data) <= MOST_BYTES) else None
    if kind == SHOWN:
        return None
    first = kind not in seen
    seen.add(kind)
    if kind == b"eXIf":
        return data if "exif" in keep else known_only(data) if first else None
    if kind == b"iCCP":
        return data if "profiles" in keep or (first and _is_plain(data)) else None
    return data if "private" in keep or (first and len(data) <= _FIXED.get(kind, -1)) else None


def _is_plain(data: bytes) -> bool:
    name, _, rest = data.partition(b"\0")
    profile = inflate_at_most(rest[1:], MAX_TEXT_BYTES)
    if len(name) > 79 or not is_plain_profile(profile):
        return False
    machine = isal_zlib.decompressobj()
    machine.decompress(rest[1:], len(profile) + 1)
    return bool(machine.eof) and not machine.unused_data


def complete_png(bare: bytes, held: bytes) -> bytes:
    """Return a file with what :func:`hold_png` held back."""
    parts = parse_png(bare, "image")
    chunks = (list(parts.before), list(parts.after))
    at, behind = 0, b""
    while at < len(held):
        flags, _, index, kind, size = _HELD.unpack_from(held, at)
        at += _HELD.size
        data = held[at : at + size]
        at += size
        if len(data) != size:
            raise ValueError("expected whole chunks")
        if flags & _BEHIND:
            behind = data
            continue
        own, changed = chunks[bool(flags & _AFTER)], flags & _CHANGED
        if index > len(own) - changed:
            raise ValueError("expected a chunk where one was held back")
        own[index : index + changed] = [(kind, data)]
    return join_png(replace(parts, before=tuple(chunks[0]), after=tuple(chunks[1]))) + behind


def tell_range_png(data: bytes, shown: tuple[int, int] | None) -> bytes:
    """Return a PNG with a note of the least and the greatest sample shown, or without one.

    Args:
        data: The file, of 16 bits.
        shown: Both, as stored; None for no note.
    """
    parts = parse_png(data, "image")
    note = () if shown is None else (range_chunk(shown),)
    before, after = (tuple(c for c in chunks if c[0] != SHOWN) for chunks in (parts.before, parts.after))
    return join_png(replace(parts, before=(*before, *note), after=after))
