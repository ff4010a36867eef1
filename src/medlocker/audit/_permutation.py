"""Is the own mark's score larger than the others'? An exact test that swaps own and others at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 99_999
_AT_ONCE = 2_000
_RESAMPLED = 2_000
_ALMOST = 1e-9


@dataclass(frozen=True)
class Comparison:
    """How the own marks compare with others of the same kind.

    Args:
        p_value: How often chance alone does as much, above 0, at most 1.
        surer: Share of comparisons with another mark in which the own one has the higher score, ties half;
            chance gives 0.5.
        interval: 95 % interval of that share.
        gain: Mean score with the own mark minus that with others.
        gain_interval: 95 % interval of that.
    """

    p_value: float
    surer: float
    interval: tuple[float, float]
    gain: float
    gain_interval: tuple[float, float]


def compare_with_others(scores: NDArray[np.float64], *, seed: int = 0, draws: int = DRAWS) -> Comparison:
    """Compare the first column with the others.

    If own and others were drawn alike and the scores come from something that knows neither, each column is
    the own one with the same chance, row by row. The p-value is how often a column drawn so for every row
    reaches the own sum; it holds whatever the scores' distribution is (Phipson and Smyth, 2010).

    Args:
        scores: (N, K + 1), one row for each image, at least one row and two columns; finite.
        seed: Of the draws.
        draws: How often columns are drawn; the smallest p-value is 1 / (draws + 1).
    """
    rows, columns = scores.shape
    rng = np.random.default_rng(seed)
    worth = _standardised(scores)
    least = worth[:, 0].sum() - _ALMOST * rows
    reached, everywhere = 0, np.arange(rows)
    for start in range(0, draws, _AT_ONCE):
        drawn = rng.integers(0, columns, (min(_AT_ONCE, draws - start), rows))
        reached += int((worth[everywhere, drawn].sum(axis=1) >= least).sum())
    own, others = scores[:, :1], scores[:, 1:]
    wins = ((own > others).mean(axis=1) + (own >= others).mean(axis=1)) / 2
    gains = own[:, 0] - others.mean(axis=1)
    again = rng.integers(0, rows, (_RESAMPLED, rows))
    return Comparison(
        p_value=(1 + reached) / (1 + draws),
        surer=float(wins.mean()),
        interval=_middle(wins[again].mean(axis=1)),
        gain=float(gains.mean()),
        gain_interval=_middle(gains[again].mean(axis=1)),
    )


def _standardised(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bring every row to mean 0 and deviation 1: no single image outweighs the rest; rows alike become 0."""
    centred = scores - scores.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1, keepdims=True)
    return np.where(spread > _ALMOST, centred / np.maximum(spread, _ALMOST), 0.0)


def _middle(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)
