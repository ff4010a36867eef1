"""Searches guided by a surface fitted to the margins seen so far: few evaluations, no luck needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.search._base import Floats, Proposal, Scored, Search, Steps
from medlocker.search._gaussianprocess import F64, fit_gaussian_process
from medlocker.search._modelviews import LUMA
from medlocker.search._problem import Candidate, Problem

_FADED = 4
"""Candidates of less opacity that are tried."""

_CURIOSITY = 1.0
"""Standard deviations added to the mean: how much an unknown place is worth trying."""


class ScreenedSearch(Search):
    """Try a few spread placements, then those that a Gaussian process over the placements promises most.

    Needs no gradients. Opacity starts at its highest; towards the end of the budget, lower ones are tried at
    the best places.

    Args:
        budget: As for every search.
        margin: As for every search.
        spread: Placements tried before the surface is trusted.
        at_once: Candidates of one batch.
    """

    name = "screened"

    def __init__(self, *, budget: int, margin: float = 0.0, spread: int = 8, at_once: int = 4) -> None:
        super().__init__(budget=budget, margin=margin)
        self._spread = spread
        self._at_once = at_once

    def steps(self, problem: Problem, rng: np.random.Generator) -> Steps:
        """Yield a random placement, spread ones, then promising ones."""
        memory = SearchHistory(problem, rng)
        yield from spread_first(memory, rng, spread=self._spread, at_once=self._at_once)
        yield from guided(memory, at_once=self._at_once, budget=self.budget // len(problem.labels))


class GradientSearch(Search):
    """Screen every placement with one backward pass, verify the best exactly, refine with a surface.

    To first order, a mark changes the margin by the scalar product of the margin's gradient with the change
    of the image; for all placements at once that is a cross-correlation of the gradient with the logo, done
    by FFT. It is not exact for strong opacity: so the surface learns from the verified ones how far to
    believe it, and half-way through the budget forgets it.

    Args:
        budget: As for every search; a backward pass counts 2.
        margin: As for every search.
        verify: Placements verified after the screening.
        at_once: Candidates of one batch.
    """

    name = "gradient"
    needs_gradients = True

    def __init__(self, *, budget: int, margin: float = 0.0, verify: int = 4, at_once: int = 4) -> None:
        super().__init__(budget=budget, margin=margin)
        self._verify = verify
        self._at_once = at_once

    def steps(self, problem: Problem, rng: np.random.Generator) -> Steps:
        """Yield the screening, the best of it, then the surface's proposals."""
        memory = SearchHistory(problem, rng)
        screened = yield Proposal([()], gradients=True)
        memory.add_basis(screen(problem, screened.gradients, memory.places))
        batch = memory.best_of_basis(self._verify)
        memory.learn(batch, (yield Proposal(memory.candidates(batch))))
        yield from guided(memory, at_once=self._at_once, budget=self.budget // len(problem.labels))


def spread_first(memory: SearchHistory, rng: np.random.Generator, *, spread: int, at_once: int) -> Steps:
    """Yield a random placement, then ones spread over the image."""
    first = int(rng.integers(len(memory.places)))
    memory.learn([first], (yield Proposal(memory.candidates([first]))))
    for batch in _chunks(_spread_out(memory.units, first, spread), at_once):
        memory.learn(batch, (yield Proposal(memory.candidates(batch))))


def guided(memory: SearchHistory, *, at_once: int, budget: int, until: int | None = None) -> Steps:
    """Yield what the surface promises, and near the end of the budget the best places with less opacity.

    Args:
        at_once: Candidates of one batch.
        budget: Placements that can be tried in all.
        until: Stop when this many have been tried.
    """
    faded = False
    most = len(memory.places) if until is None else min(until, len(memory.places))
    while len(memory.tried) < most:
        if len(memory.tried) > budget // 2:
            memory.forget_basis()
        if not faded and budget >= 8 * _FADED and len(memory.tried) >= budget - 2 * _FADED:
            faded = True
            candidates = memory.faded()
            if candidates:
                yield Proposal(candidates)
        batch = memory.promising(at_once)
        memory.learn(batch, (yield Proposal(memory.candidates(batch))))


def screen(problem: Problem, gradients: tuple[Floats, ...], places: NDArray[np.int64]) -> F64:
    """Predict the margin's change for many placements at the highest opacity, to first order.

    Args:
        problem: Gives image and logo.
        gradients: Per model (1, h, w, c), d(margin)/d(grey level) at the clean or at a marked image.
        places: (n, 2) x and y in pixels, multiples of the preview's step.

    Returns:
        (n,) float64, summed over the models.
    """
    preview = problem.preview
    x, y = places[0]
    some = problem.mark(int(x), int(y))
    logo_paint, logo_coverage = preview.raster(some).at(some.opacity)
    work = preview.work
    height, width = work.shape[:2]
    total = np.zeros((height, width))
    for model, gradient in enumerate(gradients):
        slope = preview.pull_back(model, gradient[0])
        slope = slope * LUMA if slope.shape[2] == 1 else slope
        total -= correlate((slope * work).sum(axis=2), logo_coverage[..., 0])
        for c in range(3):
            total += correlate(slope[..., c], logo_paint[..., c])
    cells = places // preview.step
    return np.asarray(total[cells[:, 1], cells[:, 0]])


def correlate(field: NDArray[Any], logo: NDArray[Any]) -> F64:
    """Return (h, w): the sum of ``field`` times ``logo`` for the logo's corner at every pixel, by FFT."""
    height, width = field.shape
    # long enough that the logo, laid over the far edge, meets only zeros
    size = _fast_length(height + logo.shape[0] - 1), _fast_length(width + logo.shape[1] - 1)
    spectrum = np.fft.rfft2(field, size) * np.fft.rfft2(logo, size).conj()
    return np.asarray(np.fft.irfft2(spectrum, size)[:height, :width])


def _fast_length(count: int) -> int:
    """Return the next length that has only small prime factors."""
    while True:
        rest = count
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return count
        count += 1


class SearchHistory:
    """What has been tried on one problem, and what the surface makes of it."""

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self._problem = problem
        self.places = problem.thinned(problem.size_px / 8, rng=rng)
        self.units: F64 = self.places / problem.size_px
        self.tried: list[int] = []
        self._values: list[float] = []
        self._basis: F64 = np.zeros((len(self.places), 0))

    def candidates(self, chosen: list[int]) -> list[Candidate]:
        return [(self._problem.mark(*map(int, self.places[i])),) for i in chosen]

    def learn(self, chosen: list[int], scored: Scored) -> None:
        self.tried += chosen[: len(scored.values)]
        self._values += [float(value) for value in scored.values]

    def faded(self) -> list[Candidate]:
        """Return the two best places, each at two lower opacities."""
        low, high = self._problem.opacity_low, self._problem.opacity_high
        best = [self.tried[int(i)] for i in np.argsort(self._values)[::-1][: _FADED // 2]]
        levels = [low + (high - low) * share for share in (0.7, 0.4)] if high > low else []
        places = [(int(self.places[i][0]), int(self.places[i][1])) for i in best]
        return [(self._problem.mark(x, y, level),) for x, y in places for level in levels]

    def forget_basis(self) -> None:
        self._basis = np.zeros((len(self.places), 0))

    def add_basis(self, screened: F64) -> None:
        """Add a screening of all places to the surface's mean functions."""
        spread = max(float(screened.std()), 1e-12)
        self._basis = np.column_stack([self._basis, (screened - screened.mean()) / spread])

    def best_of_basis(self, count: int) -> list[int]:
        return self._apart(self._basis[:, -1].copy(), count)

    def expected(self) -> F64:
        """Return the surface's mean at every place."""
        return self._predicted()[0]

    def _predicted(self) -> tuple[F64, F64]:
        tried = np.array(self.tried)
        surface = fit_gaussian_process(self.units[tried], self._basis[tried], np.array(self._values))
        return surface.predict(self.units, self._basis)

    def promising(self, count: int) -> list[int]:
        tried = np.array(self.tried)
        mean, deviation = self._predicted()
        merit = mean + _CURIOSITY * deviation
        merit[tried] = -np.inf
        return self._apart(merit, count)

    def _apart(self, merit: F64, count: int) -> list[int]:
        """Choose the best, one after another, none within a fifth of the logo's size of a chosen one."""
        chosen: list[int] = []
        for _ in range(count):
            i = int(merit.argmax())
            if merit[i] == -np.inf:
                break
            chosen.append(i)
            near = ((self.units - self.units[i]) ** 2).sum(axis=1) < 0.2**2
            merit[near] = -np.inf
        return chosen


def _spread_out(units: F64, first: int, count: int) -> list[int]:
    """Farthest-point sampling (Gonzalez 1985), without the first point."""
    distance = ((units - units[first]) ** 2).sum(axis=1)
    chosen: list[int] = []
    for _ in range(min(count, len(units) - 1)):
        i = int(distance.argmax())
        chosen.append(i)
        distance = np.minimum(distance, ((units - units[i]) ** 2).sum(axis=1))
    return chosen


def _chunks(items: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
