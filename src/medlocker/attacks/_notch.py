"""Notch filters: taking frequencies out of a picture at which something repeats."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.attacks._denoise import to_bytes
from medlocker.attacks._pictures import Bytes, Floats

_WIDTH_BINS = 1.2
_SPECTRUM_PX = 9


def notch(pixels: Bytes, frequencies: NDArray[np.float64]) -> Bytes:
    """Bring each frequency, and those next to it, down to what is around it in the spectrum.

    A notch to zero would take away as much of the picture as of what repeats, and show as a pattern again.

    Args:
        pixels: (H, W, 3) uint8.
        frequencies: (n, 2) across and down, cycles per pixel.
    """
    height, width = pixels.shape[:2]
    pad_y, pad_x = height // 8, width // 8
    framed = cv2.copyMakeBorder(pixels, pad_y, pad_y, pad_x, pad_x, cv2.BORDER_REFLECT)
    rows, cols = framed.shape[:2]
    where = _notches(frequencies, rows, cols)
    result = np.empty(framed.shape, np.float32)
    for channel in range(3):
        planes = cv2.dft(framed[..., channel].astype(np.float32), flags=cv2.DFT_COMPLEX_OUTPUT)
        size = np.hypot(planes[..., 0], planes[..., 1])
        # the mean logarithm around a peak is about what the picture itself has there
        usual = cv2.blur(np.log(size + 1), (_SPECTRUM_PX, _SPECTRUM_PX))
        most = np.minimum(np.expm1(usual) / np.maximum(size, 1e-6), 1)
        planes *= (1 - where * (1 - most))[..., None]
        result[..., channel] = cv2.dft(planes, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT)
    return to_bytes(result[pad_y : pad_y + height, pad_x : pad_x + width])


def _notches(frequencies: NDArray[np.float64], rows: int, cols: int) -> Floats:
    """Return (rows, cols) float32 in 0..1, 1 where a frequency is taken out."""
    where = np.zeros((rows, cols), np.float32)
    reach = 4
    for across, down in np.concatenate([frequencies, -frequencies]):
        x, y = across * cols, down * rows
        xs = np.arange(round(x) - reach, round(x) + reach + 1)
        ys = np.arange(round(y) - reach, round(y) + reach + 1)
        away = np.square(xs[None] - x) + np.square(ys[:, None] - y)
        part = np.ix_(ys % rows, xs % cols)
        where[part] = np.maximum(where[part], np.exp(-away / (2 * _WIDTH_BINS**2)))
    where[0, 0] = 0
    return where
