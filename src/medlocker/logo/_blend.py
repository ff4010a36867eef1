"""The one blend of medlocker, in integers: used by the search, by writing and by restoring."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ONE = 65535
"""A weight of 65535 replaces the pixel by the logo."""


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
    m = weight[..., None].astype(np.uint32)
    mixed = under.astype(np.uint32)
    mixed *= np.uint32(ONE) - m
    mixed += color.astype(np.uint32) * m + np.uint32(32767)
    mixed //= np.uint32(ONE)
    return mixed.astype(under.dtype)


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
    top = int(np.iinfo(mixed.dtype).max)
    m = weight[..., None].astype(np.float64)
    rest = ONE - m
    numerator = mixed.astype(np.float64)
    numerator *= ONE
    numerator -= color.astype(np.float64) * m
    numerator += np.floor(rest / 2)
    # whole numbers below 2**33 over ones below 2**17: their quotient in 64-bit floats is never rounded up to
    # the next whole number, so its floor is that of exact arithmetic, in a tenth of the time
    estimate = np.floor(numerator / np.maximum(rest, 1))
    estimate[(weight == ONE).nonzero()] = 0
    return np.asarray(np.clip(estimate, 0, top), dtype=mixed.dtype)
