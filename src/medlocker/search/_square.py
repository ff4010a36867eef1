"""The preset ``strong`` without gradients: places by a fitted surface, textures by random squares.

After Square Attack (Andriushchenko et al., ECCV 2020): a change is a square of extreme levels, kept if it
helps, and the squares become smaller as the budget is used up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medlocker.logo import pack_overlay
from medlocker.mark import Mark
from medlocker.search._base import Proposal, Search, Steps
from medlocker.search._guided import SearchHistory, guided, spread_first
from medlocker.search._layout import blank_cells, partners, pick_separated
from medlocker.search._problem import Candidate, Problem

_SHARE_FOR_PLACES = 0.3
_FIRST_SIDE = 0.5
_LAST_SIDE = 0.12

Cells = list[NDArray[np.float64]]


class SquareSearch(Search):
    """Find places with single plain logos, then put several there and try textures at random.

    Args:
        budget: As for every search.
        margin: As for every search.
        layouts: Sets of places that are tried with striped textures before one is chosen.
        at_once: Textures of one batch; the best is kept.
    """

    name = "square"

    def __init__(self, *, budget: int, margin: float = 0.0, layouts: int = 4, at_once: int = 4) -> None:
        super().__init__(budget=budget, margin=margin)
        self._layouts = layouts
        self._at_once = at_once

    def steps(self, problem: Problem, rng: np.random.Generator) -> Steps:
        """Yield places, layouts of several marks, then textures for the best layout."""
        memory = SearchHistory(problem, rng)
        budget = self.budget // len(problem.labels)
        for_places = max(int(_SHARE_FOR_PLACES * budget), 1)
        yield from spread_first(memory, rng, spread=min(8, for_places), at_once=self._at_once)
        yield from guided(memory, at_once=self._at_once, budget=budget, until=for_places)
        merit = memory.expected()
        starts = pick_separated(merit, memory.units, self._layouts)
        layouts = [self._layout(problem, merit, memory.places, first) for first in starts]
        if not problem.levels:
            yield Proposal(layouts)
            yield from guided(memory, at_once=self._at_once, budget=budget)
            return
        cells = [[_stripes(problem, mark, rng) for mark in marks] for marks in layouts]
        scored = yield Proposal([_dressed(m, c) for m, c in zip(layouts, cells, strict=True)])
        best = int(np.argmax(scored.values))
        spent = for_places + len(layouts)
        yield from self._squares(
            problem, layouts[best], cells[best], float(scored.values[best]), rng, left=budget - spent
        )

    def _layout(
        self, problem: Problem, merit: NDArray[np.float64], places: NDArray[np.int64], first: int
    ) -> Candidate:
        chosen = [first, *partners(problem, merit, places, first)]
        return tuple(problem.mark(int(places[i][0]), int(places[i][1])) for i in chosen)

    def _squares(
        self,
        problem: Problem,
        marks: Candidate,
        cells: Cells,
        value: float,
        rng: np.random.Generator,
        *,
        left: int,
    ) -> Steps:
        """Try squares until the budget ends."""
        rounds = max(left // self._at_once, 1)
        at = 0
        while True:
            side = _FIRST_SIDE + (_LAST_SIDE - _FIRST_SIDE) * min(at / rounds, 1)
            tries = [_with_square(cells, side, problem.levels, rng) for _ in range(self._at_once)]
            scored = yield Proposal([_dressed(marks, one) for one in tries])
            best = int(np.argmax(scored.values))
            if scored.values[best] > value:
                value, cells = float(scored.values[best]), tries[best]
            at += 1


def _stripes(problem: Problem, mark: Mark, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the learned texture, or upright stripes of extreme levels: networks are sensitive to them."""
    cells = blank_cells(problem, mark)
    if not mark.overlay:
        cells += problem.levels * rng.choice([-1.0, 1.0], size=(1, *cells.shape[1:]))
    return cells


def _with_square(cells: Cells, side: float, levels: int, rng: np.random.Generator) -> Cells:
    """Return a copy with one square, of a share ``side`` of a mark's side, at an extreme level per colour."""
    changed = list(cells)
    k = int(rng.integers(len(changed)))
    one = changed[k].copy()
    h, w = (max(round(side * count), 1) for count in one.shape[:2])
    y, x = int(rng.integers(one.shape[0] - h + 1)), int(rng.integers(one.shape[1] - w + 1))
    one[y : y + h, x : x + w] = levels * rng.choice([-1.0, 1.0], size=3)
    changed[k] = one
    return changed


def _dressed(marks: Candidate, cells: Sequence[NDArray[np.float64]]) -> Candidate:
    return tuple(
        replace(mark, overlay=pack_overlay(np.round(one).astype(np.int8)))
        for mark, one in zip(marks, cells, strict=True)
    )
