"""Multinomial logistic regression on standardised numbers; needs numpy alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 300
_STILL = 1e-4
_CONSTANT = 1e-6


class LogisticRegression:
    """Multinomial logistic regression, weights penalised by half their square, the constant free.

    Minimised by steps under a fixed bound of the curvature (Boehning 1992), with Nesterov's momentum that
    begins anew whenever the loss grows: no step size to choose, and no library needed.

    Args:
        inputs: (N, D) finite numbers; standardised here.
        truth: (N,) classes, 0 to ``count`` - 1.
        count: How many classes there are.
        weights: (N,) of the images, above 0; only their ratios count.
        penalty: Of the squared weights; greater keeps them smaller.
    """

    def __init__(
        self,
        inputs: NDArray[np.floating],
        truth: NDArray[np.int64],
        count: int,
        weights: NDArray[np.float64],
        *,
        penalty: float = 1.0,
    ) -> None:
        values = inputs.astype(np.float64)
        self._mean = values.mean(axis=0)
        spread = values.std(axis=0)
        # what differs by the rounding of 32-bit floats alone is constant
        varies = spread > _CONSTANT * np.maximum(np.abs(self._mean), 1)
        self._scale = np.where(varies, 1 / np.where(varies, spread, 1), 0)
        scaled = (values - self._mean) * self._scale
        # of more numbers than images, the images' own span holds all that is learned: the same minimum
        self._basis = (
            np.linalg.svd(scaled, full_matrices=False)[2].T if len(scaled) < scaled.shape[1] else None
        )
        self._coefficients = _minimise(
            self._design(values), np.eye(count)[truth], weights / weights.mean(), penalty
        )

    def scores(self, inputs: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return (M, count) logarithms of the probabilities of each class for (M, D) inputs."""
        found = self._design(inputs.astype(np.float64)) @ self._coefficients
        found -= found.max(axis=1, keepdims=True)
        return np.asarray(found - np.log(np.exp(found).sum(axis=1, keepdims=True)))

    def predict(self, inputs: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return (M,) the most probable class for (M, D) inputs."""
        return np.asarray((self._design(inputs.astype(np.float64)) @ self._coefficients).argmax(axis=1))

    def _design(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        scaled = (values - self._mean) * self._scale
        if self._basis is not None:
            scaled = scaled @ self._basis
        return np.hstack([scaled, np.ones((len(values), 1))])


def _minimise(
    design: NDArray[np.float64],
    wanted: NDArray[np.float64],
    weights: NDArray[np.float64],
    strength: float,
) -> NDArray[np.float64]:
    """Return the coefficients (D, C) of least loss.

    Args:
        design: (N, D), the last column constant.
        wanted: (N, C), 1 for the class of each image.
        weights: (N,) of the images.
    """
    penalty = np.full(design.shape[1], strength)
    penalty[-1] = 1e-6  # the constant is free, only kept from running away
    curvature = np.linalg.inv(design.T @ (weights[:, None] * design) / 2 + np.diag(penalty))
    weigh, cost = weights[:, None], penalty[:, None]
    now: NDArray[np.float64] = np.zeros((design.shape[1], wanted.shape[1]))
    ahead, momentum, least = now, 1.0, math.inf
    for _ in range(_ROUNDS):
        scores = design @ ahead
        scores -= scores.max(axis=1, keepdims=True)
        odds = np.exp(scores)
        totals = odds.sum(axis=1, keepdims=True)
        misfit = weigh * (np.log(totals) - (scores * wanted).sum(axis=1, keepdims=True))
        loss = float(misfit.sum() + (cost * ahead**2).sum() / 2)
        if loss > least:  # beyond the valley: go on without momentum
            ahead, momentum, least = now, 1.0, math.inf
            continue
        step = curvature @ (design.T @ (weigh * (odds / totals - wanted)) + cost * ahead)
        following: NDArray[np.float64] = ahead - step
        if np.abs(step).max() < _STILL:
            return following
        longer = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = following + (momentum - 1) / longer * (following - now)
        now, momentum, least = following, longer, loss
    return now
