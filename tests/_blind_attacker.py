"""Somebody who has a marked image, the plain logo and this program, but no key.

The blind attacker (T2 of docs/THREAT_MODEL.md) finds the logo by its gradients over position and size,
takes the opacity at which the inverted blend shows the fewest logo edges, and inverts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.logo import Logo, Raster, fit_color, render, unblend, weights

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_TEMPLATE_PX = 20
_STEP = 1.05
_PEAKS_PER_SIZE = 2
_PEAKS = 3
_SURELY = 0.7  # of the edges left: only the right logo at the right place takes away so many


@dataclass(frozen=True)
class Guess:
    """What an attacker believes about a mark.

    Args:
        x: Left edge, pixels.
        y: Top edge, pixels.
        size_px: Longer side of the logo.
        opacity: 0 to 65535.
    """

    x: int
    y: int
    size_px: int
    opacity: int = 0


@dataclass(frozen=True, eq=False)
class Attacked:
    """What an attacker made of an image.

    Args:
        restored: (H, W, 3) uint8.
        guess: What was inverted.
        raster: The logo that was inverted, bent if the attacker bent it.
    """

    restored: Bytes
    guess: Guess
    raster: Raster


def blind(marked: Bytes, logo: Logo, *, sizes_px: tuple[int, int] = (32, 200)) -> Attacked:
    """Locate, estimate and invert, knowing the plain logo only.

    Args:
        marked: (H, W, 3) uint8.
        logo: The owner's logo.
        sizes_px: Smallest and largest logo looked for.
    """
    guess = _refine(marked, logo, locate(marked, logo, sizes_px=sizes_px))
    raster = render(logo, guess.size_px)
    return Attacked(invert(marked, raster, guess), guess, raster)


def invert(marked: Bytes, raster: Raster, guess: Guess) -> Bytes:
    """Undo the blend of a rendered logo where the guess says it is."""
    restored = marked.copy()
    window = restored[window_of(raster, guess)]
    weight = weights(raster.coverage, guess.opacity)
    window[...] = unblend(window, fit_color(raster.color, channels=3, bits=8), weight)
    return restored


def psnr(restored: Bytes, original: Bytes, support: NDArray[np.bool_]) -> float:
    """Return the PSNR in dB over the marked pixels; 99 if they are equal."""
    error = restored[support].astype(np.float64) - original[support]
    return min(10 * math.log10(255**2 / max(float(np.mean(error**2)), 1e-12)), 99.0)


# --------------------------------------------------------------------------------- where and how large


def locate(marked: Bytes, logo: Logo, *, sizes_px: tuple[int, int]) -> list[Guess]:
    """Return the likeliest places and sizes, best first, exact to a pixel where the image allows it."""
    grey = np.asarray(cv2.cvtColor(marked, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    height, width = marked.shape[:2]
    low, high = sizes_px[0], min(sizes_px[1], height, width)
    template = _template(render(logo, _TEMPLATE_PX), grey)
    coarse: list[tuple[float, float, float, float]] = []
    steps = math.ceil(math.log(high / low) / math.log(_STEP)) + 1
    for size in (low * _STEP**k for k in range(steps)):
        scale = _TEMPLATE_PX / size
        small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        score = _match(np.asarray(small, dtype=np.uint8), template)
        for _ in range(_PEAKS_PER_SIZE):
            _, best, _, (x, y) = cv2.minMaxLoc(score)
            coarse.append((best, x / scale, y / scale, size))
            score[max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4] = -1
    peaks: list[tuple[float, float, float]] = []
    for _, *peak in sorted(coarse, reverse=True):
        left, top, size = peak
        if not any(max(abs(left - a), abs(top - b), abs(size - c)) < size / 8 for a, b, c in peaks):
            peaks.append((left, top, size))
    fine = [_sharpen(grey, logo, *found, sizes_px=(low, high)) for found in peaks[:_PEAKS]]
    return [guess for _, guess in sorted(fine, key=lambda found: -found[0])]


def _sharpen(
    grey: Bytes, logo: Logo, x: float, y: float, size: float, *, sizes_px: tuple[int, int]
) -> tuple[float, Guess]:
    """Search sizes and positions around a coarse peak at full resolution."""
    reach = int(np.ceil(size / _TEMPLATE_PX)) + 2
    found = (-1.0, Guess(round(x), round(y), round(size)))
    step = 2 if size > 80 else 1
    sizes = list(range(int(size * 0.94), int(size * 1.06) + 2, step))
    for one in (sizes, None):
        around = one if one is not None else [found[1].size_px - 1, found[1].size_px + 1]
        for size_px in around:
            if not sizes_px[0] <= size_px <= sizes_px[1]:
                continue
            raster = render(logo, size_px)
            height, width = raster.coverage.shape
            left, top = max(round(x) - reach, 0), max(round(y) - reach, 0)
            crop = grey[top : round(y) + reach + height, left : round(x) + reach + width]
            if crop.shape[0] < height or crop.shape[1] < width:
                continue
            _, best, _, (dx, dy) = cv2.minMaxLoc(_match(crop, _template(raster, crop)))
            found = max(found, (best, Guess(left + dx, top + dy, size_px)), key=lambda pair: pair[0])
    return found


def _match(grey: Bytes, template: Floats) -> Floats:
    """Return the normalised correlation of gradients; flat windows get about 0, not 0 / 0."""
    slopes = _gradients(grey.astype(np.float32))
    height, width = template.shape[:2]
    product = cv2.matchTemplate(slopes, template, cv2.TM_CCORR)
    squares = (slopes**2).sum(axis=2)
    energy = cv2.boxFilter(squares, cv2.CV_32F, (width, height), anchor=(0, 0), normalize=False)
    energy = np.maximum(energy[: product.shape[0], : product.shape[1]], 0) + height * width
    return np.asarray(product / np.sqrt(energy * (template**2).sum()), dtype=np.float32)


def _template(raster: Raster, around: Bytes) -> Floats:
    """Return the gradients of the logo on a background as bright as the image."""
    color = fit_color(raster.color, channels=1, bits=8)[..., 0]
    coverage = raster.coverage.astype(np.float32) / 255
    plane = color * coverage + np.median(around) * (1 - coverage)
    return _gradients(plane.astype(np.float32))


def _gradients(plane: Floats) -> Floats:
    """Return (h, w, 2) central differences."""
    slopes = [cv2.Sobel(plane, cv2.CV_32F, dx, 1 - dx, ksize=1) for dx in (1, 0)]
    return np.stack(slopes, axis=2).astype(np.float32)


# ---------------------------------------------------------------------------------------- how opaque


@dataclass(frozen=True, eq=False)
class Fit:
    """The image and a logo over one window, as floats."""

    image: Floats
    color: Floats
    coverage: Floats

    def cost(self, opacity: float) -> float:
        """Return what is left of edges in the inverted window, in units of the marked image.

        Differences count by how strongly the original shines through them: plain variation of the inverted
        image grows with 1 / (1 - opacity) and would favour low opacities.
        """
        rest = 1 - opacity * self.coverage
        under = (self.image - opacity * self.coverage * self.color) / rest
        total = 0.0
        for axis in (0, 1):
            shining = np.minimum(rest[1:], rest[:-1]) if axis == 0 else np.minimum(rest[:, 1:], rest[:, :-1])
            total += float((np.abs(np.diff(under, axis=axis)) * shining).sum())
        return total

    def best(self, low: float, high: float, *, steps: int) -> tuple[float, float]:
        """Return (cost, opacity) by a grid and golden sections around its best point."""
        grid = np.linspace(low, high, 9)
        costs = [self.cost(float(a)) for a in grid]
        k = int(np.argmin(costs))
        left, right = float(grid[max(k - 1, 0)]), float(grid[min(k + 1, 8)])
        golden = (5**0.5 - 1) / 2
        p, q = right - golden * (right - left), left + golden * (right - left)
        cost_p, cost_q = self.cost(p), self.cost(q)
        for _ in range(steps):
            if cost_p < cost_q:
                right, q, cost_q = q, p, cost_p
                p = right - golden * (right - left)
                cost_p = self.cost(p)
            else:
                left, p, cost_p = p, q, cost_q
                q = left + golden * (right - left)
                cost_q = self.cost(q)
        return min((cost_p, p), (cost_q, q), (costs[k], float(grid[k])))


def window_of(raster: Raster, guess: Guess) -> tuple[slice, slice]:
    height, width = raster.coverage.shape
    return slice(guess.y, guess.y + height), slice(guess.x, guess.x + width)


def lay_over(marked: Bytes, raster: Raster, guess: Guess, part: tuple[slice, slice]) -> Fit:
    """Lay a logo into a fixed part of the image, so that costs of neighbouring guesses compare."""
    rows, cols = part
    shape = (rows.stop - rows.start, cols.stop - cols.start)
    color, coverage = np.zeros((*shape, 3), np.float32), np.zeros((*shape, 1), np.float32)
    top, left = guess.y - rows.start, guess.x - cols.start
    height, width = raster.coverage.shape
    color[top : top + height, left : left + width] = raster.color
    coverage[top : top + height, left : left + width, 0] = raster.coverage / np.float32(255)
    return Fit(marked[part].astype(np.float32), color, coverage)


def _refine(marked: Bytes, logo: Logo, guesses: Sequence[Guess]) -> Guess:
    """Choose place, size and opacity together by the smoothness of what is left."""
    best: tuple[float, Guess] | None = None
    for guess in guesses:
        height, width = render(logo, guess.size_px).coverage.shape
        part = (
            slice(max(guess.y - 8, 0), min(guess.y + height + 8, marked.shape[0])),
            slice(max(guess.x - 8, 0), min(guess.x + width + 8, marked.shape[1])),
        )
        plain = lay_over(marked, render(logo, guess.size_px), guess, part)
        saved, found = _descend(marked, logo, guess, part, plain)
        # guesses lie at different places: what counts is the share of edges that the logo explains
        if best is None or saved < best[0]:
            best = (saved, found)
        if best[0] < _SURELY:
            break
    if best is None:
        raise ValueError("expected at least one guess")
    return best[1]


def _descend(
    marked: Bytes, logo: Logo, start: Guess, part: tuple[slice, slice], plain: Fit
) -> tuple[float, Guess]:
    cost, opacity = plain.best(0.02, 0.99, steps=8)
    tried = {start}
    here = start
    for _ in range(6):
        better = False
        for other in _neighbours(here):
            raster = render(logo, other.size_px)
            rows, cols = window_of(raster, other)
            outside = rows.start < part[0].start or cols.start < part[1].start
            if other in tried or outside or rows.stop > part[0].stop or cols.stop > part[1].stop:
                continue
            tried.add(other)
            fit = lay_over(marked, raster, other, part)
            if fit.cost(opacity) < cost:
                cost, opacity = fit.best(max(opacity - 0.05, 0.01), min(opacity + 0.05, 0.995), steps=6)
                here, better = other, True
        if not better:
            break
    fit = lay_over(marked, render(logo, here.size_px), here, part)
    cost, opacity = fit.best(max(opacity - 0.03, 0.01), min(opacity + 0.03, 0.998), steps=18)
    return cost / max(fit.cost(0.0), 1e-9), replace(here, opacity=round(opacity * 65535))


def _neighbours(guess: Guess) -> Iterator[Guess]:
    for size in (0, -1, 1):
        for dx in (0, -1, 1):
            for dy in (0, -1, 1):
                yield Guess(guess.x + dx, guess.y + dy, guess.size_px + size)
