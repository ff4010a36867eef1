"""What a PNG's chunks say of the samples to be shown: 10 or 12 bits are often kept in 16."""

from __future__ import annotations

import struct

from medlocker.formats._shownrange import ShownRange, ToldRange, range_of_16_bits
from medlocker.images import CHANNELS, Kind, Pixels

SHOWN = b"mlWD"
"""Ours: the least and the greatest sample that the original shows, of a marked picture of 16 bits."""

_RANGE = struct.Struct(">HH")


def find_range(kind: Kind, pixels: Pixels, *, noted: bytes, significant: bytes) -> ShownRange | None:
    """Return the samples that are shown black and white, None for all of the type.

    Args:
        kind: What the channels mean.
        pixels: (H, W, C) uint16.
        noted: Content of our chunk, empty if there is none.
        significant: Content of sBIT: how many bits count, for each channel.
    """
    told = []
    if len(noted) == _RANGE.size:
        low, high = _RANGE.unpack(noted)
        told.append(ToldRange(low, high, display=True, whole=True))
    colors = 3 if kind in ("rgb", "rgba") else 1
    if len(significant) == CHANNELS[kind] and max(significant[:colors]) < 16:
        told.append(ToldRange(0, (1 << max(significant[:colors])) - 1))
    return range_of_16_bits(pixels[..., :colors], told)


def range_chunk(shown: tuple[int, int]) -> tuple[bytes, bytes]:
    """Return the chunk in which a marked file notes the least and the greatest sample shown."""
    return SHOWN, _RANGE.pack(*shown)
