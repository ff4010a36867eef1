"""Objects of several frames: every frame gets the same marks, one after the other, never all in memory."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from medlocker.errors import InputError, RestoreError
from medlocker.formats._keep import NOTHING, Keep
from medlocker.formats._method import MarkedFile
from medlocker.formats._registry import encode_frames
from medlocker.geometry import Box
from medlocker.images import Frames, FramesHash, Image, Pixels
from medlocker.logo import Logo
from medlocker.marking import mark_pixels, unmark_pixels
from medlocker.provenance import Provenance
from medlocker.veil import AnyMark

_NUMBER = struct.Struct("<I")
"""Counts and lengths in a residual."""


@dataclass(frozen=True)
class LosslessFrames:
    """Formats that keep every pixel of every frame.

    The residual is the number of frames and, frame by frame, the length of its residual and the residual
    itself; numbers are 32-bit little-endian. See docs/FORMAT.md.
    """

    name: str = "frames-v1"

    def suits(self, image: Image) -> bool:
        """Tell whether the image has several frames."""
        return image.frames is not None

    def influence_box(self, image: Image, box: Box) -> Box:
        """Return the box: every pixel is on its own."""
        return box

    def mark(
        self,
        image: Image,
        marks: Sequence[AnyMark],
        *,
        logo: Logo,
        keep: Keep = NOTHING,
        provenance: Provenance | None = None,
    ) -> MarkedFile:
        """Put marks on; see :class:`medlocker.formats._method.Method`."""
        frames = _frames(image)
        residuals: list[bytes] = []
        digest = FramesHash(count=len(frames), like=image.pixels)

        def marked() -> Iterator[Pixels]:
            for single in _singles(image, frames):
                result = mark_pixels(single, marks, logo=logo)
                residuals.append(result.residual)
                digest.update(result.pixels)
                yield result.pixels

        data = encode_frames(image, marked())
        return MarkedFile(data, join_residuals(residuals), self.name, digest.hexdigest())

    def unmark(self, marked: Image, marks: Sequence[AnyMark], *, logo: Logo, residual: bytes) -> bytes:
        """Take marks off; see :class:`medlocker.formats._method.Method`."""
        return unmark_frames(replace(marked, shown=None, inks=None), marks, logo=logo, residual=residual)


def unmark_frames(marked: Image, marks: Sequence[AnyMark], *, logo: Logo, residual: bytes) -> bytes:
    """Take marks off frames that are shown as their originals are; see :class:`LosslessFrames`."""
    frames = _frames(marked)
    residuals = split_residuals(residual, len(frames))

    def originals() -> Iterator[Pixels]:
        for single, own in zip(_singles(marked, frames), residuals, strict=True):
            yield unmark_pixels(single, marks, logo=logo, residual=own)

    return encode_frames(marked, originals())


def _frames(image: Image) -> Frames:
    if image.frames is None:
        raise InputError("expected an image of several frames, got a still")
    return image.frames


def _singles(image: Image, frames: Frames) -> Iterator[Image]:
    """Yield each frame as an image of its own."""
    for index in range(len(frames)):
        yield replace(image, pixels=frames[index], frames=None)


def join_residuals(residuals: Sequence[bytes]) -> bytes:
    """Return the residuals of all frames as one."""
    pieces = [_NUMBER.pack(len(residuals))]
    for residual in residuals:
        pieces += (_NUMBER.pack(len(residual)), residual)
    return b"".join(pieces)


def split_residuals(residual: bytes, count: int) -> list[bytes]:
    """Return the residuals of all frames.

    Raises:
        RestoreError: If they are not those of ``count`` frames.
    """
    at = _NUMBER.size
    if len(residual) < at or _NUMBER.unpack_from(residual)[0] != count:
        raise RestoreError(f"expected residuals of {count} frames, got another number")
    pieces: list[bytes] = []
    for _ in range(count):
        start = at + _NUMBER.size
        if start > len(residual):
            raise RestoreError("the residual is cut")
        at = start + _NUMBER.unpack_from(residual, at)[0]
        if at > len(residual):
            raise RestoreError("the residual is cut")
        pieces.append(residual[start:at])
    if at != len(residual):
        raise RestoreError("expected nothing after the residual of the last frame")
    return pieces
