"""The marks themselves as numbers: what was laid over the picture, taken off the picture again.

The difference of a marked image to its original depends on the picture: dark ink changes a bright place more
than a dark one, so the difference alone shows the picture. Marked = (1 - opacity) original + opacity * ink;
who has both pictures knows the ink, and it is the ink that the owner draws or searches for. **What is left
of the picture**: rounding, and in JPEG what the coefficients could not hold.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.attacks import Floats, Mask, windows_of

_EDGE_PX = 2
"""At its edges a mark is fainter than its opacity says: these pixels are left out."""
_FEWEST = 64
_CELLS, _BINS = 4, 8
_SIGMAS = (1.0, 2.0, 4.0, 8.0)
_MOST_PX = 512
_LOWEST_OPACITY = 0.02
_BEYOND = 64.0
_GREY = (0.299, 0.587, 0.114)


def ink_numbers(clean: NDArray[Any], marked: NDArray[Any], changed: Mask) -> NDArray[np.float64]:
    """Return what marks look like in numbers, wherever they lie.

    The opacity as the pair tells it; mean and deviation of the ink's colours; its histogram; means over 4 x 4
    parts of the largest mark; and how strong it is in four bands of detail (a coarse spectrum).

    Args:
        clean: (H, W, 3) uint8 or uint16.
        marked: Same shape and type.
        changed: (H, W) where they differ.

    Returns:
        (35,) float64; zeros without a mark.
    """
    within = cv2.erode(changed.astype(np.uint8), np.ones((2 * _EDGE_PX + 1,) * 2, np.uint8)) > 0
    if np.count_nonzero(within) < _FEWEST:
        within = changed  # thin strokes are all edge
    if np.count_nonzero(within) < _FEWEST:
        return np.zeros(7 + _BINS + _CELLS**2 + len(_SIGMAS))
    top = float(np.iinfo(clean.dtype).max) / 255
    opacity = estimate_opacity(clean[within] / top, marked[within] / top)
    ink = _ink(clean[within] / top, marked[within] / top, opacity)
    grey = ink @ np.array(_GREY)
    bins, _ = np.histogram(grey.clip(0, 255), bins=_BINS, range=(0, 255))
    rows, cols = windows_of(changed)[0]
    middle = (rows.start + rows.stop) // 2, (cols.start + cols.stop) // 2
    part = tuple(slice(max(at - _MOST_PX // 2, 0), at + _MOST_PX // 2) for at in middle)
    return np.concatenate(
        [
            [opacity],
            ink.mean(axis=0),
            ink.std(axis=0),
            np.sqrt(bins / len(grey)),
            _coarse(clean, marked, within, (rows, cols), opacity, top, float(grey.mean())),
            _bands(clean[part] / top, marked[part] / top, within[part], opacity),
        ]
    ).astype(np.float64)


def estimate_opacity(clean: NDArray[np.float64], marked: NDArray[np.float64]) -> float:
    """Return the opacity that a pair tells: 1 minus the slope of marked against original values.

    True as far as ink and picture are independent of each other.

    Args:
        clean: (N, 3) colours under marks.
        marked: (N, 3) the same after marking.
    """
    apart = clean - clean.mean(axis=0)
    spread = float((apart**2).sum())
    if spread < 1e-6 * clean.size:
        return 1.0
    return float(np.clip(1 - (apart * marked).sum() / spread, _LOWEST_OPACITY, 1.0))


def _ink(clean: NDArray[Any], marked: NDArray[Any], opacity: float) -> NDArray[np.float64]:
    found = clean + (marked - clean) / opacity
    return np.asarray(found.clip(-_BEYOND, 255 + _BEYOND), dtype=np.float64)


def _coarse(
    clean: NDArray[Any],
    marked: NDArray[Any],
    within: Mask,
    window: tuple[slice, slice],
    opacity: float,
    top: float,
    mean: float,
) -> NDArray[np.float64]:
    """Return the mean grey level of the ink in each of 4 x 4 parts of a window, that of all where none is."""
    step = max(min(length.stop - length.start for length in window) // _MOST_PX, 1)
    thin = tuple(slice(length.start, length.stop, step) for length in window)
    mask = within[thin].astype(np.float32)
    grey = (_ink(clean[thin] / top, marked[thin] / top, opacity) @ np.array(_GREY)).astype(np.float32)
    size = (_CELLS, _CELLS)
    weight = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    total = cv2.resize(grey * mask, size, interpolation=cv2.INTER_AREA)
    return np.where(weight > 0.01, total / np.maximum(weight, 0.01), mean).ravel().astype(np.float64)


def _bands(clean: NDArray[Any], marked: NDArray[Any], within: Mask, opacity: float) -> NDArray[np.float64]:
    """Return logarithms of the deviation between one blur and the next wider one, over marked pixels only."""
    mask = within.astype(np.float32)
    if not within.any():
        return np.zeros(len(_SIGMAS))
    grey = (_ink(clean, marked, opacity) @ np.array(_GREY)).astype(np.float32)

    def blurred(sigma: float) -> Floats:
        weight = cv2.GaussianBlur(mask, (0, 0), sigma)
        return np.asarray(cv2.GaussianBlur(grey * mask, (0, 0), sigma) / np.maximum(weight, 1e-3), np.float32)

    levels = [grey, *map(blurred, _SIGMAS)]
    return np.array([float(np.log1p((fine - coarse)[within].std())) for fine, coarse in pairwise(levels)])
