"""The copies of a veil as an attacker believes them: painting them, and undoing the blend."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from medlocker.attacks import Bytes, Floats, Mask
from medlocker.logo import Logo, Raster, render, unblend, weights

ONE_TURN = 65536
_HIGH = 0.9
_STEEP = 30.0
_BAND_PX = (1.0, 4.0)
_GROUND = 0.02
"""Share of the shorter side over which the image under the veil is taken as even."""
_MOST_PIXELS = 160_000
"""That the opacity is estimated from."""


@dataclass(frozen=True)
class Copy:
    """One copy of the logo.

    Args:
        x: Of its middle, pixels; the program puts copies at whole ones.
        size_px: Longer side before it is turned.
        rotation: Counter-clockwise, 1/65536 of a turn.
        negative: Whether its colours are the opposite ones.
        score: How sure the attacker is; 1 at most.
    """

    x: int
    y: int
    size_px: int
    rotation: int = 0
    negative: bool = False
    score: float = 1.0

    def raster(self, logo: Logo) -> Raster:
        """Render it as believed, without what is drawn by key."""
        plain = render(logo, self.size_px, rotation=self.rotation % ONE_TURN)
        if not self.negative:
            return plain
        opposite = np.where(plain.coverage[..., None] > 0, 255 - plain.color, 0)
        return Raster(opposite.astype(np.uint8), plain.coverage)


def painted(copies: Sequence[Copy], draw: Callable[[Copy], Raster], *, height: int, width: int) -> Raster:
    """Paint copies over an empty image; where two overlap the one that covers more is seen, then the first.

    Args:
        copies: In the order of the program if it is known.
        height: Of the image, pixels.
        width: Of the image, pixels.
    """
    color, coverage = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    for copy in copies:
        raster = draw(copy)
        h, w = raster.coverage.shape
        left, top = copy.x - w // 2, copy.y - h // 2
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + w, width), min(top + h, height)
        if x0 >= x1 or y0 >= y1:
            continue
        part = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
        window = slice(y0, y1), slice(x0, x1)
        more = raster.coverage[part] > coverage[window]
        np.copyto(coverage[window], raster.coverage[part], where=more)
        np.copyto(color[window], raster.color[part], where=more[..., None])
    return Raster(color, coverage)


def undo(pixels: Bytes, raster: Raster, *, opacity: int, mask: Mask) -> Bytes:
    """Undo the blend of painted copies where a veil is seen.

    Args:
        pixels: (h, w, 3) uint8.
        raster: Painted copies, as large.
        opacity: 0 to 65535.
        mask: (h, w) bool.
    """
    weight = weights(raster.coverage, opacity)
    weight[~mask] = 0
    return np.asarray(unblend(pixels, raster.color, weight), dtype=np.uint8)


def opacity_of(pixels: Bytes, raster: Raster, mask: Mask) -> tuple[int, float]:
    """Estimate the opacity of painted copies: by how much of them is seen in the image.

    Fewest edges left, which tells the opacity of single logos, fails here: JPEG softens so many small edges
    that undoing them always adds some.

    Args:
        pixels: (h, w, 3) uint8.
        raster: Painted copies, as large.
        mask: (h, w) bool, where the veil is.

    Returns:
        The opacity, 0 to 65535, and the correlation, 0 where nothing is explained.
    """
    inside = _middle(mask)
    image = pixels[inside].astype(np.float32)
    covered = np.where(mask, raster.coverage, 0)[inside].astype(np.float32)[..., None] / np.float32(255)
    color = raster.color[inside].astype(np.float32)
    sigma = max(min(mask.shape) * _GROUND, 4.0)
    opacity, told = 0.1, 0.0
    for _ in range(3):
        restored = (image - opacity * covered * color) / (1 - opacity * covered)
        under = cv2.GaussianBlur(restored, (0, 0), sigma)
        opacity, told = _regressed(image, covered * (color - under))
        opacity = float(np.clip(opacity, 0.0, _HIGH))
    return round(opacity * 65535), told


def _regressed(image: Floats, pattern: Floats) -> tuple[float, float]:
    """Fit a pattern in details that are neither fine, as JPEG softens, nor large, as images have."""
    seen, meant = _middling(image).clip(-_STEEP, _STEEP), _middling(pattern)
    both = float((seen * meant).sum(dtype=np.float64))
    own, whole = (float(np.square(one).sum(dtype=np.float64)) for one in (meant, seen))
    return both / max(own, 1e-9), both / max(math.sqrt(own * whole), 1e-9)


def _middling(values: Floats) -> Floats:
    fine, wide = (cv2.GaussianBlur(values, (0, 0), sigma) for sigma in _BAND_PX)
    return np.asarray(fine - wide, dtype=np.float32)


def _middle(mask: Mask) -> tuple[slice, slice]:
    """Return the rows around the middle that hold enough pixels to estimate from."""
    height, width = mask.shape
    rows = min(max(_MOST_PIXELS // width, 8), height)
    top = (height - rows) // 2
    return slice(top, top + rows), slice(0, width)
