"""How close a restored picture comes to the original where the mark was."""

from __future__ import annotations

import math

import numpy as np

from medlocker.attacks import Bytes, Floats, Mask, around
from medlocker.evaluate._quality import ssim_map

_MOST_DB = 99.0
_LUMA = np.array([0.299, 0.587, 0.114], np.float32) / np.float32(255)


def psnr(restored: Bytes, original: Bytes, support: Mask) -> float:
    """Return the PSNR in dB over the marked pixels; 99 if they are equal or there are none."""
    error = restored[support].astype(np.float64) - original[support]
    if not error.size:
        return _MOST_DB
    return min(10 * math.log10(255**2 / max(float(np.mean(error**2)), 1e-12)), _MOST_DB)


def similarity(restored: Bytes, original: Bytes, support: Mask) -> float:
    """Return the mean structural similarity of luminance over the marked pixels; 1 if there are none."""
    ys, xs = np.nonzero(support)
    if not len(ys):
        return 1.0
    window = around((slice(ys.min(), ys.max() + 1), slice(xs.min(), xs.max() + 1)), 8)
    one, other = (_luminance(picture[window]) for picture in (restored, original))
    return float(ssim_map(one, other)[support[window]].mean())


def _luminance(colors: Bytes) -> Floats:
    return np.asarray(colors.astype(np.float32) @ _LUMA, dtype=np.float32)
