"""Where a PNG has its XMP packet: an iTXt chunk with a keyword of its own (PNG 3rd edition, 11.3.3)."""

from __future__ import annotations

from medlocker.formats.png._file import parse_png, text_of
from medlocker.formats.png._rows import SIGNATURE, chunk

_KEYWORD = b"XML:com.adobe.xmp\0"
_PLAIN = b"\0\0\0\0"
"""Not compressed, no language, no translated keyword."""
_HEADER_BYTES = 25


def packet_png(data: bytes) -> bytes | None:
    """Return the first packet of a file that has been read before, or None."""
    parts = parse_png(data, "image")
    texts = (text for kind, text in (*parts.before, *parts.after) if kind == b"iTXt")
    return next((text_of(b"iTXt", text) for text in texts if text.startswith(_KEYWORD)), None)


def add_packet_png(data: bytes, packet: bytes) -> bytes:
    """Return a file with a packet more, behind its header."""
    at = len(SIGNATURE) + _HEADER_BYTES
    return b"".join((data[:at], chunk(b"iTXt", _KEYWORD + _PLAIN + packet), data[at:]))
