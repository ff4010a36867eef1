"""The residual of a translucent blend: which of the few values that give a marked sample was there.

A blend of weight m maps 65535 / (65535 - m) levels to one. Below a half these are at most two neighbouring
values: one bit tells which, and only where there are two. That is 0.3 bits a sample at an opacity of 0.15,
where the least possible is log2(1 / (1 - opacity)), 0.23. See docs/FORMAT.md.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from medlocker.errors import RestoreError
from medlocker.logo import ONE, blend, spread_weight

_PLAIN, _DEFLATED = b"\1", b"\2"
_STRIP_PIXELS = 1 << 15


def veiled(
    under: NDArray[Any],
    color: NDArray[Any],
    weight: NDArray[np.uint16],
    *,
    shown: tuple[int, int] | None = None,
) -> NDArray[Any]:
    """Blend, but let samples outside what is shown keep their distance from it.

    Bones in a soft-tissue window are all white; other windows show them apart. So samples beyond what is
    shown are moved as much as the nearest shown one, and all of them can still be told apart.

    Args:
        under: (h, w, C) uint8 or uint16.
        color: (h, w, C), same dtype.
        weight: (h, w) uint16.
        shown: Lowest and highest sample that a viewer tells apart by default; None: all.

    Returns:
        (h, w, C), dtype of ``under``.
    """
    if shown is None:
        return blend(under, color, weight)
    within = under.clip(*shown)
    return np.asarray(blend(within, color, weight) + (under - within))  # unsigned: wraps and comes back


def pack_choices(
    original: NDArray[Any],
    marked: NDArray[Any],
    color: NDArray[Any],
    weight: NDArray[np.uint16],
    *,
    shown: tuple[int, int] | None = None,
) -> bytes | None:
    """Encode the original, given its blend.

    Args:
        original: (h, w, C) uint8 or uint16.
        marked: Same shape and dtype: ``veiled(original, color, weight, shown=shown)``.
        color: (h, w, C), same dtype.
        weight: (h, w) uint16.
        shown: See :func:`veiled`.

    Returns:
        Bytes; None if some sample is not among two neighbouring values that give its marked one: a weight
        of a half and more, or what was blended was not the original itself.
    """
    chosen: list[NDArray[np.bool_]] = []
    for rows in _strips(weight):
        lowest, has_two = _candidates(marked[rows], color[rows], weight[rows], shown)
        offset = original[rows].astype(np.int32) - lowest
        if ((offset < 0) | (offset > has_two)).any():
            return None
        chosen.append(offset[has_two] == 1)
    bits = np.packbits(np.concatenate(chosen) if chosen else np.zeros(0, np.bool_)).tobytes()
    deflated = bytes(isal_zlib.compress(bits, 2))
    return _DEFLATED + deflated if len(deflated) < len(bits) else _PLAIN + bits


def unpack_choices(
    marked: NDArray[Any],
    color: NDArray[Any],
    weight: NDArray[np.uint16],
    data: bytes,
    *,
    shown: tuple[int, int] | None = None,
) -> NDArray[Any]:
    """Return the original: the inverse of :func:`pack_choices`.

    Raises:
        RestoreError: If the bytes are damaged or of another blend.
    """
    bits = np.frombuffer(_inflated(data, most=marked.size // 8 + 1), np.uint8)
    original = np.empty_like(marked)
    at = 0
    for rows in _strips(weight):
        lowest, has_two = _candidates(marked[rows], color[rows], weight[rows], shown)
        count = int(np.count_nonzero(has_two))
        own = np.unpackbits(bits[at >> 3 : (at + count + 7) >> 3])[at & 7 :][:count]
        if len(own) != count:
            raise RestoreError("the residual is cut")
        lowest[has_two] += own
        original[rows] = lowest
        at += count
    unused = -at % 8
    if len(bits) != (at + 7) >> 3 or (unused and bits[-1] & (1 << unused) - 1):
        raise RestoreError("the residual is of another mark")
    return original


def _inflated(data: bytes, *, most: int) -> bytes:
    form = data[:1]
    if form == _PLAIN:
        return data[1:]
    if form != _DEFLATED:
        raise RestoreError("the residual is damaged")
    unpacker = zlib.decompressobj()
    try:
        bits = unpacker.decompress(data[1:], most + 1)
    except zlib.error as error:
        raise RestoreError("the residual is damaged") from error
    if not unpacker.eof or unpacker.unused_data or len(bits) > most:
        raise RestoreError("the residual is damaged")
    return bits


def _strips(weight: NDArray[np.uint16]) -> list[slice]:
    height, width = weight.shape
    step = max(_STRIP_PIXELS // max(width, 1), 1)
    return [slice(start, min(start + step, height)) for start in range(0, height, step)]


def _candidates(
    marked: NDArray[Any],
    color: NDArray[Any],
    weight: NDArray[np.uint16],
    shown: tuple[int, int] | None,
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Return the lowest value that gives each marked sample, and where the next one gives it too.

    ``blend(I) = J`` where ``J * ONE <= I * (ONE - m) + L * m + 32767 < (J + 1) * ONE``.
    """
    low, high = shown if shown is not None else (0, int(np.iinfo(marked.dtype).max))
    m = spread_weight(weight, color.shape[2], np.float64)
    rest = np.maximum(ONE - m, 1)
    # whole numbers below 2**33 over ones below 2**17: the floor of their quotient in 64-bit floats is exact
    below = marked.astype(np.float64)
    below *= ONE
    m *= color
    below -= m
    below -= 32767
    lowest = np.ceil(below / rest)
    np.clip(lowest, low, high, out=lowest)
    found = lowest.astype(np.int32)
    # the next value gives the same sample if it is not too large either
    lowest += 1
    rest *= lowest
    below += ONE - 1
    has_two = (rest <= below) & (lowest <= high)
    if shown is not None:
        values = marked.astype(np.int32)
        for limit, beyond in ((low, np.less), (high, np.greater)):
            moved = blend(np.full_like(marked, limit), color, weight).astype(np.int32)
            outside = beyond(values, moved)
            found = np.where(outside, values - moved + limit, found)
            has_two &= ~outside
    return found, has_two
