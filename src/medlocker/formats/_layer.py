"""What lies around a marked file: put on last, taken off first, to the byte.

A layer is known by what takes it off again: edits, sealed with the record. So no reader must tell what in a
file is a layer, and what was there before. See docs/FORMAT.md, section 20.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from medlocker.errors import RestoreError
from medlocker.formats._edits import Edit, apply_edits, pack_edits, unpack_edits

LAYERED = "provenance-v1"
"""Name of the method."""
_HEAD = struct.Struct("<BB")
_MOST_LAYERS = 4
_START_BYTES = 16
"""The header of a TIFF or BigTIFF, where the place of its first directory stands."""
_MOST_BYTES = (1 << 32) - 1


def layer_between(plain: bytes, told: bytes) -> bytes | None:
    """Return the layer that turns a file into another one: what takes it off again.

    Args:
        plain: The file.
        told: The same with bytes inserted at one place, or with another start and bytes appended.

    Returns:
        None if there is more between them than that.
    """
    added = len(told) - len(plain)
    if added < 0 or len(told) > _MOST_BYTES:
        return None
    at = _first_difference(plain, told)
    edits: tuple[Edit, ...] = (Edit(at, added, b""),)
    if told[at + added :] != plain[at:]:
        edits = (Edit(0, _START_BYTES, plain[:_START_BYTES]), Edit(len(plain), added, b""))
    try:
        same = apply_edits(told, edits)[0] == plain
    except ValueError:
        return None
    return pack_edits(edits) if same else None


def _first_difference(one: bytes, other: bytes) -> int:
    """Return how many bytes two files begin with that are the same."""
    low, high = 0, min(len(one), len(other))
    a, b = memoryview(one), memoryview(other)
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def with_layers(method: str, residual: bytes, layers: Sequence[bytes]) -> tuple[str, bytes]:
    """Return the method and the residual of a file with layers.

    Args:
        method: Of the file without them.
        residual: Likewise.
        layers: From :func:`layer_between`, the innermost first; none change nothing.
    """
    if not layers:
        return method, residual
    name = method.encode("ascii")
    return LAYERED, b"".join((_HEAD.pack(len(name), len(layers)), name, *reversed(layers), residual))


def without_layers(data: bytes, *, method: str, residual: bytes) -> tuple[bytes, str, bytes]:
    """Take the layers off a file; without any it is returned as it is.

    Args:
        data: The file.
        method: As the sealed record names it.
        residual: As the sealed record has it.

    Returns:
        The marked file, its method and its residual.

    Raises:
        RestoreError: If the layers do not belong to this file.
    """
    if method != LAYERED:
        return data, method, residual
    try:
        named, count = _HEAD.unpack_from(residual)
        at = _HEAD.size + named
        inner = residual[_HEAD.size : at].decode("ascii")
        if not 0 < count <= _MOST_LAYERS or inner == LAYERED:
            raise ValueError("expected a few layers around a marked file")
        for _ in range(count):
            edits, at = unpack_edits(residual, at)
            data, _ = apply_edits(data, edits)
    except (struct.error, ValueError) as error:
        raise RestoreError("what lies around the marked file does not belong to it") from error
    return data, inner, residual[at:]
