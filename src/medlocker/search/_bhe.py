"""Basin hopping evolution, the search of Adv-watermark (Jia et al., ACM Multimedia 2020): a baseline.

A population of (x, y, opacity) evolves for three generations; each mutation is refined by
``scipy.optimize.basinhopping(niter=3)`` with its default local minimiser, and the whole stops at the first
misclassification. It asks for one image at a time, which is what makes it expensive.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import MissingExtraError
from medlocker.search._base import Proposal, Search, Steps
from medlocker.search._evolution import express_mark
from medlocker.search._problem import Problem

Gene = NDArray[np.float64]
Objective = Callable[[Gene], float]

_CROSSOVER = 0.9
_HOPS = 3


class BheSearch(Search):
    """Adv-watermark's algorithm with its published settings: population 50, 3 generations, CR 0.9.

    Args:
        budget: As for every search.
        margin: As for every search; 0 stops at the first misclassification, as published.
    """

    name = "bhe"

    def __init__(
        self, *, budget: int, margin: float = 0.0, population: int = 50, generations: int = 3
    ) -> None:
        super().__init__(budget=budget, margin=margin)
        self._population = population
        self._generations = generations

    def steps(self, problem: Problem, rng: np.random.Generator) -> Steps:
        """Yield one candidate at a time, as the original asks its model."""
        minimise = _basinhopping()

        def evolve(objective: Objective) -> None:
            population = rng.random((self._population, 3))
            costs = np.array([objective(gene) for gene in population])
            for _ in range(self._generations):
                for i in range(self._population):
                    trial = self._mutant(population, costs, i, rng)
                    # a function value and place that the local minimiser of every hop starts from
                    result = minimise(
                        lambda gene: objective(np.clip(gene, 0, 1)), trial, niter=_HOPS, rng=rng
                    )
                    if float(result.fun) < costs[i]:
                        population[i], costs[i] = np.clip(result.x, 0, 1), float(result.fun)

        asker = _Inverted(evolve)
        try:
            gene = asker.start()
            while gene is not None:
                scored = yield Proposal([(express_mark(problem, gene),)])
                gene = asker.answer(-float(scored.values[0]))
        finally:
            asker.stop()

    def _mutant(self, population: Gene, costs: Gene, i: int, rng: np.random.Generator) -> Gene:
        a, b = rng.choice(self._population, 2, replace=False)
        best = population[int(costs.argmin())]
        mutant = best + rng.uniform(0.5, 1.0) * (population[a] - population[b])
        crossed = rng.random(3) < _CROSSOVER
        crossed[rng.integers(3)] = True
        return np.asarray(np.clip(np.where(crossed, mutant, population[i]), 0, 1))


def _basinhopping() -> Callable[..., Any]:
    try:
        from scipy.optimize import basinhopping  # optional: only this baseline needs it
    except ImportError as error:
        raise MissingExtraError("scipy", "baselines") from error
    return basinhopping  # type: ignore[no-any-return]


class _Stopped(BaseException):
    """Raised inside the optimiser's thread when nobody wants its next question."""


class _Inverted:
    """Turns an optimiser that calls a function into questions and answers, by a thread of its own."""

    def __init__(self, run: Callable[[Objective], None]) -> None:
        self._questions: queue.SimpleQueue[Gene | Exception | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[float | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, args=(run,), daemon=True)

    def _work(self, run: Callable[[Objective], None]) -> None:
        try:
            run(self._objective)
        except _Stopped:
            return
        except Exception as error:
            self._questions.put(error)
            return
        self._questions.put(None)

    def _objective(self, gene: Gene) -> float:
        self._questions.put(np.array(gene))
        answer = self._answers.get()
        if answer is None:
            raise _Stopped
        return answer

    def _next(self) -> Gene | None:
        question = self._questions.get()
        if isinstance(question, Exception):
            raise question
        return question

    def start(self) -> Gene | None:
        self._thread.start()
        return self._next()

    def answer(self, value: float) -> Gene | None:
        self._answers.put(value)
        return self._next()

    def stop(self) -> None:
        self._answers.put(None)
        self._thread.join()
