"""What a model's answers still tell about the truth, whatever they say; needs numpy alone.

A model that is always wrong tells as much as one that is always right: whoever has a few labelled images
learns what each answer means. So this learns it, from some of the images, and looks how often it is right on
the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medlocker.logistic import LogisticRegression

SPLITS = 5
"""How often the images are halved; both halves are learned from and judged on."""
FEWEST = 8
"""With fewer images there is nothing to learn from."""

_NORMAL_95 = 1.959964
_NORMAL_95_OF_TWO = 2.241403
"""The better of two learners is high by luck more often than one is: Bonferroni's quantile."""
_DIGITS = 9
"""Weights that are equal but for rounding tie."""


@dataclass(frozen=True)
class InformationGain:
    """What was learned from half of the images, judged on the other half.

    Args:
        control: Right without any look at an answer.
        table: Right by a table from each answer to the class that mostly has it; mean over the splits.
        regression: Right by a multinomial logistic regression on all outputs; mean over the splits.
        interval: Of the better one's gain over the control, 95 %.
    """

    control: float
    table: float
    regression: float
    interval: tuple[float, float]

    @property
    def learner(self) -> Literal["table", "regression"]:
        """The better one; the table if both are as good."""
        return "table" if self.table >= self.regression else "regression"

    @property
    def accuracy(self) -> float:
        """What the better one gets right."""
        return max(self.table, self.regression)

    @property
    def left(self) -> float:
        """What the answers add to the control: 0 is nothing; below 0 is what learning from chance costs."""
        return self.accuracy - self.control

    @property
    def is_shown(self) -> bool:
        """Whether more than chance is left, with 95 % confidence."""
        return self.interval[0] > 0

    def to_json(self) -> dict[str, Any]:
        """Return the numbers, the better learner by its name."""
        return {
            "left": self.left,
            "interval": list(self.interval),
            "accuracy": self.accuracy,
            "control": self.control,
            "learner": self.learner,
            "table": self.table,
            "regression": self.regression,
        }


@dataclass(frozen=True)
class Information:
    """What outputs tell about the truth.

    Args:
        plain: Shares of the images; the control says the most frequent class. **Where one class is far more
            frequent than the others this is near 0 even for good answers**: look at the balanced one.
        balanced: Means over the classes of their shares, learned with every class as heavy as each other; the
            control is one in as many as there are classes.
    """

    n: int
    plain: InformationGain
    balanced: InformationGain

    @property
    def is_shown(self) -> bool:
        """Whether more than chance is left by either count."""
        return self.plain.is_shown or self.balanced.is_shown


def measure_information(
    outputs: NDArray[np.float32], labels: NDArray[np.int64], *, seed: int = 0, splits: int = SPLITS
) -> Information | None:
    """Learn the truth from outputs on half of the images, and judge on the other half; both ways round.

    Args:
        outputs: (N, K) logits, finite.
        labels: (N,) the truth; numbers of classes, which need not be those of the outputs.
        seed: Of the halves, which hold as many images of each class; same seed, same halves.
        splits: How often the images are halved anew, at least 1.

    Returns:
        None with fewer than 8 images, or if all have the same label.
    """
    found, truth = np.unique(labels, return_inverse=True)
    if len(labels) < FEWEST or len(found) < 2:
        return None
    counts = np.bincount(truth)
    rng = np.random.default_rng(seed)
    halves = [_half(truth, rng) for _ in range(splits)]
    return Information(
        n=len(truth),
        plain=_plain_gain(_rights(outputs, truth, halves, balanced=False), truth, counts),
        balanced=_balanced_gain(_rights(outputs, truth, halves, balanced=True), truth, counts),
    )


def _half(truth: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Choose half of the images of each class; of odd classes in turn one more and one less."""
    order = np.lexsort((rng.random(len(truth)), truth))
    chosen = np.zeros(len(truth), np.bool_)
    chosen[order[::2]] = True
    return chosen


def _rights(
    outputs: NDArray[np.float32],
    truth: NDArray[np.int64],
    halves: list[NDArray[np.bool_]],
    *,
    balanced: bool,
) -> NDArray[np.float64]:
    """Return (2, N): in which share of the splits the table, and the regression, is right on each image."""
    answers = outputs.argmax(axis=1)
    right = np.zeros((2, len(truth)))
    count = int(truth.max()) + 1
    for half in halves:
        for known in (half, ~half):
            weights = np.ones(len(truth))[known]
            if balanced:  # within this half, in which a rare class may have more than its half of the images
                weights /= np.bincount(truth[known], minlength=count)[truth[known]]
            table = _Table(answers[known], truth[known], count, weights)
            regression = LogisticRegression(outputs[known], truth[known], count, weights)
            right[0, ~known] += table.predict(answers[~known]) == truth[~known]
            right[1, ~known] += regression.predict(outputs[~known]) == truth[~known]
    return right / len(halves)


def _plain_gain(
    right: NDArray[np.float64], truth: NDArray[np.int64], counts: NDArray[np.int64]
) -> InformationGain:
    """Count images; the interval is that of paired shares (Bonett and Price 2012)."""
    common = truth == counts.argmax()
    shares, n = right.mean(axis=1), len(truth)
    best = right[int(shares[1] > shares[0])]
    plus = (float(best[~common].sum()) + 1) / (n + 2)
    minus = (float((1 - best[common]).sum()) + 1) / (n + 2)
    half = _NORMAL_95 * math.sqrt((plus + minus - (plus - minus) ** 2) / (n + 2))
    return InformationGain(
        float(common.mean()), float(shares[0]), float(shares[1]), _around(plus - minus, half)
    )


def _balanced_gain(
    right: NDArray[np.float64], truth: NDArray[np.int64], counts: NDArray[np.int64]
) -> InformationGain:
    """Count classes; in the interval each class's share has one more right and one more wrong image.

    Without weights for the rare ones, luck hardly lifts the better learner over the most frequent class; with
    them it does, so this interval is wider.
    """
    classes = len(counts)
    by_class = np.array([np.bincount(truth, weights=one) / counts for one in right])
    shares, control = by_class.mean(axis=1), 1 / classes
    best = by_class[int(shares[1] > shares[0])]
    careful = (best * counts + 1) / (counts + 2)
    spread = math.sqrt(float((careful * (1 - careful) / (counts + 2)).sum())) / classes
    gain = float(best.mean()) - control
    return InformationGain(
        control, float(shares[0]), float(shares[1]), _around(gain, _NORMAL_95_OF_TWO * spread)
    )


def _around(centre: float, half: float) -> tuple[float, float]:
    return max(centre - half, -1.0), min(centre + half, 1.0)


class _Table:
    """From an answer to the class that mostly has it; of equally frequent ones, to the commoner class."""

    def __init__(
        self,
        answers: NDArray[np.int64],
        truth: NDArray[np.int64],
        count: int,
        weights: NDArray[np.float64],
    ) -> None:
        totals = np.bincount(truth, weights, minlength=count).round(_DIGITS)
        commonest_first = np.argsort(-totals, kind="stable")
        self._common = int(commonest_first[0])
        self._meant: dict[int, int] = {}
        for answer in np.unique(answers):
            its = answers == answer
            having = np.bincount(truth[its], weights[its], minlength=count).round(_DIGITS)
            self._meant[int(answer)] = int(commonest_first[having[commonest_first].argmax()])

    def predict(self, answers: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.array([self._meant.get(int(answer), self._common) for answer in answers], np.int64)
