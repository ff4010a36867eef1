"""How good a classifier is on labelled images; needs numpy alone."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Criterion = Literal["qwk", "balanced_accuracy"]


@dataclass(frozen=True, eq=False)
class Metrics:
    """Answers compared with labels.

    Args:
        n: Images.
        accuracy: Share answered rightly.
        balanced_accuracy: Mean over the classes present of the share answered rightly.
        qwk: Cohen's kappa with quadratic weights; for ordered classes; 0 is chance.
        auc: Area under the ROC curve for two classes, else None.
        loss: Mean cross-entropy.
        confusion: (K, K) images, row: label, column: answer.
    """

    n: int
    accuracy: float
    balanced_accuracy: float
    qwk: float
    auc: float | None
    loss: float
    confusion: NDArray[np.int64]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers without the confusion matrix."""
        return {
            "n": self.n,
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "qwk": self.qwk,
            "auc": self.auc,
            "loss": self.loss,
        }

    def value(self, criterion: Criterion) -> float:
        """Return the number that decides which weights are kept."""
        return self.qwk if criterion == "qwk" else self.balanced_accuracy


def choose_criterion(classes: tuple[str, ...]) -> Criterion:
    """Return kappa for three or more grades (numbers), else balanced accuracy.

    Not AUC for two classes: a surrogate is used by its answer, at no other threshold.
    """
    return "qwk" if are_grades(classes) else "balanced_accuracy"


def are_grades(classes: Collection[str]) -> bool:
    """Tell whether classes are three or more numbers, so that a greater distance is a greater error."""
    return len(classes) > 2 and all(name.isascii() and name.isdigit() for name in classes)


def wilson_interval(count: int, n: int, *, z: float = 1.959964) -> tuple[float, float]:
    """Return the score interval of a share (Wilson 1927), by default of 95 %; never outside 0..1.

    Args:
        count: How often it was so, 0 to ``n``.
        n: Of how many, at least 1.
        z: Quantile of the normal distribution.

    >>> [round(x, 3) for x in wilson_interval(0, 10)]
    [0.0, 0.278]
    """
    share, square = count / n, z * z / n
    centre = (share + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(share * (1 - share) / n + square / (4 * n))
    # at the ends the formula is exact but for rounding
    low = 0.0 if count == 0 else centre - half
    high = 1.0 if count == n else centre + half
    return max(low, 0.0), min(high, 1.0)


def measure(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Metrics:
    """Compare logits (N, K) with labels (N,), N at least 1."""
    count = logits.shape[1]
    answers = logits.argmax(axis=1)
    confusion = np.zeros((count, count), np.int64)
    np.add.at(confusion, (labels, answers), 1)
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_likelihood = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    totals = confusion.sum(axis=1)
    present = totals > 0
    recall = confusion.diagonal()[present] / totals[present]
    return Metrics(
        n=len(labels),
        accuracy=float((answers == labels).mean()),
        balanced_accuracy=float(recall.mean()),
        qwk=_kappa(confusion),
        auc=_auc(logits[:, 1] - logits[:, 0], labels) if count == 2 else None,
        loss=float(-log_likelihood[np.arange(len(labels)), labels].mean()),
        confusion=confusion,
    )


def _kappa(confusion: NDArray[np.int64]) -> float:
    """Return Cohen's weighted kappa (Cohen 1968), weights (i - j) squared."""
    steps = np.arange(len(confusion))
    weights = (steps[:, None] - steps[None]) ** 2
    expected = np.outer(confusion.sum(axis=1), confusion.sum(axis=0)) / confusion.sum()
    worst = float((weights * expected).sum())
    return 1 - float((weights * confusion).sum()) / worst if worst else 0.0


def _auc(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> float | None:
    """Return the share of pairs in which the ill one scores higher, ties half (Mann-Whitney)."""
    ill, well = scores[labels == 1], np.sort(scores[labels == 0])
    if len(ill) == 0 or len(well) == 0:
        return None
    below = np.searchsorted(well, ill, side="left") + np.searchsorted(well, ill, side="right")
    return float(below.mean() / 2 / len(well))
