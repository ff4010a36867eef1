"""A Gaussian process over placements: guesses the margin between tried marks, and how sure it is.

The margin changes smoothly as a logo moves by a fraction of its size, so a few tried placements tell much
about all others. Ordinary kriging with a Matern 5/2 kernel (Rasmussen and Williams 2006, chapters 2 and 4);
the mean is a linear combination of basis functions with a ridge prior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

_LENGTHS = (0.25, 0.4, 0.65, 1.0)
_NOISE = 1e-3


@dataclass(frozen=True, eq=False)
class Surface:
    """A fitted Gaussian process.

    Args:
        points: (n, d) tried, in units of the kernel's length.
        basis: (n, b) basis functions there.
        values: (n,) standardised margins.
        length: The kernel's length, in the caller's units.
        factor: (n, n) lower Cholesky factor of the covariance.
        solved: (n,) covariance^-1 (values - basis @ weights).
        weights: (b,) of the basis.
        scale: Standard deviation of the process, in the values' units.
        centre: Mean that was subtracted from the values.
    """

    points: F64
    basis: F64
    length: float
    factor: F64
    solved: F64
    weights: F64
    scale: float
    centre: float

    def predict(self, points: F64, basis: F64) -> tuple[F64, F64]:
        """Return mean and standard deviation at (m, d) points with (m, b) basis functions."""
        cross = _matern(points, self.points, self.length)
        mean = basis @ self.weights + cross @ self.solved
        half = np.linalg.solve(self.factor, cross.T)
        variance = np.clip(1 + _NOISE - (half * half).sum(axis=0), 1e-9, None)
        return mean * self.scale + self.centre, np.sqrt(variance) * self.scale


def fit_surface(points: F64, basis: F64, values: F64, *, ridge: float = 1.0) -> Surface:
    """Fit by the likelihood over a few kernel lengths.

    Args:
        points: (n, d) in units of the logo's size.
        basis: (n, b) basis functions of the mean, about unit scale.
        values: (n,) margins.
        ridge: Prior precision of the basis weights.
    """
    centre, scale = float(values.mean()), max(float(values.std()), 1e-6)
    standard = (values - centre) / scale
    best: tuple[float, Surface] | None = None
    for length in _LENGTHS:
        covariance = _matern(points, points, length)
        covariance[np.diag_indices_from(covariance)] += _NOISE
        # with the weights integrated out, their prior adds basis @ basis.T / ridge
        full = covariance + basis @ basis.T / ridge
        lower = np.linalg.cholesky(full)
        white = np.linalg.solve(lower, standard)
        likelihood = -0.5 * float(white @ white) - float(np.log(np.diag(lower)).sum())
        if best is None or likelihood > best[0]:
            weights = basis.T @ np.linalg.solve(full, standard) / ridge
            factor: F64 = np.linalg.cholesky(covariance).astype(np.float64)
            rest = np.linalg.solve(factor.T, np.linalg.solve(factor, standard - basis @ weights))
            best = likelihood, Surface(points, basis, length, factor, rest, weights, scale, centre)
    if best is None:
        raise ValueError("no kernel length could be fitted")
    return best[1]


def _matern(a: F64, b: F64, length: float) -> F64:
    squared = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :] - 2 * (a @ b.T)
    distance = np.sqrt(np.clip(squared, 0, None)) * (np.sqrt(5.0) / length)
    return np.asarray((1 + distance + distance * distance / 3) * np.exp(-distance))
