"""The residual of a marked DICOM file: what gives its header back, and each frame's own residual."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import RestoreError
from medlocker.formats.dicom._edit import Edit

_COUNT, _EDIT = struct.Struct("<I"), struct.Struct("<III")
_INKS = 256
_MOST_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class Patch:
    """What gives an original's header back.

    Args:
        edits: From the marked file's bytes before the pixels to the original's.
        tail: The original's bytes behind the pixels.
        pad: What follows the original's frames within Pixel Data.
        inks: (256,) uint16 samples that the logo's levels were drawn in, None if they are its levels.
    """

    edits: Sequence[Edit]
    tail: bytes
    pad: bytes
    inks: NDArray[Any] | None


def pack_patch(patch: Patch) -> bytes:
    """Return a patch as bytes; see docs/FORMAT.md."""
    inks = b"" if patch.inks is None else patch.inks.astype("<u2").tobytes()
    pieces = [_COUNT.pack(len(patch.edits))]
    for edit in patch.edits:
        pieces += (_EDIT.pack(edit.at, edit.length, len(edit.data)), edit.data)
    for block in (patch.tail, patch.pad, inks):
        pieces += (_COUNT.pack(len(block)), block)
    return zlib.compress(b"".join(pieces), 9)


def unpack_patch(data: bytes) -> Patch:
    """Read what :func:`pack_patch` wrote.

    Raises:
        RestoreError: If it is damaged.
    """
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(data, _MOST_BYTES)
        if not unpacker.eof or unpacker.unused_data:
            raise ValueError("expected one whole stream")
        at = _COUNT.size
        edits: list[Edit] = []
        for _ in range(_COUNT.unpack_from(plain)[0]):
            place, length, size = _EDIT.unpack_from(plain, at)
            at += _EDIT.size
            edits.append(Edit(place, length, _piece(plain, at, size)))
            at += size
        blocks: list[bytes] = []
        for _ in range(3):
            (size,) = _COUNT.unpack_from(plain, at)
            blocks.append(_piece(plain, at + _COUNT.size, size))
            at += _COUNT.size + size
        tail, pad, inks = blocks
        if at != len(plain) or len(inks) not in (0, 2 * _INKS):
            raise ValueError("expected nothing more")
    except (zlib.error, struct.error, ValueError) as error:
        raise RestoreError("the residual of the header is damaged") from error
    return Patch(edits, tail, pad, np.frombuffer(inks, "<u2") if inks else None)


def _piece(plain: bytes, at: int, size: int) -> bytes:
    piece = plain[at : at + size]
    if len(piece) != size:
        raise ValueError("expected a whole piece")
    return piece
