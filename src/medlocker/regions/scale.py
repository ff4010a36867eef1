"""Bringing images of any size to the scale that a finder works at, and its boxes back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.geometry import Box

MAX_SCALED_PIXELS = 1 << 24
"""A very long image is worked on at a smaller scale than asked for, so that memory stays bounded."""


@dataclass(frozen=True)
class Scale:
    """How one image is resized.

    Args:
        image: (height, width) of the image.
        scaled: (height, width) at which it is worked on.
    """

    image: tuple[int, int]
    scaled: tuple[int, int]

    def to_image(self, box: Box, *, margin_px: float = 0.0) -> Box:
        """Return a box of the scaled image, grown by a margin of its pixels, outwards in image pixels."""
        (height, width), (own_height, own_width) = self.image, self.scaled
        across, down = width / own_width, height / own_height
        # a whole number of pixels, also where the division is not exact
        left = max(math.floor((box.x - margin_px) * across + 1e-6), 0)
        top = max(math.floor((box.y - margin_px) * down + 1e-6), 0)
        right = min(math.ceil((box.right + margin_px) * across - 1e-6), width)
        bottom = min(math.ceil((box.bottom + margin_px) * down - 1e-6), height)
        return Box(left, top, right - left, bottom - top)


def scale_for(height: int, width: int, *, side_px: int, enlarge: bool = True) -> Scale:
    """Return how an image is resized so that its shorter side has ``side_px`` pixels.

    Args:
        height: Rows of the image.
        enlarge: Whether smaller images are enlarged.
    """
    factor = side_px / min(height, width)
    if not enlarge:
        factor = min(factor, 1.0)
    factor = min(factor, math.sqrt(MAX_SCALED_PIXELS / (height * width)))
    return Scale((height, width), (max(round(height * factor), 1), max(round(width * factor), 1)))


def to_scale(colors: NDArray[Any], scale: Scale) -> NDArray[np.uint8]:
    """Resize (H, W, 3) uint8 or uint16 colours, averaging where they shrink; returns (h, w, 3) uint8."""
    height, width = scale.scaled
    smaller = height * width < colors.shape[0] * colors.shape[1]
    if scale.scaled != scale.image:
        kind = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        colors = cv2.resize(np.ascontiguousarray(colors), (width, height), interpolation=kind)
    if colors.dtype == np.uint16:
        colors = colors >> 8
    return np.ascontiguousarray(colors, dtype=np.uint8)


def mask_to_scale(mask: NDArray[np.bool_], scale: Scale) -> NDArray[np.bool_]:
    """Resize a mask so that even the smallest lesion stays: a pixel is marked if any part of it is."""
    height, width = scale.scaled
    if scale.scaled == scale.image:
        return mask
    smaller = height * width < mask.size
    kind = cv2.INTER_AREA if smaller else cv2.INTER_NEAREST
    values = cv2.resize(mask.astype(np.float32), (width, height), interpolation=kind)
    return np.asarray(values > 0)


def covered(boxes: Sequence[Box], *, height: int, width: int) -> NDArray[np.bool_]:
    """Return (height, width) bool, True inside of any box."""
    inside = np.zeros((height, width), np.bool_)
    for box in boxes:
        inside[max(box.y, 0) : max(box.bottom, 0), max(box.x, 0) : max(box.right, 0)] = True
    return inside
