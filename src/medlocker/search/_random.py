"""Random placement: the control every table needs, and the cheapest search."""

from __future__ import annotations

import numpy as np

from medlocker.mark import Mark
from medlocker.search._base import Proposal, Search, Steps
from medlocker.search._problem import Problem


class RandomSearch(Search):
    """Uniform free placements with uniform opacity, a few at a time, until the budget is spent."""

    name = "random"
    _at_once = 4

    def steps(self, problem: Problem, rng: np.random.Generator) -> Steps:
        """Yield random candidates for ever."""
        yield Proposal([(_draw(problem, rng),)])
        while True:
            yield Proposal([(_draw(problem, rng),) for _ in range(self._at_once)])


def _draw(problem: Problem, rng: np.random.Generator) -> Mark:
    x, y = problem.free[int(rng.integers(len(problem.free)))]
    return problem.mark(int(x), int(y), rng.uniform(problem.opacity_low, problem.opacity_high))
