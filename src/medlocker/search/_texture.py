"""The search of the preset ``strong``: a bounded texture on the logo's own pixels, at well-chosen places.

One backward pass on the original tells, to first order, how much a texture of the allowed strength could do
at every place (the sum of the gradient's magnitude under the logo) and what the plain logo would do there.
A few layouts of several marks at the best places are tried with the texture of that first step; then signed
gradient steps with momentum (Dong et al., CVPR 2018) refine the textures of the best layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medlocker.logo import pack_overlay
from medlocker.mark import Mark
from medlocker.search._base import Floats, Proposal, Scored, Search, Steps
from medlocker.search._gaussianprocess import F64
from medlocker.search._guided import correlate, screen
from medlocker.search._layout import blank_cells, partners, pick_separated
from medlocker.search._modelviews import LUMA, WHOLE, Part
from medlocker.search._problem import Candidate, Problem
from medlocker.search.preview import spread_matrices

_MOMENTUM = 0.8
_STEPS_TO_BOUND = 2
_PATIENCE = 6
_MORE_PLACES = 4
"""Times as many layouts are tried against an attack after which nothing but the layout counts."""


class TextureSearch(Search):
    """Choose layouts by what textures could do there, then find the textures.

    Several models are one ensemble: their gradients are brought to the same length, and a model that is
    already misled by the wanted margin counts less and less.

    Args:
        budget: As for every search; a step of the textures costs one backward pass, which counts 2.
        margin: As for every search.
        verify: Layouts that are tried before one is chosen.
    """

    name = "texture"
    needs_gradients = True

    def __init__(self, *, budget: int, margin: float = 0.0, verify: int = 4) -> None:
        super().__init__(budget=budget, margin=margin)
        self._verify = verify

    def steps(self, problem: Problem, rng: np.random.Generator) -> Steps:
        """Yield the screening, layouts at the best places, then better textures there."""
        places = problem.thinned(problem.size_px / 8, rng=rng)
        screened = yield Proposal([()], gradients=True)
        slopes = self._slopes(problem, screened)
        merit = _promise(problem, slopes, places) + screen(problem, screened.gradients, places)
        layouts = []
        tried = self._verify * (_MORE_PLACES if problem.preview.places_matter else 1)
        for first in pick_separated(merit, places / problem.size_px, tried):
            chosen = [first, *partners(problem, merit, places, first)]
            textures = [_Texture.of(problem, _mark(problem, places[i])) for i in chosen]
            for texture in textures:
                if not problem.learned:  # a learned texture is better than the first step of a new one
                    texture.push(slopes, problem, whole=True)
            layouts.append(textures)
        scored = yield Proposal([_marks(textures) for textures in layouts])
        for k in np.argsort(-scored.values, kind="stable"):
            yield from self._climb(problem, layouts[int(k)])

    def _climb(self, problem: Problem, textures: list[_Texture]) -> Steps:
        """Take signed gradient steps until the margin no longer grows."""
        best, waited = -np.inf, 0
        parts = [problem.preview.part_of(texture.plain) for texture in textures]
        while waited < _PATIENCE:
            scored = yield Proposal([_marks(textures)], gradients=True)
            value = float(scored.values[0])
            waited = 0 if value > best + 1e-3 else waited + 1
            best = max(best, value)
            slopes = self._slopes(problem, scored, parts)
            for texture in textures:
                texture.push(slopes, problem, whole=False)

    def _slopes(self, problem: Problem, scored: Scored, parts: Sequence[Part] = (WHOLE,)) -> Floats:
        return ensemble_slopes(problem, scored.gradients, scored.margins[0], wanted=self.margin, parts=parts)


@dataclass(eq=False)
class _Texture:
    """One mark's texture while it is searched."""

    plain: Mark
    cells: NDArray[np.float64]
    drift: NDArray[np.float64]

    @classmethod
    def of(cls, problem: Problem, mark: Mark) -> _Texture:
        """Start with the texture learned beforehand, or with none."""
        cells = blank_cells(problem, mark)
        return cls(mark, cells, np.zeros_like(cells))

    def push(self, slopes: Floats, problem: Problem, *, whole: bool) -> None:
        """Step along a gradient with respect to work pixels; the first step goes to the bound."""
        pulled = pull_to_cells(problem, self.plain, slopes, self.cells.shape[:2])
        self.drift = _MOMENTUM * self.drift + pulled / max(float(np.abs(pulled).mean()), 1e-12)
        length = problem.levels if whole else problem.levels / _STEPS_TO_BOUND
        self.cells = np.clip(self.cells + length * np.sign(self.drift), -problem.levels, problem.levels)

    def mark(self) -> Mark:
        """Return the mark with its texture."""
        return replace(self.plain, overlay=pack_overlay(np.round(self.cells).astype(np.int8)))


def ensemble_slopes(
    problem: Problem,
    gradients: tuple[Floats, ...],
    margins: F64,
    *,
    wanted: float,
    parts: Sequence[Part] = (WHOLE,),
) -> Floats:
    """Sum the models' gradients at one candidate with respect to work pixels.

    Args:
        gradients: Per model (looks, h, w, c).
        margins: (looks * models,) at the candidate; what is above ``wanted`` counts less.
        parts: Where the sum is asked for; elsewhere it may be 0.

    Returns:
        (h, w, 3) float32.
    """
    total = np.zeros_like(problem.preview.work)
    if len(margins) == 1:  # nothing is weighed against another one, so only what is asked for counts
        for part in parts:
            slope = problem.preview.pull_back(0, gradients[0][0], part=part)
            total[part] = slope * LUMA if slope.shape[2] == 1 else slope
        return total
    for model, gradient in enumerate(gradients):
        for look in range(problem.looks):
            slope = problem.preview.pull_back(model, gradient[look], look=look)
            slope = slope * LUMA if slope.shape[2] == 1 else slope
            behind = np.clip(wanted - margins[look * len(gradients) + model], -20, 20)
            weight = 0.1 + 1 / (1 + np.exp(-behind))
            total += slope * np.float32(weight / max(float(np.abs(slope).mean()), 1e-12))
    return total


def pull_to_cells(problem: Problem, mark: Mark, slopes: Floats, shape: tuple[int, ...]) -> F64:
    """Return the gradient with respect to a mark's (rows, cols) texture cells, (rows, cols, 3)."""
    preview = problem.preview
    raster = preview.raster(mark)
    _, coverage = raster.at(mark.opacity)
    window = slopes[preview.part_of(mark)]
    h, w = window.shape[:2]
    rows, cols = spread_matrices(raster.size, (shape[0], shape[1]), preview.step)
    weighed = coverage[:h, :w] * window
    # einsum does the same products, but looks for their order every time, which takes longer than they do
    across = (rows[:h].T @ weighed.reshape(h, -1)).reshape(-1, w, weighed.shape[2])
    return np.asarray(cols[:w].T @ across, np.float64)


def _marks(textures: list[_Texture]) -> Candidate:
    return tuple(texture.mark() for texture in textures)


def _mark(problem: Problem, place: NDArray[np.int64]) -> Mark:
    return problem.mark(int(place[0]), int(place[1]))


def _promise(problem: Problem, slopes: Floats, places: NDArray[np.int64]) -> F64:
    """Return, per place, the first-order gain of the best texture within its bound."""
    some = _mark(problem, places[0])
    _, coverage = problem.preview.raster(some).at(some.opacity)
    strength = np.abs(slopes).sum(axis=2, dtype=np.float64)
    gain = correlate(strength, coverage[..., 0]) * problem.levels
    cells = places // problem.preview.step
    return np.asarray(gain[cells[:, 1], cells[:, 0]])
