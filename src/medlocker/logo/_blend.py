"""The one blend of medlocker, in integers: used by the search, by writing and by restoring."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

ONE = 65535
"""A weight of 65535 replaces the pixel by the logo."""

_STRIP_PIXELS = 16384


def weights(coverage: NDArray[np.uint8], opacity: int) -> NDArray[np.uint16]:
    """Return the 16-bit blend weights of a logo.

    Args:
        coverage: (h, w) uint8, 255 where the logo covers the whole pixel.
        opacity: 0 to 65535.

    Returns:
        (h, w) uint16, ``round(opacity * coverage / 255)``.
    """
    scaled = coverage.astype(np.uint32) * np.uint32(opacity)
    return np.asarray((scaled + 127) // 255, dtype=np.uint16)


def blend(under: NDArray[Any], color: NDArray[Any], weight: NDArray[np.uint16]) -> NDArray[Any]:
    """Blend a logo over pixels: ``(I * (65535 - m) + L * m + 32767) // 65535``.

    Every intermediate fits 32 bits, so the result is the same on every machine.

    Args:
        under: (..., h, w, C) uint8 or uint16.
        color: (h, w, C), same dtype.
        weight: (h, w) uint16; 0 leaves the pixel as it is.

    Returns:
        (..., h, w, C), dtype of ``under``.
    """
    result = np.empty(np.broadcast_shapes(under.shape, color.shape), under.dtype)
    for rows in _strips(weight):
        m = spread_weight(weight[rows], color.shape[2], np.uint32)
        mixed = under[..., rows, :, :].astype(np.uint32)
        mixed *= np.uint32(ONE) - m
        mixed += color[rows].astype(np.uint32) * m + np.uint32(32767)
        mixed //= np.uint32(ONE)
        result[..., rows, :, :] = mixed
    return result


def spread_weight(weight: NDArray[np.uint16], channels: int, dtype: type[Any]) -> NDArray[Any]:
    """Return (h, w, channels) of (h, w): numpy is slow at what it repeats along a short last axis."""
    return weight.astype(dtype).repeat(channels, axis=1).reshape(*weight.shape, channels)


def unblend(mixed: NDArray[Any], color: NDArray[Any], weight: NDArray[np.uint16]) -> NDArray[Any]:
    """Estimate what was under a blend; the residual corrects the rest.

    The estimate is off by about ``0.5 / (1 - m / 65535)`` levels; where m is 65535 nothing is left of
    the pixel and the estimate is 0. Rounding follows integer rules, so it is the same on every machine.

    Args:
        mixed: (h, w, C) uint8 or uint16, the result of :func:`blend`.
        color: (h, w, C), same dtype.
        weight: (h, w) uint16.

    Returns:
        (h, w, C), dtype of ``mixed``.
    """
    result = np.empty_like(mixed)
    for rows in _strips(weight):
        result[rows] = _unblend_strip(mixed[rows], color[rows], weight[rows])
    return result


def _strips(weight: NDArray[np.uint16]) -> Iterator[slice]:
    """Cut an array into rows whose wide intermediates stay in the processor's cache."""
    height, width = weight.shape
    step = max(_STRIP_PIXELS // max(width, 1), 1)
    return (slice(start, start + step) for start in range(0, height, step))


def _unblend_strip(
    mixed: NDArray[Any], color: NDArray[Any], weight: NDArray[np.uint16]
) -> NDArray[np.float64]:
    top = int(np.iinfo(mixed.dtype).max)
    m: NDArray[np.float64] = spread_weight(weight, color.shape[2], np.float64)
    rest = ONE - m
    numerator = mixed.astype(np.float64)
    numerator *= ONE
    numerator -= color.astype(np.float64) * m
    numerator += np.floor(rest / 2)
    # whole numbers below 2**33 over ones below 2**17: their quotient in 64-bit floats is never rounded up to
    # the next whole number, so its floor is that of exact arithmetic, in a tenth of the time
    estimate = np.floor(numerator / np.maximum(rest, 1))
    estimate[(weight == ONE).nonzero()] = 0
    return np.clip(estimate, 0, top, out=estimate)
