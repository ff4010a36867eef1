"""A round badge for logos that are too faint for a veil, drawn in integers.

What a veil does to models depends on how much its copies darken and brighten. A line of thin text does
little; on a badge with a rim it does what the built-in logo does. Restoring draws the badge again, so every
step is exact.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from medlocker.logo._logo import Logo
from medlocker.logo._render import render_once

_SIDE_PX = 256
_SUBSAMPLES = 4
_RIM, _DISC, _RING_OUTER, _RING_INNER = 128, 118, 104, 97
"""Radii, pixels."""
_INSIDE = 92
"""Half diagonal of what the logo may fill, pixels."""
_DARK, _LIGHT = (16, 32, 66), (250, 252, 255)
_STRONG = 40
"""Grey levels: deviation from mid-grey that a logo needs to do without a badge; the built-in one has 68."""


@lru_cache(maxsize=4)
def is_faint(logo: Logo) -> bool:
    """Tell whether a logo darkens and brightens too little of its square for a veil.

    Whole numbers decide, so every machine decides alike.
    """
    height, width = logo.rgba.shape[:2]
    alpha = logo.rgba[..., 3].astype(np.int64)
    # over mid-grey, in 1/255 grey level; what the logo does not fill of its square counts as nothing
    change = alpha * (_luminance(logo.rgba) - 128)
    side = max(height, width)
    cells = np.zeros((side, side), np.int64)
    cells[:height, :width] = change
    # fine lines average out before a model sees them
    block = max(side // 16, 1)
    count = side // block
    means = cells[: count * block, : count * block].reshape(count, block, count, block).sum(axis=(1, 3))
    means //= block * block * 255
    return bool(int((means * means).sum()) < _STRONG * _STRONG * count * count)


@lru_cache(maxsize=4)
def mounted(logo: Logo) -> Logo:
    """Return a logo on a round badge, 256 x 256; light logos on a dark one, dark ones on a light one."""
    height, width = logo.rgba.shape[:2]
    alpha = logo.rgba[..., 3].astype(np.int64)
    mean = int((alpha * _luminance(logo.rgba)).sum()) // max(int(alpha.sum()), 1)
    ground, line = (_DARK, _LIGHT) if mean >= 128 else (_LIGHT, _DARK)
    rgba = np.zeros((_SIDE_PX, _SIDE_PX, 4), np.int64)
    rgba[..., :3] = line
    rgba[..., 3] = _disc(_RIM)
    for radius, colour in ((_DISC, ground), (_RING_OUTER, line), (_RING_INNER, ground)):
        _lay(rgba, _disc(radius), np.array(colour, np.int64))
    # the longest side such that its corners stay inside
    size = math.isqrt((2 * _INSIDE * max(height, width)) ** 2 // (height**2 + width**2))
    raster = render_once(logo, size)
    h, w = raster.coverage.shape
    top, left = (_SIDE_PX - h) // 2, (_SIDE_PX - w) // 2
    window = rgba[top : top + h, left : left + w]
    _lay(window, raster.coverage.astype(np.int64), raster.color.astype(np.int64))
    return Logo(rgba.astype(np.uint8))


def _luminance(rgba: NDArray[np.uint8]) -> NDArray[np.int64]:
    wide = rgba.astype(np.int64)
    return np.asarray((299 * wide[..., 0] + 587 * wide[..., 1] + 114 * wide[..., 2] + 500) // 1000)


def _lay(under: NDArray[np.int64], coverage: NDArray[np.int64], colour: NDArray[np.int64]) -> None:
    share = coverage[..., None]
    under[..., :3] = (under[..., :3] * (255 - share) + colour * share + 127) // 255


def _disc(radius: int) -> NDArray[np.int64]:
    """Return the (256, 256) coverage, 0 to 255, of a disc about the middle."""
    fine = _SIDE_PX * _SUBSAMPLES
    away = 2 * np.arange(fine, dtype=np.int64) + 1 - fine
    inside = away[:, None] ** 2 + away[None, :] ** 2 <= (2 * radius * _SUBSAMPLES) ** 2
    counts = inside.reshape(_SIDE_PX, _SUBSAMPLES, _SIDE_PX, _SUBSAMPLES).sum(axis=(1, 3))
    return np.asarray(counts * 255 // _SUBSAMPLES**2, np.int64)
