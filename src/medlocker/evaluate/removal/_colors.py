"""What to do with an inverted mark whose logo had an unknown texture: smooth it, or weigh its colours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from medlocker.attacks import Bytes, around
from medlocker.evaluate.removal._invert import Inverted
from medlocker.evaluate.removal._locate import window_of
from medlocker.evaluate.removal._warp import fit_warp, inverted_window
from medlocker.logo import Logo

DENOISERS: dict[str, Callable[[Any, int], Any]] = {
    "median 5": lambda window, size: cv2.medianBlur(window, 5),
    "gaussian": lambda window, size: cv2.GaussianBlur(window, (0, 0), max(size / 28, 1)),
    "non-local means": lambda window, size: cv2.fastNlMeansDenoisingColored(window, None, 20, 20, 5, 15),
}


def denoise(restored: Bytes, inverted: Inverted, how: str) -> Bytes:
    """Smooth the restored mark by one of :data:`DENOISERS`; its surroundings serve as context."""
    part = window_of(inverted.raster, inverted.guess)
    wide = around(part, 16)
    smooth = DENOISERS[how](np.ascontiguousarray(restored[wide]), inverted.guess.size_px)
    inside = np.zeros(restored.shape[:2], np.bool_)
    inside[part] = inverted.raster.support
    result = restored.copy()
    result[wide][inside[wide]] = smooth[inside[wide]]
    return result


def weigh_colors(
    marked: Bytes, inverted: Inverted, *, texture: float, common: float = 0.0, smooth_px: float = 0.0
) -> Bytes:
    """Weigh the inverted mark against what the surroundings foretell, by the best linear estimate.

    The surroundings tell how colours follow from each other and from the place; the inverted mark has errors
    of known size. Where all channels have the same error the colour differences give it away.

    Args:
        marked: (H, W, 3) uint8.
        texture: Deviation of the logo's unknown texture in each channel by itself, grey levels.
        common: Deviation of what all channels have in common.
        smooth_px: Deviation of a Gaussian applied before; it leaves the widest octave, 0.67 of the texture.
    """
    raster, guess = inverted.raster, inverted.guess
    part = window_of(raster, guess)
    inside = np.zeros(marked.shape[:2], np.bool_)
    inside[part] = raster.support
    wide = around(part, max(guess.size_px // 3, 8))
    whole = marked.astype(np.float32)
    opacity = guess.opacity / 65535
    whole[part] = inverted_window(whole[part], raster, opacity)
    window, touched = whole[wide], inside[wide]
    if smooth_px:
        window = np.asarray(cv2.GaussianBlur(window, (0, 0), smooth_px), dtype=np.float32)
        texture = texture * 0.67
    ys, xs = (plane / guess.size_px for plane in np.indices(touched.shape, np.float32))
    places = np.stack([np.ones_like(ys), ys - ys.mean(), xs - xs.mean()], axis=2)
    known = places[~touched]
    expected = places @ np.linalg.lstsq(known, window[~touched], rcond=None)[0]
    spread = np.cov((window - expected)[~touched].T)
    gain = opacity / (1 - opacity)
    noise = gain**2 * (texture**2 * np.eye(3) + common**2) + np.eye(3) / (1 - opacity) ** 2 / 12
    weight = spread @ np.linalg.inv(spread + noise)
    estimate = expected + (window - expected) @ weight.T
    restored = marked.copy()
    restored[wide][touched] = np.clip(np.round(estimate[touched]), 0, 255).astype(np.uint8)
    return restored


def candidates(
    marked: Bytes, logo: Logo, inverted: Inverted, *, warp: float, texture: int
) -> dict[str, Bytes]:
    """Return everything that an attacker who knows all options, but no key, gets out of one mark.

    A judge who has the original takes the best of them: more than any attacker could know.

    Args:
        marked: (H, W, 3) uint8.
        inverted: What the blind attacker found.
        warp: Largest shift as a share of the logo's size, 0 for none.
        texture: Deviation of the keyed texture.
    """
    reach_px = max(warp * inverted.guess.size_px, 0.25)
    bent = fit_warp(marked, logo, inverted, reach_px=reach_px, texture=texture)
    found = {"blind": inverted.restored}
    for how in DENOISERS:
        found[f"blind, {how}"] = denoise(inverted.restored, inverted, how)
    found["warp fitted"] = bent.restored
    found["warp fitted, colours weighed"] = weighed = weigh_colors(marked, bent, texture=texture)
    for how in DENOISERS:
        found[f"warp fitted, {how}"] = denoise(bent.restored, bent, how)
        found[f"warp fitted, colours weighed, {how}"] = denoise(weighed, bent, how)
    found["warp fitted, smoothed, colours weighed"] = weigh_colors(
        marked, bent, texture=texture, smooth_px=max(inverted.guess.size_px / 28, 1)
    )
    found["texture cancelled"] = weigh_colors(marked, bent, texture=2.0, common=texture)
    return found
