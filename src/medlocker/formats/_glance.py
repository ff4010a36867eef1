"""What a file's headers tell, without a look at its pixels."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Content: TypeAlias = bytes | mmap.mmap
"""A file's bytes, in memory or still on the disk."""

Facts: TypeAlias = Mapping[str, str | int | bool]


@dataclass(frozen=True)
class Glance:
    """What is known of an image that has not been decoded.

    Args:
        format: As :class:`medlocker.images.Image` has it.
        width: Pixels.
        height: Pixels.
        frames: How many frames it has, 1 for a still.
        pixel_bytes: Samples of all frames together, decoded.
        facts: As far as headers tell.
    """

    format: str
    width: int
    height: int
    frames: int
    pixel_bytes: int
    facts: Facts


def release(data: Content) -> None:
    """Let go of what has been read of a mapped file; it is read again when it is needed."""
    if isinstance(data, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        data.madvise(mmap.MADV_DONTNEED)
