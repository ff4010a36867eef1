"""Bytes in place of others: what turns one file into another, and back to the very bytes it had."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

_COUNT, _EDIT = struct.Struct("<I"), struct.Struct("<III")


@dataclass(frozen=True)
class Edit:
    """Bytes in place of others.

    Args:
        at: First byte that is replaced.
        length: How many are.
        data: What takes their place.
    """

    at: int
    length: int
    data: bytes


def apply_edits(head: bytes, edits: Sequence[Edit]) -> tuple[bytes, tuple[Edit, ...]]:
    """Return edited bytes and the edits that undo it.

    Args:
        head: A file, or its first bytes.
        edits: In the order of their places, not overlapping.

    Raises:
        ValueError: If they are not.
    """
    pieces: list[bytes] = []
    undo: list[Edit] = []
    at = made = 0
    for edit in edits:
        if not at <= edit.at <= edit.at + edit.length <= len(head):
            raise ValueError("expected edits in the order of their places")
        pieces += (head[at : edit.at], edit.data)
        made += edit.at - at
        undo.append(Edit(made, len(edit.data), head[edit.at : edit.at + edit.length]))
        made += len(edit.data)
        at = edit.at + edit.length
    pieces.append(head[at:])
    return b"".join(pieces), tuple(undo)


def pack_edits(edits: Sequence[Edit]) -> bytes:
    """Return edits as bytes; see docs/FORMAT.md, section 15."""
    pieces = [_COUNT.pack(len(edits))]
    for edit in edits:
        pieces += (_EDIT.pack(edit.at, edit.length, len(edit.data)), edit.data)
    return b"".join(pieces)


def unpack_edits(data: bytes, at: int) -> tuple[list[Edit], int]:
    """Read what :func:`pack_edits` wrote, from ``at`` on.

    Returns:
        The edits, and the place behind them.

    Raises:
        ValueError: If they are cut.
        struct.error: Likewise.
    """
    edits: list[Edit] = []
    (count,) = _COUNT.unpack_from(data, at)
    at += _COUNT.size
    for _ in range(count):
        place, length, size = _EDIT.unpack_from(data, at)
        at += _EDIT.size
        piece = data[at : at + size]
        if len(piece) != size:
            raise ValueError("expected a whole piece")
        edits.append(Edit(place, length, piece))
        at += size
    return edits, at
