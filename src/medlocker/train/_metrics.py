"""How good a classifier is on labelled images."""

from __future__ import annotations

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
    grades = len(classes) > 2 and all(name.isascii() and name.isdigit() for name in classes)
    return "qwk" if grades else "balanced_accuracy"


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
