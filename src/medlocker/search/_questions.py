"""What a search asks of the models, and what it gets back.

A search is a generator: it yields an :class:`Ask` and receives an :class:`ModelAnswers`. So it never calls a
model
itself, and the driver can put the questions of many images into one batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Fill: TypeAlias = Callable[[int, int, NDArray[np.float32]], None]
"""``fill(model, i, out)`` writes picture ``i`` as model ``model`` sees it into ``out`` (h, w, c), 0..255."""


@dataclass(frozen=True)
class Ask:
    """Classify some pictures with every model of the run.

    Args:
        fill: Makes them, one at a time, when there is a place in a batch.
        labels: Per model, the class that must not be answered.
        gradients: Also differentiate each model's margin with respect to its canvas.
    """

    count: int
    fill: Fill
    labels: tuple[int, ...]
    gradients: bool = False

    @property
    def cost(self) -> int:
        """Evaluations: one per picture and model, two with a backward pass."""
        return self.count * len(self.labels) * (2 if self.gradients else 1)


@dataclass(frozen=True)
class ModelAnswers:
    """What the models said.

    Args:
        margins: (count, models) float32: largest logit of another class minus that of the label;
            above 0 the model is fooled.
        top: (count, models) int64, the classes answered.
        gradients: Per model (count, h, w, c) float32, d(margin)/d(grey level), or empty.
        logits: Per model (count, classes) float32.
    """

    margins: NDArray[np.float32]
    top: NDArray[np.int64]
    gradients: tuple[NDArray[np.float32], ...] = ()
    logits: tuple[NDArray[np.float32], ...] = ()


def margins_of(logits: NDArray[np.float32], label: int) -> NDArray[np.float32]:
    """Return (N,) float32 margins of (N, K) logits: best other class minus the label's."""
    others = np.delete(logits, label, axis=1)
    return np.asarray(others.max(axis=1) - logits[:, label])
