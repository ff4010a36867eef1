"""Where a JPEG has its XMP packet: an APP1 segment with a name of its own (ISO 16684-3, 1.1.3)."""

from __future__ import annotations

from medlocker.formats.jpeg._previews import EXIF, XMP
from medlocker.formats.jpeg._stream import APP0, APP1, SOS, Segment, each_segment


def packet_jpeg(data: bytes) -> bytes | None:
    """Return the first packet before the picture, or None."""
    for segment, _ in each_segment(data, "image"):
        if segment is None or segment.marker == SOS:
            return None
        if segment.marker == APP1 and segment.content.startswith(XMP):
            return segment.content[len(XMP) :]
    return None


def add_packet_jpeg(data: bytes, packet: bytes) -> bytes:
    """Return a file with a packet more, behind what must come first: JFIF and EXIF."""
    at = 2
    for segment, end in each_segment(data, "image"):
        if segment is None or not _comes_first(segment):
            break
        at = end
    return b"".join((data[:at], Segment(APP1, XMP + packet).to_bytes(), data[at:]))


def _comes_first(segment: Segment) -> bool:
    return segment.marker == APP0 or (segment.marker == APP1 and segment.content.startswith(EXIF))
