"""The search of the preset ``strong``: a bounded texture on the logo's own pixels, at well-chosen places.

One backward pass on the original tells, to first order, how much a texture of the allowed strength could do
at every place (the sum of the gradient's magnitude under the logo) and what the plain logo would do there.
The best places are verified; then signed gradient steps with momentum (Dong et al., CVPR 2018) refine the
texture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medlocker.logo import MAX_CELLS, pack_overlay
from medlocker.mark import Mark
from medlocker.search._base import Floats, Proposal, Search, Steps
from medlocker.search._guided import correlate, screen
from medlocker.search._preview import LUMA, spread_matrices
from medlocker.search._problem import Candidate, Problem
from medlocker.search._surface import F64

_MOMENTUM = 0.8
_STEPS_TO_BOUND = 4
_PATIENCE = 6


class TextureSearch(Search):
    """Choose places by what a texture could do there, then find the texture.

    Args:
        budget: As for every search; a step of the texture costs one backward pass, which counts 2.
        margin: As for every search.
        verify: Places whose plain logo is tried before one is chosen.
    """

    name = "texture"
    needs_gradients = True

    def __init__(self, *, budget: int, margin: float = 0.0, verify: int = 4) -> None:
        super().__init__(budget=budget, margin=margin)
        self._verify = verify

    def steps(self, problem: Problem, rng: np.random.Generator) -> Steps:
        """Yield the screening, plain logos at the best places, then textures there."""
        places = problem.thinned(problem.size_px / 8, rng=rng)
        screened = yield Proposal([()], gradients=True)
        slopes = _pulled_back(problem, screened.gradients, 0)
        plain = screen(problem, screened.gradients, places)
        promise = _promise(problem, slopes, places)
        starts = _apart(promise + plain, places / problem.size_px, self._verify)
        tries: list[Candidate] = [(_mark(problem, places[i]),) for i in starts]
        scored = yield Proposal(tries)
        order = np.argsort(-(scored.values + promise[starts[: len(scored.values)]]))
        for first in order:
            chosen = [starts[int(first)]]
            chosen += _partners(problem, promise + plain, places, chosen[0])
            textures = [_Texture.of(problem, _mark(problem, places[i])) for i in chosen]
            for texture in textures:
                texture.push(slopes, problem, whole=True)
            yield from _climb(problem, textures)


def _climb(problem: Problem, textures: list[_Texture]) -> Steps:
    """Take signed gradient steps until the margin no longer grows."""
    best, waited = -np.inf, 0
    while waited < _PATIENCE:
        candidate = tuple(texture.mark() for texture in textures)
        scored = yield Proposal([candidate], gradients=True)
        value = float(scored.values[0])
        waited = 0 if value > best + 1e-3 else waited + 1
        best = max(best, value)
        slopes = _pulled_back(problem, scored.gradients, 0)
        for texture in textures:
            texture.push(slopes, problem, whole=False)


@dataclass(eq=False)
class _Texture:
    """One mark's texture while it is searched."""

    plain: Mark
    cells: NDArray[np.float64]
    drift: NDArray[np.float64]

    @classmethod
    def of(cls, problem: Problem, mark: Mark) -> _Texture:
        """Start with no texture; cells are about as large as the first model's pixels."""
        size = problem.preview.raster(mark).size
        pixel = problem.preview.pixels_per_cell
        rows, cols = (min(max(round(side / pixel[k]), 2), MAX_CELLS) for k, side in enumerate(size))
        return cls(mark, np.zeros((rows, cols, 3)), np.zeros((rows, cols, 3)))

    def push(self, slopes: Floats, problem: Problem, *, whole: bool) -> None:
        """Step along a gradient with respect to work pixels; the first step goes to the bound."""
        preview = problem.preview
        raster = preview.raster(self.plain)
        _, coverage = raster.at(self.plain.opacity)
        h, w = coverage.shape[:2]
        y, x = self.plain.y // preview.step, self.plain.x // preview.step
        window = slopes[y : y + h, x : x + w]
        h, w = window.shape[:2]
        rows, cols = spread_matrices(raster.size, (self.cells.shape[0], self.cells.shape[1]), preview.step)
        pulled = np.einsum("hi,hwc,wj->ijc", rows[:h], coverage[:h, :w] * window, cols[:w], optimize=True)
        self.drift = _MOMENTUM * self.drift + pulled / max(float(np.abs(pulled).mean()), 1e-12)
        length = problem.levels if whole else problem.levels / _STEPS_TO_BOUND
        self.cells = np.clip(self.cells + length * np.sign(self.drift), -problem.levels, problem.levels)

    def mark(self) -> Mark:
        """Return the mark with its texture."""
        return replace(self.plain, overlay=pack_overlay(np.round(self.cells).astype(np.int8)))


def _mark(problem: Problem, place: NDArray[np.int64]) -> Mark:
    return problem.mark(int(place[0]), int(place[1]))


def _pulled_back(problem: Problem, gradients: tuple[Floats, ...], i: int) -> Floats:
    """Sum the models' gradients with respect to work pixels, (h, w, 3), each scaled to unit size."""
    total = np.zeros_like(problem.preview.work)
    for model, gradient in enumerate(gradients):
        slope = problem.preview.pull_back(model, gradient[i])
        slope = slope * LUMA if slope.shape[2] == 1 else slope
        total += slope / (max(float(np.abs(slope).mean()), 1e-12) if len(gradients) > 1 else 1.0)
    return total


def _promise(problem: Problem, slopes: Floats, places: NDArray[np.int64]) -> F64:
    """Return, per place, the first-order gain of the best texture within its bound."""
    some = _mark(problem, places[0])
    _, coverage = problem.preview.raster(some).at(some.opacity)
    strength = np.abs(slopes).sum(axis=2, dtype=np.float64)
    gain = correlate(strength, coverage[..., 0]) * problem.levels
    cells = places // problem.preview.step
    return np.asarray(gain[cells[:, 1], cells[:, 0]])


def _partners(problem: Problem, merit: F64, places: NDArray[np.int64], first: int) -> list[int]:
    """Choose the places of further marks, each more than a logo's size away from the others."""
    units = places / problem.size_px
    left = merit.copy()
    chosen: list[int] = []
    last = first
    for _ in range(problem.most_marks - 1):
        left[((units - units[last]) ** 2).sum(axis=1) < 1.5**2] = -np.inf
        last = int(left.argmax())
        if left[last] == -np.inf:
            break
        chosen.append(last)
    return chosen


def _apart(merit: F64, units: NDArray[np.float64], count: int) -> list[int]:
    """Choose the best places, one after another, none within half a logo of another."""
    left = merit.copy()
    chosen: list[int] = []
    while len(chosen) < count and left.max() > -np.inf:
        i = int(left.argmax())
        chosen.append(i)
        left[((units - units[i]) ** 2).sum(axis=1) < 0.5**2] = -np.inf
    return chosen
