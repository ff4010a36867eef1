"""Finding a known logo: normalised correlation of gradients over places and sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from medlocker.attacks import Bytes, Floats, Window
from medlocker.logo import Logo, Raster, fit_color, render

_TEMPLATE_PX = 20
_STEP = 1.05
_PEAKS_PER_SIZE = 2
_PEAKS = 3


@dataclass(frozen=True)
class MarkGuess:
    """What an attacker believes about a mark.

    Args:
        x: Left edge, pixels.
        y: Top edge, pixels.
        size_px: Longer side of the logo.
        opacity: 0 to 65535.
        rotation: Counter-clockwise, 1/65536 of a turn.
    """

    x: int
    y: int
    size_px: int
    opacity: int = 0
    rotation: int = 0

    def raster(self, logo: Logo) -> Raster:
        """Render the logo as believed."""
        return render(logo, self.size_px, rotation=self.rotation)


def window_of(raster: Raster, guess: MarkGuess) -> Window:
    """Return the window of the image that a rendered logo covers."""
    height, width = raster.coverage.shape
    return slice(guess.y, guess.y + height), slice(guess.x, guess.x + width)


def locate(marked: Bytes, logo: Logo, *, sizes_px: tuple[int, int], rotation: int = 0) -> list[MarkGuess]:
    """Return the likeliest places and sizes, best first, exact to a pixel where the image allows it.

    Args:
        marked: (H, W, 3) uint8.
        sizes_px: Smallest and largest looked for.
        rotation: Of the logo, 1/65536 of a turn.
    """
    grey = np.asarray(cv2.cvtColor(marked, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    height, width = marked.shape[:2]
    low, high = sizes_px[0], max(min(sizes_px[1], height, width), sizes_px[0])
    template = template_of(render(logo, _TEMPLATE_PX, rotation=rotation), grey)
    coarse: list[tuple[float, float, float, float]] = []
    steps = math.ceil(math.log(high / low) / math.log(_STEP)) + 1
    for size in (low * _STEP**k for k in range(steps)):
        scale = _TEMPLATE_PX / size
        small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        if small.shape[0] < template.shape[0] or small.shape[1] < template.shape[1]:
            continue
        score = match(np.asarray(small, dtype=np.uint8), template)
        for _ in range(_PEAKS_PER_SIZE):
            _, best, _, (x, y) = cv2.minMaxLoc(score)
            coarse.append((best, x / scale, y / scale, size))
            score[max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4] = -1
    peaks: list[tuple[float, float, float]] = []
    for _, *peak in sorted(coarse, reverse=True):
        left, top, size = peak
        if not any(max(abs(left - a), abs(top - b), abs(size - c)) < size / 8 for a, b, c in peaks):
            peaks.append((left, top, size))
    fine = [sharpen(marked, logo, found, sizes_px=(low, high), rotation=rotation) for found in peaks[:_PEAKS]]
    return [guess for _, guess in sorted(fine, key=lambda found: -found[0])]


def sharpen(
    marked: Bytes,
    logo: Logo,
    near: tuple[float, float, float],
    *,
    sizes_px: tuple[int, int],
    rotation: int = 0,
) -> tuple[float, MarkGuess]:
    """Search sizes and positions around a coarse peak at full resolution.

    Args:
        marked: (H, W, 3) uint8.
        near: Left, top and size, roughly.
        sizes_px: Smallest and largest looked for.
        rotation: Of the logo, 1/65536 of a turn.

    Returns:
        The correlation, -1 if no size fits into the image, and the guess.
    """
    x, y, size = near
    grey = np.asarray(cv2.cvtColor(marked, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    reach = int(np.ceil(size / _TEMPLATE_PX)) + 2
    found = (-1.0, MarkGuess(round(x), round(y), round(size), rotation=rotation))
    step = 2 if size > 80 else 1
    low, high = max(int(size * 0.94), sizes_px[0]), min(int(size * 1.06) + 1, sizes_px[1])
    for sizes in (range(low, high + 1, step), None):
        for size_px in sizes if sizes is not None else (found[1].size_px - 1, found[1].size_px + 1):
            if not sizes_px[0] <= size_px <= sizes_px[1]:
                continue
            raster = render(logo, size_px, rotation=rotation)
            height, width = raster.coverage.shape
            left, top = max(round(x) - reach, 0), max(round(y) - reach, 0)
            crop = grey[top : round(y) + reach + height, left : round(x) + reach + width]
            if crop.shape[0] < height or crop.shape[1] < width:
                continue
            _, best, _, (dx, dy) = cv2.minMaxLoc(match(crop, template_of(raster, crop)))
            found = max(
                found,
                (best, MarkGuess(left + dx, top + dy, size_px, rotation=rotation)),
                key=lambda pair: pair[0],
            )
    return found


def match(grey: Bytes, template: Floats) -> Floats:
    """Return the normalised correlation of gradients; flat windows get about 0, not 0 / 0."""
    slopes = gradients(grey.astype(np.float32))
    height, width = template.shape[:2]
    product = cv2.matchTemplate(slopes, template, cv2.TM_CCORR)
    squares = (slopes**2).sum(axis=2)
    energy = cv2.boxFilter(squares, cv2.CV_32F, (width, height), anchor=(0, 0), normalize=False)
    energy = np.maximum(energy[: product.shape[0], : product.shape[1]], 0) + height * width
    return np.asarray(product / np.sqrt(energy * (template**2).sum()), dtype=np.float32)


def template_of(raster: Raster, nearby: Bytes) -> Floats:
    """Return the gradients of the logo on a background as bright as the image."""
    color = fit_color(raster.color, channels=1, bits=8)[..., 0]
    coverage = raster.coverage.astype(np.float32) / 255
    plane = color * coverage + np.median(nearby) * (1 - coverage)
    return gradients(plane.astype(np.float32))


def gradients(plane: Floats) -> Floats:
    """Return (h, w, 2) central differences of a (h, w) plane."""
    slopes = [cv2.Sobel(plane, cv2.CV_32F, dx, 1 - dx, ksize=1) for dx in (1, 0)]
    return np.stack(slopes, axis=2).astype(np.float32)
