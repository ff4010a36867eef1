"""Undoing the blend of a known logo: the opacity at which fewest of the logo's edges are left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medlocker.attacks import Bytes, Floats, Window
from medlocker.evaluate.removal._locate import MarkGuess, locate, window_of
from medlocker.logo import Logo, Raster, fit_color, unblend, weights

_SURELY = 0.7  # of the edges left: only the right logo at the right place takes away so many
_EDGE = 40.0


@dataclass(frozen=True, eq=False)
class Inverted:
    """What an attacker made of one mark.

    Args:
        restored: (H, W, 3) uint8.
        raster: The logo that was inverted, bent if the attacker bent it.
        left: Share of the edges that the inversion leaves; 1 if it explains nothing.
    """

    restored: Bytes
    guess: MarkGuess
    raster: Raster
    left: float = 1.0

    def ghost(self) -> float:
        """Return how much rougher the restored mark is at the logo's edges than elsewhere; 1: none seen."""
        window = self.restored[window_of(self.raster, self.guess)].astype(np.float32)
        weight = self.raster.coverage[..., None].astype(np.float32) / np.float32(255)
        slopes = gradient_magnitude(window)
        edges = gradient_magnitude(self.raster.color * weight) > _EDGE
        inside = self.raster.coverage == 255
        here, there = slopes[edges & inside], slopes[~edges & inside]
        if not here.size or not there.size:
            return 1.0
        return float((here.mean() + 1) / (there.mean() + 1))


def gradient_magnitude(image: Floats) -> Floats:
    """Return (h, w), the sum over channels of the slopes' sizes."""
    down, across = np.gradient(image, axis=(0, 1))
    return np.asarray((np.abs(down) + np.abs(across)).sum(axis=2), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class BlendFit:
    """An image and a logo over one window, as floats: (h, w, 3), (h, w, 3) and (h, w, 1) in 0..1."""

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


def blind(marked: Bytes, logo: Logo, *, sizes_px: tuple[int, int] = (32, 200)) -> Inverted:
    """Locate one mark, estimate its opacity and invert, knowing the plain logo only.

    Args:
        marked: (H, W, 3) uint8.
        sizes_px: Smallest and largest logo looked for.
    """
    return invert_best(marked, logo, locate(marked, logo, sizes_px=sizes_px))


def invert_best(marked: Bytes, logo: Logo, guesses: Sequence[MarkGuess]) -> Inverted:
    """Choose place, size and opacity together by the smoothness of what is left, and invert.

    Args:
        marked: (H, W, 3) uint8.
        guesses: At least one, the likeliest first.
    """
    best: tuple[float, MarkGuess] | None = None
    for guess in guesses:
        height, width = guess.raster(logo).coverage.shape
        part = (
            slice(max(guess.y - 8, 0), min(guess.y + height + 8, marked.shape[0])),
            slice(max(guess.x - 8, 0), min(guess.x + width + 8, marked.shape[1])),
        )
        plain = overlay_fixed(marked, guess.raster(logo), guess, part)
        left, found = _descend(marked, logo, guess, part, plain)
        # guesses lie at different places: what counts is the share of edges that the logo explains
        if best is None or left < best[0]:
            best = (left, found)
        if best[0] < _SURELY:
            break
    if best is None:
        raise ValueError("expected at least one guess")
    raster = best[1].raster(logo)
    return Inverted(invert(marked, raster, best[1]), best[1], raster, best[0])


def invert(marked: Bytes, raster: Raster, guess: MarkGuess) -> Bytes:
    """Undo the blend of a rendered logo where the guess says it is."""
    restored = marked.copy()
    window = restored[window_of(raster, guess)]
    weight = weights(raster.coverage, guess.opacity)
    window[...] = unblend(window, fit_color(raster.color, channels=3, bits=8), weight)
    return restored


def overlay_fixed(marked: Bytes, raster: Raster, guess: MarkGuess, part: Window) -> BlendFit:
    """Lay a logo into a fixed part of the image, so that costs of neighbouring guesses compare."""
    rows, cols = part
    shape = (rows.stop - rows.start, cols.stop - cols.start)
    color, coverage = np.zeros((*shape, 3), np.float32), np.zeros((*shape, 1), np.float32)
    top, left = guess.y - rows.start, guess.x - cols.start
    height, width = raster.coverage.shape
    color[top : top + height, left : left + width] = raster.color
    coverage[top : top + height, left : left + width, 0] = raster.coverage / np.float32(255)
    return BlendFit(marked[part].astype(np.float32), color, coverage)


def _descend(
    marked: Bytes, logo: Logo, start: MarkGuess, part: Window, plain: BlendFit
) -> tuple[float, MarkGuess]:
    cost, opacity = plain.best(0.02, 0.99, steps=8)
    tried = {start}
    here = start
    for _ in range(6):
        better = False
        for other in _neighbours(here):
            if other in tried or other.size_px < 1:
                continue
            raster = other.raster(logo)
            rows, cols = window_of(raster, other)
            outside = rows.start < part[0].start or cols.start < part[1].start
            if outside or rows.stop > part[0].stop or cols.stop > part[1].stop:
                continue
            tried.add(other)
            fit = overlay_fixed(marked, raster, other, part)
            if fit.cost(opacity) < cost:
                cost, opacity = fit.best(max(opacity - 0.05, 0.01), min(opacity + 0.05, 0.995), steps=6)
                here, better = other, True
        if not better:
            break
    fit = overlay_fixed(marked, here.raster(logo), here, part)
    cost, opacity = fit.best(max(opacity - 0.03, 0.01), min(opacity + 0.03, 0.998), steps=18)
    return cost / max(fit.cost(0.0), 1e-9), replace(here, opacity=round(opacity * 65535))


def _neighbours(guess: MarkGuess) -> Iterator[MarkGuess]:
    for size in (0, -1, 1):
        for dx in (0, -1, 1):
            for dy in (0, -1, 1):
                yield replace(guess, x=guess.x + dx, y=guess.y + dy, size_px=guess.size_px + size)
