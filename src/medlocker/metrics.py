"""How good a classifier is on labelled images; needs numpy alone."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Criterion = Literal["qwk", "balanced_accuracy"]
Weighting = Literal["plain", "quadratic"]

_MOST_DEALT = 20_000_000
_DEALT_AT_ONCE = 1_000_000


@dataclass(frozen=True, eq=False)
class Metrics:
    """Answers compared with labels.

    Args:
        accuracy: Share answered rightly.
        balanced_accuracy: Mean over the classes present of the share answered rightly.
        qwk: Cohen's kappa with quadratic weights; for ordered classes; 0 is chance.
        auc: Area under the ROC curve for two classes, else None.
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


def kappa_weighting(classes: Sequence[str]) -> Weighting:
    """Return quadratic weights for three or more classes whose names are numbers that follow each other.

    >>> kappa_weighting(("0", "1", "2")), kappa_weighting(("naevus", "melanoma"))
    ('quadratic', 'plain')
    """
    follow = are_grades(classes) and all(
        int(name) == int(classes[0]) + step for step, name in enumerate(classes)
    )
    return "quadratic" if follow else "plain"


def wilson_interval(count: int, n: int, *, z: float = 1.959964) -> tuple[float, float]:
    """Return the score interval of a share (Wilson 1927), by default of 95 %; never outside 0..1.

    Args:
        count: How often it was so, 0 to ``n``.
        n: Of how many, at least 1.
        z: Quantile of the normal distribution.

    Examples:
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
        qwk=cohen_kappa(confusion, weighting="quadratic"),
        auc=_auc(logits[:, 1] - logits[:, 0], labels) if count == 2 else None,
        loss=float(-log_likelihood[np.arange(len(labels)), labels].mean()),
        confusion=confusion,
    )


def cohen_kappa(confusion: NDArray[np.int64], *, weighting: Weighting) -> float:
    """Return Cohen's kappa: 1 always right, 0 no better than answers drawn by chance, below 0 worse.

    Args:
        confusion: (K, K) images, row: label, column: answer.
        weighting: Of an error from class i to class j: 1, or (i - j) squared (Cohen 1968).

    Returns:
        0 also where chance errs never: all labels and all answers are one class.
    """
    cells = confusion.nonzero()
    return float(_kappas(confusion[cells][None], cells, weighting)[0])


def kappa_interval(
    confusion: NDArray[np.int64], *, weighting: Weighting, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return the interval of 95 % of Cohen's kappa, by drawing the images anew (percentile bootstrap).

    Args:
        confusion: (K, K) images, at least one; row: label, column: answer.
        weighting: See :func:`cohen_kappa`.
        seed: Same seed, same interval.
    """
    cells = confusion.nonzero()
    counts = confusion[cells]
    n = int(counts.sum())
    drawn = np.random.default_rng(seed).multinomial(n, counts / n, size=draws)
    low, high = np.quantile(_kappas(drawn, cells, weighting), [0.025, 0.975])
    return float(low), float(high)


def _kappas(
    counts: NDArray[np.int64], cells: tuple[NDArray[np.int64], ...], weighting: Weighting
) -> NDArray[np.float64]:
    """Return the kappa of each of B confusion matrices, of which only some cells are not empty.

    Args:
        counts: (B, M) images.
        cells: Label and answer of each of the M cells.
        weighting: See :func:`cohen_kappa`.
    """

    def weights(labels: NDArray[np.int64], answers: NDArray[np.int64]) -> NDArray[np.int64]:
        apart = np.abs(labels - answers)
        return np.asarray(apart**2 if weighting == "quadratic" else np.minimum(apart, 1))

    (labels, row), (answers, column) = (np.unique(one, return_inverse=True) for one in cells)
    of_label, of_answer = counts @ np.eye(len(labels))[row], counts @ np.eye(len(answers))[column]
    by_chance = ((of_label @ weights(labels[:, None], answers[None])) * of_answer).sum(axis=1)
    by_chance /= of_label.sum(axis=1)
    observed = counts @ weights(*cells)
    with_errors = by_chance > 0
    return np.where(with_errors, 1 - observed / np.where(with_errors, by_chance, 1), 0.0)


def mean_auc(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float | None:
    """Return the area under the ROC curve: of two classes, of more the mean of each class against the others.

    Args:
        logits: (N, K), N at least 1.
        labels: (N,).

    Returns:
        None if all labels are the same.
    """
    order = np.argsort(labels, kind="stable")
    found = _mean_areas(_ranks(logits), labels[order], order[None])
    return None if found is None else float(found[0])


def auc_permutation_interval(
    logits: NDArray[np.float32], labels: NDArray[np.int64], *, draws: int = 1000, seed: int = 0
) -> tuple[float, float] | None:
    """Return between which areas 95 % lie when the labels are dealt out anew (permutation test).

    Args:
        logits: (N, K), N at least 1.
        labels: (N,).
        draws: How often; for many images fewer, at least 200.
        seed: Same seed, same numbers.

    Returns:
        About 0.5 either way; None if all labels are the same.
    """
    n, rng = len(labels), np.random.default_rng(seed)
    ranks, dealt = _ranks(logits), np.sort(labels)
    left = max(min(draws, _MOST_DEALT // n), 200)
    found: list[NDArray[np.float64]] = []
    while left > 0:
        count = max(min(left, _DEALT_AT_ONCE // n), 1)
        hands = rng.permuted(np.tile(np.arange(n), (count, 1)), axis=1)
        areas = _mean_areas(ranks, dealt, hands)
        if areas is None:
            return None
        found.append(areas)
        left -= count
    low, high = np.quantile(np.concatenate(found), [0.025, 0.975])
    return float(low), float(high)


def _ranks(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return (N, K) how far down each image stands by its score of each class, from 1; equal ones share.

    The score is the margin of two classes, and of more the logarithm of the probability.
    """
    values = logits.astype(np.float64)
    if values.shape[1] == 2:
        scores = np.stack([values[:, 0] - values[:, 1], values[:, 1] - values[:, 0]], axis=1)
    else:
        shifted = values - values.max(axis=1, keepdims=True)
        scores = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    ranks = np.empty_like(scores)
    for column, one in zip(ranks.T, scores.T, strict=True):
        _, place, counts = np.unique(one, return_inverse=True, return_counts=True)
        column[:] = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks


def _mean_areas(
    ranks: NDArray[np.float64], labels: NDArray[np.int64], hands: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """Return the mean area of each of several ways to deal labels to images (Mann-Whitney).

    Args:
        ranks: (N, K), from :func:`_ranks`.
        labels: (N,), sorted.
        hands: (B, N), which image has each of the labels.
    """
    n = len(labels)
    classes, starts, counts = np.unique(labels, return_index=True, return_counts=True)
    if len(classes) < 2:
        return None
    areas = []
    for k, start, count in zip(classes, starts, counts, strict=True):
        if ranks.shape[1] == 2 and k != 1:
            continue  # the other way round it is the same area
        total = ranks[hands[:, start : start + count], k].sum(axis=1)
        areas.append((total - count * (count + 1) / 2) / (count * (n - count)))
    return np.asarray(np.mean(areas, axis=0))


def _auc(scores: NDArray[Any], labels: NDArray[np.int64]) -> float | None:
    """Return the share of pairs in which the ill one scores higher, ties half (Mann-Whitney)."""
    ill, well = scores[labels == 1], np.sort(scores[labels == 0])
    if len(ill) == 0 or len(well) == 0:
        return None
    below = np.searchsorted(well, ill, side="left") + np.searchsorted(well, ill, side="right")
    return float(below.mean() / 2 / len(well))
