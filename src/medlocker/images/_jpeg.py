"""JPEG (ITU-T T.81), read only: written as PNG with its EXIF, colour profile, XMP and resolution."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import simplejpeg

from medlocker.images._deflate import stored
from medlocker.images._exif import exif_facts
from medlocker.images._image import Image, Kind, Pixels
from medlocker.images._limits import NO_LIMITS, Limits, check_size, refuse, translated
from medlocker.images._png import build_png, canonical_png, header_of

_SOF, _SOS, _EOI, _APP0, _APP1, _APP2 = 0xC0, 0xDA, 0xD9, 0xE0, 0xE1, 0xE2
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset((0x01, *range(0xD0, 0xD8)))
_NEXT_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_EXIF, _XMP, _ICC = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
_MAX_SCANS = 200
_INCH_M, _CENTIMETRE_M = 0.0254, 0.01


@dataclass(frozen=True)
class _Parts:
    width: int
    height: int
    components: int
    progressive: bool
    exif: bytes | None
    icc: bytes | None
    xmp: bytes | None
    per_metre: tuple[int, int] | None
    end: int

    def chunks(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return what is carried over as PNG chunks."""
        found: list[tuple[bytes, bytes]] = []
        if self.icc is not None:
            # not compressed: the same bytes on every machine
            found.append((b"iCCP", b"ICC profile\0\0" + stored(self.icc)))
        if self.per_metre is not None:
            found.append((b"pHYs", struct.pack(">IIB", *self.per_metre, 1)))
        if self.exif is not None:
            found.append((b"eXIf", self.exif))
        if self.xmp is not None:
            found.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + self.xmp))
        return tuple(found)


def _parse_jpeg(data: bytes, name: str, limits: Limits) -> _Parts:
    frame: tuple[int, bytes] | None = None
    segments: list[tuple[int, bytes]] = []
    scans = end = 0
    for marker, content, after in _markers(data, name):
        end = after
        if marker in _FRAMES:
            if frame is not None:
                refuse(name, "expected a single picture, got a JPEG of several frames")
            frame = marker, content
            width, height, components = _check_frame(marker, content, name, limits)
        elif marker == _SOS:
            scans += 1
            if scans > _MAX_SCANS:
                refuse(name, f"expected a JPEG of at most {_MAX_SCANS} scans")
        else:
            segments.append((marker, content))
    if frame is None or not scans:
        refuse(name, "expected a JPEG with pixels")
    return _Parts(
        width, height, components, frame[0] == 0xC2,
        _first(segments, _APP1, _EXIF), _icc(segments), _first(segments, _APP1, _XMP),
        _density(segments), end,
    )  # fmt: skip


def _markers(data: bytes, name: str) -> Iterator[tuple[int, bytes, int]]:
    """Yield marker, content and the place after it, up to and with the end-of-image marker."""
    at = 2
    while True:
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        if at + 2 > len(data):
            refuse(name, "expected a whole JPEG image, got a cut one")
        marker = data[at + 1]
        if data[at] != 0xFF or marker in (0x00, 0xD8):
            refuse(name, "expected a whole JPEG image, got a damaged one")
        at += 2
        if marker == _EOI:
            yield marker, b"", at
            return
        if marker in _ALONE:
            continue
        size = int.from_bytes(data[at : at + 2], "big")
        if size < 2 or at + size > len(data):
            refuse(name, "expected a whole JPEG image, got a cut one")
        yield marker, data[at + 2 : at + size], at + size
        at += size
        if marker == _SOS:
            following = _NEXT_MARKER.search(data, at)
            if following is None:
                refuse(name, "expected a whole JPEG image, got a cut one")
            at = following.start()


def _check_frame(marker: int, content: bytes, name: str, limits: Limits) -> tuple[int, int, int]:
    if marker not in (0xC0, 0xC1, 0xC2):
        refuse(name, "expected a baseline or progressive JPEG, got a lossless or arithmetic one")
    if len(content) < 6:
        refuse(name, "expected a whole JPEG image, got a damaged one")
    precision, height, width, components = struct.unpack_from(">BHHB", content)
    if precision != 8:
        refuse(name, f"expected a JPEG of 8 bits, got {precision}")
    check_size(name, width=width, height=height, limits=limits)
    if components not in (1, 3):
        refuse(
            name, f"expected a grey or colour JPEG, got {components} components", hint="convert CMYK to RGB"
        )
    return width, height, components


def _first(segments: list[tuple[int, bytes]], marker: int, start: bytes) -> bytes | None:
    return next((c[len(start) :] for m, c in segments if m == marker and c.startswith(start)), None)


def _icc(segments: list[tuple[int, bytes]]) -> bytes | None:
    """Join the profile's pieces: each has its number and the count of all (ICC.1 annex B.4)."""
    pieces = [c[len(_ICC) :] for m, c in segments if m == _APP2 and c.startswith(_ICC) and len(c) > 14]
    pieces.sort(key=lambda piece: piece[0])
    complete = [piece[0] for piece in pieces] == list(range(1, len(pieces) + 1))
    return b"".join(piece[2:] for piece in pieces) if pieces and complete else None


def _density(segments: list[tuple[int, bytes]]) -> tuple[int, int] | None:
    """Return dots per metre, if the JFIF segment tells them in a unit."""
    jfif = _first(segments, _APP0, b"JFIF\0")
    if jfif is None or len(jfif) < 7:
        return None
    unit, across, down = struct.unpack_from(">BHH", jfif, 2)
    if unit not in (1, 2) or not across or not down:
        return None
    metres = _INCH_M if unit == 1 else _CENTIMETRE_M
    return round(across / metres), round(down / metres)


def read_jpeg(data: bytes, name: str, *, limits: Limits) -> Image:
    """Read a grey or colour JPEG of 8 bits.

    Pixels are those of libjpeg-turbo with the accurate integer transform and smooth chroma, as Pillow and
    OpenCV give them. **Every warning of the decoder is an error**: it would fill what is missing with grey.

    Raises:
        UnsupportedImageError: If it is damaged, CMYK, of 12 bits, lossless, or beyond the limits.
    """
    parts = _parse_jpeg(data, name, limits)
    with translated(name, what="JPEG"):
        pixels = simplejpeg.decode_jpeg(
            data[: parts.end], "GRAY" if parts.components == 1 else "RGB", fastdct=False, fastupsample=False
        )
        if pixels.shape != (parts.height, parts.width, parts.components):
            raise ValueError("expected the announced size")
    kind: Kind = "grey" if parts.components == 1 else "rgb"
    facts: dict[str, str | int | bool] = {
        "bit depth": 8,
        "kind": kind,
        "compression": "progressive JPEG" if parts.progressive else "JPEG",
        "icc": parts.icc is not None,
        "exif": False,
        "gps": False,
    }
    if parts.exif is not None:
        facts |= exif_facts(parts.exif)
    if parts.per_metre is not None:
        facts["dpi"] = " x ".join(f"{value * _INCH_M:.5g}" for value in parts.per_metre)
    return Image(np.ascontiguousarray(pixels), kind, "jpeg", data, None, facts)


def encode_jpeg(image: Image, pixels: Pixels) -> bytes:
    """Write pixels as PNG with what is carried over from the JPEG.

    Args:
        image: Read from JPEG.
        pixels: Checked to be of the image's shape and type.
    """
    parts = _parse_jpeg(image.source, "image", NO_LIMITS)
    return build_png(header_of(pixels, image.kind), pixels, before=parts.chunks())


def metadata_jpeg(image: Image) -> Iterator[bytes]:
    """Yield what is kept besides the pixels: the same as for the PNG that :func:`encode_jpeg` writes."""
    parts = _parse_jpeg(image.source, "image", NO_LIMITS)
    return canonical_png(header_of(image.pixels, image.kind), parts.chunks())
