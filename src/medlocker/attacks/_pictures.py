"""Pictures, masks and windows as attackers handle them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Window = tuple[slice, slice]

CAPPED_PX = 512
"""Longer side at which transforms and fillings work: about twice a classifier's input. On a larger image a
small kernel would vanish when the classifier's input is made."""

_SMALLEST_SHARE = 0.02


def as_bytes(pixels: NDArray[Any]) -> Bytes:
    """Return colours as uint8: attackers see what a screen shows."""
    if pixels.dtype == np.uint8:
        return pixels
    return ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def shrink(pixels: Bytes, longest_px: int) -> Bytes:
    """Shrink to a longer side, averaging; smaller images stay as they are."""
    height, width = pixels.shape[:2]
    scale = longest_px / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def shrink_mask(mask: Mask, longest_px: int) -> Mask:
    """Shrink a mask in the same way; a pixel counts if any part of it did."""
    return np.asarray(shrink(mask.astype(np.uint8) * 255, longest_px) > 0)


def windows_of(mask: Mask, margin_px: int = 0) -> list[Window]:
    """Return windows around the connected parts of a mask, the largest first, without specks."""
    height, width = mask.shape
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    parts = sorted((tuple(int(v) for v in stats[i]) for i in range(1, count)), key=lambda part: -part[4])
    return [
        (
            slice(max(y - margin_px, 0), min(y + h + margin_px, height)),
            slice(max(x - margin_px, 0), min(x + w + margin_px, width)),
        )
        for x, y, w, h, area in parts
        if area >= _SMALLEST_SHARE * parts[0][4]
    ]


def changed(clean: Bytes, marked: Bytes) -> Mask:
    """Return (H, W) bool, the pixels that differ, small holes closed."""
    mask: Bytes = (clean != marked).any(axis=2).astype(np.uint8)
    if not mask.any():
        return np.zeros(mask.shape, np.bool_)
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)) > 0)


def widened(mask: Mask, by_px: int) -> Mask:
    """Grow a mask by some pixels on every side."""
    side = 2 * by_px + 1
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0)


def around(window: Window, by_px: int) -> Window:
    """Grow a window; its far side may leave the image, as slices do."""
    rows, cols = window
    return (
        slice(max(rows.start - by_px, 0), rows.stop + by_px),
        slice(max(cols.start - by_px, 0), cols.stop + by_px),
    )
