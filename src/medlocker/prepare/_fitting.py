"""Making styles as faint as legibility asks for, on pictures alone: no model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from medlocker.errors import InputError
from medlocker.prepare._reduced import ReducedImage
from medlocker.prepare._trials import TrialView, VeilRenderer
from medlocker.protect.veiled import check_seen
from medlocker.veilstyle import VeilStyle

MEDIAN_PSNR_DB = 25.0
"""Least median over a data set."""
_LOOKED_AT = 4
_SPARE_DB = 0.2
_FAINTER_DB = 6.0
"""By so much ``protect`` itself can make the veil of one image more transparent."""
_ROUNDS = 4


def fit(
    style: VeilStyle,
    veiler: VeilRenderer,
    images: Sequence[ReducedImage],
    shots: Sequence[TrialView],
    *,
    legibility: float,
    lowest: float,
) -> VeilStyle | None:
    """Return a style no stronger than legibility allows, judged on a few images.

    Args:
        shots: The first few are looked at.
        legibility: Least PSNR of every image, dB.
        lowest: Least opacity.

    Returns:
        None if it would have to be fainter than ``lowest``, or cannot be seen.
    """
    few = shots[:_LOOKED_AT]
    found = [veiler.veil(style, images[s.image], s.key, as_drawn=True)[1] for s in few]
    try:
        check_seen(max(found))
    except InputError:
        return None
    too_much = max(
        max(MEDIAN_PSNR_DB, legibility) + _SPARE_DB - float(np.median(found)),
        legibility - _FAINTER_DB + _SPARE_DB - min(found),
    )
    fitted = _weaker(style, too_much)
    return fitted if fitted.opacity >= min(lowest, style.opacity) else None


def enforce_legibility(
    style: VeilStyle,
    veiler: VeilRenderer,
    images: Sequence[ReducedImage],
    shots: Sequence[TrialView],
    *,
    legibility: float,
) -> tuple[VeilStyle, float, float]:
    """Return a style that leaves enough on all images, the median of their PSNR, and the least.

    Args:
        shots: One for each image.
        legibility: Least PSNR of every image, dB.
    """
    for _ in range(_ROUNDS):
        found = [veiler.veil(style, images[shot.image], shot.key)[1] for shot in shots]
        median, worst = float(np.median(found)), min(found)
        too_much = max(MEDIAN_PSNR_DB - median, legibility - worst)
        if too_much <= 0:
            break
        style = _weaker(style, too_much + _SPARE_DB / 4)
    return style, median, worst


def _weaker(style: VeilStyle, too_much_db: float) -> VeilStyle:
    if too_much_db <= 0:
        return style
    share = 10 ** (-too_much_db / 20)
    # rounded down: a style is a few plain numbers
    opacity = int(style.opacity * share * 10_000) / 10_000
    return replace(style, opacity=max(opacity, 0.004), ground=int(style.ground * share * 10_000) / 10_000)
