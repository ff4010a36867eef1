"""Denoising a whole picture, blind to any mark."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.attacks._pictures import Bytes, Floats

_TV_ROUNDS = 30
_LEVELS = 3


def total_variation(pixels: Bytes, *, weight: float = 15.0) -> Bytes:
    """Denoise by total variation, all channels coupled (Chambolle 2004, dual projection).

    Args:
        pixels: (H, W, 3) uint8.
        weight: Of the variation, grey levels.
    """
    image = pixels.astype(np.float32)
    px, py = np.zeros_like(image), np.zeros_like(image)
    step = np.float32(0.24)
    for _ in range(_TV_ROUNDS):
        flow = _divergence(px, py) - image / np.float32(weight)
        gx, gy = np.zeros_like(image), np.zeros_like(image)
        gx[:, :-1], gy[:-1] = np.diff(flow, axis=1), np.diff(flow, axis=0)
        size = 1 + step * np.sqrt((gx * gx + gy * gy).sum(axis=2, keepdims=True))
        px, py = (px + step * gx) / size, (py + step * gy) / size
    return to_bytes(image - np.float32(weight) * _divergence(px, py))


def _divergence(px: Floats, py: Floats) -> Floats:
    flow = px + py
    flow[:, 1:] -= px[:, :-1]
    flow[1:] -= py[:-1]
    return flow


def non_local_means(pixels: Bytes, *, strength: float = 10.0) -> Bytes:
    """Denoise by non-local means in CIELAB (Buades et al. 2005), OpenCV's."""
    done = cv2.fastNlMeansDenoisingColored(pixels, None, strength, strength, 5, 15)
    return np.asarray(done, dtype=np.uint8)


def wavelets(pixels: Bytes) -> Bytes:
    """Shrink undecimated B3-spline wavelets by thresholds per level (BayesShrink, Chang et al. 2000)."""
    kernel = np.array([1, 4, 6, 4, 1], np.float32) / 16
    smooth, kept = pixels.astype(np.float32), np.zeros(pixels.shape, np.float32)
    noise = np.zeros(3, np.float32)
    # deviation of white noise of 1 in the levels of this transform (Starck and Murtagh)
    for level, gain in zip(range(_LEVELS), (0.891, 0.200, 0.086), strict=True):
        spaced = np.zeros(4 * (1 << level) + 1, np.float32)
        spaced[:: 1 << level] = kernel
        smoother = np.asarray(
            cv2.sepFilter2D(smooth, -1, spaced, spaced, borderType=cv2.BORDER_REFLECT), dtype=np.float32
        )
        detail = smooth - smoother
        if level == 0:
            noise = np.median(np.abs(detail), axis=(0, 1)) / np.float32(0.6745 * gain)
            # photographs that were compressed have next to none left; a little is assumed all the same
            noise = np.maximum(noise, 3)
        variance = (noise * gain) ** 2
        signal = np.sqrt(np.maximum((detail**2).mean(axis=(0, 1)) - variance, 1e-6))
        kept += np.sign(detail) * np.maximum(np.abs(detail) - variance / signal, 0)
        smooth = smoother
    return to_bytes(smooth + kept)


def fewer_bits(pixels: Bytes, *, bits: int = 4) -> Bytes:
    """Keep the upper bits of each sample, spread over 0 to 255 again."""
    top = (1 << bits) - 1
    table = np.round(np.round(np.arange(256) / 255 * top) * 255 / top).astype(np.uint8)
    return np.asarray(table[pixels])


def to_bytes(values: NDArray[Any]) -> Bytes:
    """Round and clip to uint8."""
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)
