"""A classifier that is linear in the canvas: gradients are exact, answers can be worked out by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medlocker.classifiers import BaseClassifier, Card, Gradients, InputSpec


class LinearClassifier(BaseClassifier):
    """Logits are ``weights . (canvas / 255)`` with smooth random weights.

    Args:
        size: Side of the square input, pixels.
        channels: 1 or 3.
        gradients: Whether it offers gradients.
        sharpness: Scale of the logits.
    """

    def __init__(
        self,
        *,
        size: int = 32,
        classes: int = 3,
        seed: int = 0,
        channels: int = 3,
        gradients: bool = True,
        sharpness: float = 30.0,
    ) -> None:
        rng = np.random.default_rng(seed)
        coarse = rng.normal(size=(classes, 4, 4, channels))
        weights = coarse.repeat(-(-size // 4), axis=1).repeat(-(-size // 4), axis=2)[:, :size, :size]
        # without a common part, so that brightness alone decides nothing
        weights = weights - weights.mean(axis=(1, 2), keepdims=True)
        self._weights: NDArray[np.float32] = (weights * sharpness / (size * size)).astype(np.float32)
        self.has_gradients = gradients
        super().__init__(
            Card(InputSpec(height=size, width=size, layout="NHWC", channels=channels)),
            name=f"linear{seed}",
            fingerprint=hashlib.sha256(self._weights.tobytes()).hexdigest(),
            classes=tuple(f"class{k}" for k in range(classes)),
        )

    def answer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Multiply by the weights."""
        return np.asarray(np.einsum("nhwc,khwc->nk", batch, self._weights), dtype=np.float32)

    def gradients(self, canvases: NDArray[np.float32], labels: Sequence[int]) -> Gradients:
        """Differentiate the margin; exact."""
        logits = self.logits(canvases)
        slopes = np.empty_like(canvases)
        for i, label in enumerate(labels):
            others = logits[i].copy()
            others[label] = -np.inf
            slopes[i] = (self._weights[int(others.argmax())] - self._weights[label]) / 255
        return Gradients(logits, slopes)
