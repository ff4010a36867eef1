"""What is refused before anything is decoded, and how a decoder's failure becomes one sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from medlocker.errors import UnsupportedImageError


@dataclass(frozen=True)
class Limits:
    """What an image may need at most; larger ones are refused from their header alone.

    Args:
        max_file_bytes: Size of the file.
        max_pixels: Width times height; a search holds about 40 bytes for each.
        max_side: Width and height each, pixels.
        max_frames: Frames of one object.
        max_frames_bytes: Samples of all its frames together, decoded.
    """

    max_file_bytes: int = 1 << 32
    max_pixels: int = 100_000_000
    max_side: int = 65_500
    max_frames: int = 65_535
    max_frames_bytes: int = 1 << 34


LIMITS = Limits()
NO_LIMITS = Limits(*(sys.maxsize,) * 5)
"""For sources that have passed their limits when they were read."""


class DamagedError(ValueError):
    """Where a file is damaged; the text names places and rules, never a value of the file."""


def refuse(name: str, fact: str, *, hint: str = "") -> NoReturn:
    """Raise that the image ``name`` cannot be used.

    Raises:
        UnsupportedImageError: Always.
    """
    raise UnsupportedImageError(f"{name}: {fact}", subject=name, hint=hint)


def check_size(name: str, *, width: int, height: int, limits: Limits) -> None:
    """Refuse an empty or huge picture, given what its header says.

    Raises:
        UnsupportedImageError: If a side is 0 or over the limits.
    """
    if width < 1 or height < 1:
        refuse(name, f"expected at least one pixel, got {width} x {height}")
    if max(width, height) > limits.max_side:
        refuse(name, f"expected sides of at most {limits.max_side} pixels, got {width} x {height}")
    if width * height > limits.max_pixels:
        refuse(name, f"expected at most {limits.max_pixels} pixels, got {width} x {height}")


def check_frames(name: str, *, count: int, frame_bytes: int, limits: Limits) -> None:
    """Refuse an object of too many frames, given what its header says.

    Args:
        name: The image, for the message.
        count: Number of frames.
        frame_bytes: Samples of one frame, decoded.
        limits: What is too many.

    Raises:
        UnsupportedImageError: If so.
    """
    if count > limits.max_frames:
        refuse(name, f"expected at most {limits.max_frames} frames, got {count}")
    if count * frame_bytes > limits.max_frames_bytes:
        refuse(
            name,
            f"expected at most {limits.max_frames_bytes} bytes of frames, got {count * frame_bytes}",
        )


@contextmanager
def translated(name: str, *, what: str, noun: str = "image") -> Iterator[None]:
    """Turn whatever a decoder raises into one :class:`UnsupportedImageError`.

    Decoders see untrusted bytes and raise errors of many kinds, and their texts may quote the file. So
    the text is dropped (it stays the cause) and only the fact is told.

    Args:
        name: The image, for the message.
        what: The format, for the message.
        noun: What is expected, likewise.

    Raises:
        UnsupportedImageError: For every other exception.
    """
    try:
        yield
    except UnsupportedImageError:
        raise
    except MemoryError as error:
        raise UnsupportedImageError(
            f"{name}: expected an {noun} that fits into memory", subject=name
        ) from error
    except DamagedError as error:
        raise UnsupportedImageError(
            f"{name}: expected a whole {what} {noun}: {error}", subject=name
        ) from error
    except Exception as error:
        raise UnsupportedImageError(
            f"{name}: expected a whole {what} {noun}, got a damaged or cut one", subject=name
        ) from error
