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
class GaussianProcess:
    """A fitted Gaussian process.

    Args:
        points: (n, d) tried, in units of the kernel's length.
        length: The kernel's length, in the caller's units.
        whitener: (n, n), inverse of the lower Cholesky factor of the covariance.
        solved: (n,) covariance^-1 (values - basis @ weights).
        weights: (b,) of the basis.
        scale: Standard deviation of the process, in the values' units.
        centre: Mean that was subtracted from the values.
    """

    points: F64
    length: float
    whitener: F64
    solved: F64
    weights: F64
    scale: float
    centre: float

    def predict(self, points: F64, basis: F64) -> tuple[F64, F64]:
        """Return mean and standard deviation at (m, d) points with (m, b) basis functions."""
        cross = _matern(points, self.points, self.length)
        mean = basis @ self.weights + cross @ self.solved
        half = cross @ self.whitener.T
        variance = np.clip(1 + _NOISE - (half * half).sum(axis=1), 1e-9, None)
        return mean * self.scale + self.centre, np.sqrt(variance) * self.scale


def fit_gaussian_process(points: F64, basis: F64, values: F64, *, ridge: float = 1.0) -> GaussianProcess:
    """Fit by the likelihood over a few kernel lengths.

    Args:
        points: (n, d) in units of the logo's size.
        basis: (n, b) basis functions of the mean, about unit scale.
        values: (n,) margins.
        ridge: Prior precision of the basis weights.
    """
    centre, scale = float(values.mean()), max(float(values.std()), 1e-6)
    standard = (values - centre) / scale
    prior = basis @ basis.T / ridge
    noise = _NOISE * np.eye(len(points))
    # with the weights integrated out, their prior adds to the covariance
    length = max(
        _LENGTHS, key=lambda trial: _likelihood(_matern(points, points, trial) + noise + prior, standard)
    )
    covariance = _matern(points, points, length) + noise
    weights = basis.T @ np.linalg.solve(covariance + prior, standard) / ridge
    whitener = np.linalg.inv(np.linalg.cholesky(covariance))
    solved = whitener.T @ (whitener @ (standard - basis @ weights))
    return GaussianProcess(points, length, whitener, solved, weights, scale, centre)


def _likelihood(covariance: F64, values: F64) -> float:
    lower = np.linalg.cholesky(covariance)
    white = np.linalg.solve(lower, values)
    return float(-0.5 * (white @ white) - np.log(np.diag(lower)).sum())


def _matern(a: F64, b: F64, length: float) -> F64:
    squared = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :] - 2 * (a @ b.T)
    distance = np.sqrt(np.clip(squared, 0, None)) * (np.sqrt(5.0) / length)
    return np.asarray((1 + distance + distance * distance / 3) * np.exp(-distance))
