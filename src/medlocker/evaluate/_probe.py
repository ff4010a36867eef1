"""What some numbers of each image tell of its label: learned and judged on different images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.logistic import LogisticRegression
from medlocker.metrics import are_grades, cohen_kappa, kappa_interval, kappa_weighting, mean_auc

FEWEST = 20
"""With fewer images nothing is learned."""
FEWEST_OF_A_SIDE = 5
FOLDS, _REPEATS, _INNER = 5, 3, 3
_PENALTIES = (3.0, 30.0, 300.0)
_DRAWS = 500
_NORMAL_95 = 1.959964
_WIDER = (1 + FOLDS / (FOLDS - 1)) ** 0.5
"""Folds learn from the same images, so their predictions err alike, and an interval that takes them for
independent is too narrow: by this factor (Nadeau and Bengio 2003), which numbers by chance confirm."""


@dataclass(frozen=True)
class ProbeResult:
    """How well a label is predicted on images that were not learned from.

    Args:
        question: What the AUC is of: ``melanoma against naevus``, ``grade 2, 3, 4 against 0, 1``.
        auc: Area under the ROC curve: 0.5 is chance.
        interval: Its interval of 95 % (DeLong, DeLong and Clarke-Pearson 1988), made wider for what folds
        share;
            so are the others.
        mean_auc: Of more than two classes, the mean area of each class against the others.
        mean_interval: Its interval of 95 % (bootstrap over images).
        kappa: Cohen's, weighted for grades.
        kappa_interval: Its interval of 95 % (bootstrap).
    """

    n: int
    question: str
    auc: float
    interval: tuple[float, float]
    mean_auc: float
    mean_interval: tuple[float, float]
    kappa: float
    kappa_interval: tuple[float, float]

    @property
    def is_shown(self) -> bool:
        """Whether more than chance is told, with 95 % confidence."""
        return self.interval[0] > 0.5 or self.mean_interval[0] > 0.5

    def to_json(self) -> dict[str, Any]:
        """Return the numbers under the names of ``--json``."""
        return {
            "n": self.n,
            "auc_of": self.question,
            "auc": self.auc,
            "interval": list(self.interval),
            "mean_auc": self.mean_auc,
            "mean_auc_interval": list(self.mean_interval),
            "kappa": self.kappa,
            "kappa_interval": list(self.kappa_interval),
        }


def linear_probe(inputs: NDArray[np.float64], labels: Sequence[str], *, seed: int = 0) -> ProbeResult | None:
    """Learn labels by a penalised logistic regression, in folds of which each is predicted by the others.

    Classes weigh alike whatever their number of images. The penalty is chosen within the images learned from.
    Three times over with other folds; the mean of the three predictions counts.

    Args:
        inputs: (N, D) finite numbers of each image.
        labels: (N,) the truth.
        seed: Of the folds; same seed, same folds.

    Returns:
        None with fewer than 20 images, or fewer than 5 on one side of the question: of two classes each side
        is one; of grades the upper half of those present stands against the lower; of other classes the most
        frequent one against all others.
    """
    names, truth = _classes(labels)
    upper, question = _question(names, truth)
    if len(truth) < FEWEST or min(upper.sum(), (~upper).sum()) < FEWEST_OF_A_SIDE:
        return None
    two_sides = _predict(inputs, upper.astype(np.int64), seed=seed)
    scores = two_sides[:, 1] - two_sides[:, 0]
    auc, interval = delong(scores[upper], scores[~upper])
    every = two_sides if len(names) == 2 else _predict(inputs, truth, seed=seed)
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (truth, every.argmax(axis=1)), 1)
    weighting = kappa_weighting(names)
    mean, mean_interval = auc, interval
    if len(names) > 2:
        mean, mean_interval = _mean_auc(every, truth, seed=seed)
    kappa = cohen_kappa(confusion, weighting=weighting)
    return ProbeResult(
        n=len(truth),
        question=question,
        auc=auc,
        interval=_wider(auc, interval, least=0.0),
        mean_auc=mean,
        mean_interval=_wider(mean, mean_interval, least=0.0),
        kappa=kappa,
        kappa_interval=_wider(kappa, kappa_interval(confusion, weighting=weighting, seed=seed), least=-1.0),
    )


def _wider(value: float, interval: tuple[float, float], *, least: float) -> tuple[float, float]:
    low, high = (value + _WIDER * (end - value) for end in interval)
    return max(low, least), min(high, 1.0)


def delong(upper: NDArray[np.float64], lower: NDArray[np.float64]) -> tuple[float, tuple[float, float]]:
    """Return the area under the ROC curve and its interval of 95 %.

    By the placements of DeLong, DeLong and Clarke-Pearson (Biometrics 1988).

    Args:
        upper: Scores of one side, at least two.
        lower: Of the other, which should be lower; at least two.
    """

    def below(ones: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
        ordered = np.sort(others)
        both = np.searchsorted(ordered, ones, side="left") + np.searchsorted(ordered, ones, side="right")
        return np.asarray(both / (2 * len(others)))

    of_upper, of_lower = below(upper, lower), 1 - below(lower, upper)
    area = float(of_upper.mean())
    variance = of_upper.var(ddof=1) / len(upper) + of_lower.var(ddof=1) / len(lower)
    half = _NORMAL_95 * float(np.sqrt(variance))
    return area, (max(area - half, 0.0), min(area + half, 1.0))


def _classes(labels: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the classes present, grades in their order, and (N,) which of them each image has."""
    present = set(labels)
    grades = are_grades(present)
    names = tuple(sorted(present, key=lambda name: (int(name) if grades else 0, name)))
    place = {name: k for k, name in enumerate(names)}
    return names, np.array([place[label] for label in labels], np.int64)


def _question(names: Sequence[str], truth: NDArray[np.int64]) -> tuple[NDArray[np.bool_], str]:
    """Return (N,) which images are on the upper side, and the question in words."""
    if len(names) == 2 or are_grades(names):
        least = len(names) // 2
        above, beneath = ", ".join(names[least:]), ", ".join(names[:least])
        return truth >= least, f"{above} against {beneath}"
    common = int(np.bincount(truth, minlength=1).argmax()) if len(truth) else 0
    return truth == common, f"{names[common] if names else ''} against all others"


def _predict(inputs: NDArray[np.float64], truth: NDArray[np.int64], *, seed: int) -> NDArray[np.float64]:
    """Return (N, K) mean logarithms of the probabilities, each image's learned from others."""
    count = int(truth.max()) + 1
    rng = np.random.default_rng(seed)
    found = np.zeros((len(truth), count))
    for _ in range(_REPEATS):
        folds = _folds(truth, FOLDS, rng)
        for fold in range(FOLDS):
            known = folds != fold
            inner = _folds(truth[known], _INNER, rng)
            penalty = _best_penalty(inputs[known], truth[known], count, inner)
            found[~known] += _fit(inputs[known], truth[known], count, penalty).scores(inputs[~known])
    return found / _REPEATS


def _folds(truth: NDArray[np.int64], folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Deal images to folds, of each class about as many to each."""
    order = np.lexsort((rng.random(len(truth)), truth))
    dealt = np.empty(len(truth), np.int64)
    dealt[order] = np.arange(len(truth)) % folds
    return dealt


def _best_penalty(
    inputs: NDArray[np.float64], truth: NDArray[np.int64], count: int, folds: NDArray[np.int64]
) -> float:
    weights = _even(truth, count)

    def loss(penalty: float) -> float:
        total = 0.0
        for fold in range(_INNER):
            known = folds != fold
            scores = _fit(inputs[known], truth[known], count, penalty).scores(inputs[~known])
            told = scores[np.arange(len(scores)), truth[~known]]
            total -= float((weights[~known] * told).sum())
        return total

    return min(_PENALTIES, key=loss)


def _fit(
    inputs: NDArray[np.float64], truth: NDArray[np.int64], count: int, penalty: float
) -> LogisticRegression:
    return LogisticRegression(inputs, truth, count, _even(truth, count), penalty=penalty)


def _even(truth: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Return (N,) weights under which all classes are as heavy as each other."""
    return np.asarray(1 / np.maximum(np.bincount(truth, minlength=count), 1)[truth])


def _mean_auc(
    scores: NDArray[np.float64], truth: NDArray[np.int64], *, seed: int
) -> tuple[float, tuple[float, float]]:
    """Return the mean area of each class against the others and its interval (percentile bootstrap)."""
    single = scores.astype(np.float32)
    rng = np.random.default_rng(seed)
    by_class = [np.flatnonzero(truth == k) for k in range(int(truth.max()) + 1)]
    drawn = []
    for _ in range(_DRAWS):
        chosen = np.concatenate([rng.choice(members, len(members)) for members in by_class])
        drawn.append(mean_auc(single[chosen], truth[chosen]) or 0.5)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return mean_auc(single, truth) or 0.5, (float(low), float(high))
