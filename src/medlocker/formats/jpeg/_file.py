"""JPEG (ITU-T T.81): read."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import simplejpeg

from medlocker.formats._exif import exif_facts
from medlocker.formats._glance import Content, Glance
from medlocker.formats.jpeg._coefficients import surroundings
from medlocker.formats.jpeg._previews import EXIF, joined_profile
from medlocker.formats.jpeg._stream import APP0, APP1, Frame, Segment, Stream, parse_stream
from medlocker.images import Image, Kind, Limits, Pixels, refuse, translated

_STRAY_AT_END = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
"""The one warning of libjpeg that comes after the last block."""
_INCH_M, _CENTIMETRE_M = 0.0254, 0.01
_SAMPLINGS = frozenset(
    (
        *((same,) * 3 for same in ((1, 1), (2, 1), (1, 2), (3, 1), (1, 3))),
        *((luma, (1, 1), (1, 1)) for luma in ((2, 1), (2, 2), (1, 2), (4, 1), (1, 4))),
        *(((2, 2), chroma, chroma) for chroma in ((2, 1), (1, 2))),
    )
)
"""Factors (across, down) of the three components that TurboJPEG decodes; it calls others damaged."""


@dataclass(frozen=True)
class _Parts:
    stream: Stream
    exif: bytes | None
    has_profile: bool
    per_metre: tuple[int, int] | None


def _parse_jpeg(data: bytes, name: str, limits: Limits) -> _Parts:
    stream = parse_stream(data, name, limits)
    segments = stream.segments
    return _Parts(
        stream,
        _first(segments, APP1, EXIF),
        joined_profile(segments) is not None,
        _density(segments),
    )


def _first(segments: Sequence[Segment], marker: int, start: bytes) -> bytes | None:
    found = (s.content for s in segments if s.marker == marker and s.content.startswith(start))
    return next((content[len(start) :] for content in found), None)


def _density(segments: Sequence[Segment]) -> tuple[int, int] | None:
    """Return dots per metre, if the JFIF segment tells them in a unit."""
    jfif = _first(segments, APP0, b"JFIF\0")
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
    OpenCV give them. **A warning of the decoder is an error**: it would fill what is missing with grey. Only
    stray bytes between segments or behind the last block leave no pixel open, and are passed over.

    Raises:
        UnsupportedImageError: If it is damaged, CMYK, of 12 bits, lossless, of a chroma sampling that hardly
            anybody writes, or beyond the limits.
    """
    parts = _parse_jpeg(data, name, limits)
    frame = parts.stream.frame
    _check_sampling(frame, name)
    channels = len(frame.components)
    with translated(name, what="JPEG"):
        pixels = _decoded(parts.stream, "GRAY" if channels == 1 else "RGB")
        if pixels.shape != (frame.height, frame.width, channels):
            raise ValueError("expected the announced size")
    facts = _facts(parts)
    kind: Kind = "grey" if channels == 1 else "rgb"
    return Image(np.ascontiguousarray(pixels), kind, "jpeg", data, None, facts)


def glance_jpeg(data: Content, name: str, *, limits: Limits) -> Glance:
    """Tell what a JPEG file's segments say; see :func:`read_jpeg`."""
    parts = _parse_jpeg(data[:], name, limits)
    frame = parts.stream.frame
    _check_sampling(frame, name)
    size = frame.width * frame.height * len(frame.components)
    return Glance("jpeg", frame.width, frame.height, 1, size, _facts(parts))


def _facts(parts: _Parts) -> dict[str, str | int | bool]:
    frame = parts.stream.frame
    facts: dict[str, str | int | bool] = {
        "bit depth": 8,
        "kind": "grey" if len(frame.components) == 1 else "rgb",
        "compression": "progressive JPEG" if frame.progressive else "JPEG",
        "icc": parts.has_profile,
        "exif": False,
        "gps": False,
    }
    if parts.exif is not None:
        facts |= exif_facts(parts.exif)
    if parts.per_metre is not None:
        facts["dpi"] = " x ".join(f"{value * _INCH_M:.5g}" for value in parts.per_metre)
    return facts


def _decoded(stream: Stream, colors: str) -> Pixels:
    def decode(data: bytes) -> Pixels:
        return np.asarray(simplejpeg.decode_jpeg(data, colors, fastdct=False, fastupsample=False))

    try:
        return decode(stream.bare())
    except ValueError as error:
        stray = _STRAY_AT_END.search(str(error))
        if stray is None:
            raise
    # the decoder had all blocks before; without the stray bytes it must have nothing to warn of
    return decode(stream.without_last(int(stray[1])).bare())


def _check_sampling(frame: Frame, name: str) -> None:
    if len(frame.components) == 1:
        return
    factors = tuple((c.across, c.down) for c in frame.components)
    if factors not in _SAMPLINGS:
        found = ", ".join(f"{across}x{down}" for across, down in factors)
        refuse(
            name,
            "expected a JPEG of chroma sampling 4:4:4, 4:2:2, 4:2:0, 4:4:0, 4:1:1 or 4:4:1, "
            f"got components of {found}",
            hint="this chroma sampling is not supported: convert the image to PNG, which loses nothing",
        )


def metadata_jpeg(image: Image) -> Iterator[bytes]:
    """Yield what is kept besides the coefficients: tables, sampling, metadata, what follows the picture."""
    yield b"JPEG"
    yield from surroundings(parse_stream(image.source)).pieces()
