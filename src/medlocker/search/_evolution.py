"""Differential evolution over position and opacity (Storn and Price 1997; as in one-pixel attacks)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medlocker.mark import Mark
from medlocker.search._base import Proposal, Search, Steps
from medlocker.search._problem import Candidate, Problem


class EvolutionSearch(Search):
    """DE/best/1/bin with dithered step length; positions snap to the nearest free placement.

    Args:
        budget: As for every search.
        margin: As for every search.
        population: Individuals of a generation; each generation is one batch.
        generations: Most generations.
        crossover: Chance that a coordinate comes from the mutant.
    """

    name = "evolution"

    def __init__(
        self,
        *,
        budget: int,
        margin: float = 0.0,
        population: int = 16,
        generations: int = 12,
        crossover: float = 0.9,
    ) -> None:
        super().__init__(budget=budget, margin=margin)
        self._population = population
        self._generations = generations
        self._crossover = crossover

    def steps(self, problem: Problem, rng: np.random.Generator) -> Steps:
        """Yield one generation after another."""
        genes = rng.random((self._population, 3))
        scored = yield Proposal([_express(problem, gene) for gene in genes])
        values = scored.values
        for _ in range(self._generations):
            if len(values) < len(genes):
                return
            mutants = self._mutants(genes, values, rng)
            scored = yield Proposal([_express(problem, gene) for gene in mutants])
            count = len(scored.values)
            better = np.flatnonzero(scored.values >= values[:count])
            genes[better], values[better] = mutants[better], scored.values[better]

    def _mutants(
        self, genes: NDArray[np.float64], values: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        count = len(genes)
        best = genes[int(values.argmax())]
        pairs = np.stack([rng.permutation(count), rng.permutation(count)], axis=1)
        length = rng.uniform(0.5, 1.0, (count, 1))
        mutants = best + length * (genes[pairs[:, 0]] - genes[pairs[:, 1]])
        crossed = rng.random(genes.shape) < self._crossover
        crossed[np.arange(count), rng.integers(3, size=count)] = True
        return np.clip(np.where(crossed, mutants, genes), 0, 1)


def _express(problem: Problem, gene: NDArray[np.float64]) -> Candidate:
    """Turn coordinates in 0..1 into a mark."""
    return (express_mark(problem, gene),)


def express_mark(problem: Problem, gene: NDArray[np.float64]) -> Mark:
    """Return the mark of (x, y, opacity), each in 0..1 of its range, at the nearest free placement."""
    low, high = problem.free.min(axis=0), problem.free.max(axis=0)
    x, y = problem.nearest(*(low + gene[:2] * (high - low)))
    opacity = problem.opacity_low + gene[2] * (problem.opacity_high - problem.opacity_low)
    return problem.mark(x, y, float(opacity))
