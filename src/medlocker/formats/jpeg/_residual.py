"""What the sealed record of a marked JPEG holds: the touched blocks' coefficients, and metadata held back."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from medlocker.errors import InputError, RestoreError
from medlocker.formats.jpeg._previews import StrippedSegment
from medlocker.formats.jpeg._stream import Segment

MAX_WITHHELD = 64 << 20
"""Bytes of previews and of what follows the picture that a sealed record carries."""
_PIECE = struct.Struct("<IBBH")
_CHANGED, _TAIL = 1, 2


@dataclass(frozen=True, eq=False)
class Residual:
    """What gives the original back.

    Args:
        coefficients: Original ones of the touched blocks, (n, 64) for each component.
        head: Metadata segments before the first scan that were held back.
        tail: Those behind it.
        trailer: What followed the picture.
    """

    coefficients: tuple[NDArray[np.int16], ...]
    head: tuple[StrippedSegment, ...]
    tail: tuple[StrippedSegment, ...]
    trailer: bytes

    def to_bytes(self) -> bytes:
        """Return the compressed form.

        Raises:
            InputError: If more is held back than a record may carry.
        """
        pieces = [
            _PIECE.pack(
                one.index, one.changed * _CHANGED + flag, one.segment.marker, len(one.segment.content)
            )
            + one.segment.content
            for group, flag in ((self.head, 0), (self.tail, _TAIL))
            for one in group
        ]
        behind = struct.pack("<I", len(pieces)) + b"".join(pieces) + self.trailer
        if len(behind) > MAX_WITHHELD:
            raise InputError(
                f"expected at most {MAX_WITHHELD} bytes of previews and behind the picture, got {len(behind)}"
            )
        return bytes(isal_zlib.compress(_planes(self.coefficients) + behind, 2))

    @classmethod
    def from_bytes(cls, data: bytes, counts: Sequence[int]) -> Residual:
        """Read what :meth:`to_bytes` wrote.

        Args:
            data: From a sealed record: the owner's, but not trusted.
            counts: How many touched blocks each component has.

        Raises:
            RestoreError: If it is damaged or of another mark.
        """
        size = 128 * sum(counts)
        unpacker = zlib.decompressobj()
        try:
            plain = unpacker.decompress(data, size + MAX_WITHHELD + 1)
        except zlib.error as error:
            raise RestoreError("the residual is damaged") from error
        if len(plain) < size or not unpacker.eof or unpacker.unused_data:
            raise RestoreError(f"expected a residual of {size} bytes and more, got another length")
        try:
            head, tail, trailer = _withheld(plain[size:])
        except (struct.error, ValueError) as error:
            raise RestoreError("the residual is damaged") from error
        return cls(_coefficients(plain[:size], counts), head, tail, trailer)


def _planes(coefficients: Sequence[NDArray[np.int16]]) -> bytes:
    """Return low bytes of all samples, then high ones; small values of both signs are small numbers."""
    rows = [_zigzag(_steps(blocks)).T.ravel() for blocks in coefficients]
    samples = np.concatenate(rows) if rows else np.empty(0, np.uint16)
    return (samples & 0xFF).astype(np.uint8).tobytes() + (samples >> 8).astype(np.uint8).tobytes()


def _coefficients(planes: bytes, counts: Sequence[int]) -> tuple[NDArray[np.int16], ...]:
    halves = np.frombuffer(planes, np.uint8).reshape(2, -1).astype(np.uint16)
    samples = halves[0] | halves[1] << 8
    found, at = [], 0
    for count in counts:
        blocks = _unzigzag(samples[at : at + 64 * count].reshape(64, count).T).copy()
        blocks[:, 0] = np.cumsum(blocks[:, 0], dtype=np.int16)
        found.append(blocks)
        at += 64 * count
    return tuple(found)


def _steps(blocks: NDArray[np.int16]) -> NDArray[np.int16]:
    """Replace each block's mean by its step from the block before; wraps around on purpose."""
    result = blocks.copy()
    result[1:, 0] -= blocks[:-1, 0]
    return result


def _zigzag(values: NDArray[np.int16]) -> NDArray[np.uint16]:
    """Map 0, -1, 1, -2, 2 to 0, 1, 2, 3, 4."""
    return ((values << 1) ^ (values >> 15)).view(np.uint16)


def _unzigzag(codes: NDArray[np.uint16]) -> NDArray[np.int16]:
    return np.asarray((codes >> 1) ^ -(codes & 1).astype(np.uint16), dtype=np.uint16).view(np.int16)


def _withheld(data: bytes) -> tuple[tuple[StrippedSegment, ...], tuple[StrippedSegment, ...], bytes]:
    (count,) = struct.unpack_from("<I", data)
    at = 4
    head: list[StrippedSegment] = []
    tail: list[StrippedSegment] = []
    for _ in range(count):
        index, flags, marker, size = _PIECE.unpack_from(data, at)
        at += _PIECE.size
        content = data[at : at + size]
        if len(content) != size or flags > _CHANGED + _TAIL:
            raise ValueError("expected a whole segment")
        one = StrippedSegment(index, bool(flags & _CHANGED), Segment(marker, content))
        if not one.segment.is_metadata:
            raise ValueError("expected a metadata segment")
        (tail if flags & _TAIL else head).append(one)
        at += size
    return tuple(head), tuple(tail), data[at:]
