"""Several marks on one image: places that lie apart, and the cells of their textures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medlocker.logo import MAX_CELLS, unpack_overlay
from medlocker.mark import Mark
from medlocker.search._gaussianprocess import F64
from medlocker.search._problem import Problem

_GAP = 1.1
"""Marks lie at least this many of their own widths or heights apart: a gap shows that there are several."""


def pick_separated(merit: F64, units: NDArray[np.float64], count: int) -> list[int]:
    """Choose the best places, one after another, none within half a logo of another.

    Args:
        merit: (n,) of each place.
        units: (n, 2) places in logo sizes.
        count: How many at most.
    """
    left = merit.copy()
    chosen: list[int] = []
    while len(chosen) < count and left.max() > -np.inf:
        i = int(left.argmax())
        chosen.append(i)
        left[((units - units[i]) ** 2).sum(axis=1) < 0.5**2] = -np.inf
    return chosen


def partners(problem: Problem, merit: F64, places: NDArray[np.int64], first: int) -> list[int]:
    """Choose the places of further marks, the best ones that touch none of the others.

    Args:
        problem: How many marks, and their shape.
        merit: (n,) of each place.
        places: (n, 2) x and y, pixels.
        first: The first mark's place.
    """
    height, width = problem.placements.support_shape
    left = merit.copy()
    chosen: list[int] = []
    last = first
    for _ in range(problem.most_marks - 1):
        away = np.abs(places - places[last]) / np.array([width, height])
        left[away.max(axis=1) < _GAP] = -np.inf
        last = int(left.argmax())
        if left[last] == -np.inf:
            break
        chosen.append(last)
    return chosen


def blank_cells(problem: Problem, mark: Mark) -> NDArray[np.float64]:
    """Return the (rows, cols, 3) levels that a mark's texture starts with.

    A texture learned beforehand keeps its cells; a new one is zero, its cells about as large as the first
    model's pixels.
    """
    if mark.overlay:
        cells = unpack_overlay(mark.overlay).astype(np.float64)
        return np.clip(cells, -problem.levels, problem.levels)
    size = problem.preview.raster(mark).size
    pixel = problem.preview.pixels_per_cell
    rows, cols = (min(max(round(side / pixel[k]), 2), MAX_CELLS) for k, side in enumerate(size))
    return np.zeros((rows, cols, 3))
