"""The second control: an even grey panel over exactly the marked pixels, that changes as much as the mark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.logo import blend

_ONE = 65535


@dataclass(frozen=True, eq=False)
class Panel:
    """A picture under a panel.

    Args:
        colors: (H, W, 3), type of the original.
        opacity: Of the panel, 0 to 1; 1 also where even that changes less than the mark does.
    """

    colors: NDArray[Any]
    opacity: float


def lay_panel(clean: NDArray[Any], marked: NDArray[Any], mask: NDArray[np.bool_]) -> Panel:
    """Lay a panel of middle grey over the marked pixels of an original.

    What it lacks against the mark is all structure, and any search: what a model still knows under the panel,
    and not under the mark, the mark's form has taken.

    Args:
        clean: (H, W, 3) uint8 or uint16.
        marked: Same shape and type; the panel gets the mean absolute change of its marked pixels.
        mask: (H, W) bool, the marked pixels.
    """
    chosen = mask.view(np.uint8)
    count = cv2.countNonZero(chosen)
    if count == 0:
        return Panel(clean, 0.0)
    wanted = count * sum(cv2.mean(cv2.absdiff(clean, marked), mask=chosen)[:3])
    weight = _weight_of(_histogram(clean, chosen), clean.dtype, wanted)
    laid = _under(clean.dtype, weight)[clean]
    return Panel(cv2.copyTo(laid, chosen, clean.copy()), weight / _ONE)


def _histogram(clean: NDArray[Any], chosen: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how often each value occurs in the chosen pixels, all three colours together."""
    levels = int(np.iinfo(clean.dtype).max) + 1
    counts = [cv2.calcHist([clean], [channel], chosen, [levels], [0, levels]) for channel in range(3)]
    return np.asarray(np.sum(counts, axis=0, dtype=np.float64).ravel())


def _weight_of(counts: NDArray[np.float64], dtype: np.dtype[Any], wanted: float) -> int:
    """Return the blend weight whose summed absolute change is nearest to what is wanted.

    Args:
        counts: How often each value occurs.
        wanted: Sum of the absolute changes.
    """
    levels = np.arange(len(counts), dtype=np.int64)

    def change(weight: int) -> float:
        return float((np.abs(_under(dtype, weight).astype(np.int64) - levels) * counts).sum())

    low, high = 0, _ONE  # a greater weight never changes less
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if change(middle) < wanted else (low, middle)
    return min((low, high), key=lambda weight: abs(change(weight) - wanted))


def _under(dtype: np.dtype[Any], weight: int) -> NDArray[Any]:
    """Return what each value becomes under a panel, by the one blend of all marks."""
    levels = np.arange(int(np.iinfo(dtype).max) + 1, dtype=dtype).reshape(1, -1, 1)
    grey = np.full_like(levels, levels.size // 2)
    return blend(levels, grey, np.full(levels.shape[:2], weight, np.uint16)).reshape(-1)
