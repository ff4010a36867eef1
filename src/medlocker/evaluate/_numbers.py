"""From answers to numbers: accuracy, what is left of it, kappa, information, and per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.evaluate._answers import Predictions
from medlocker.evaluate._pairs import CLEAN, PANEL, PROTECTED, RANDOM
from medlocker.evaluate._run import Result
from medlocker.evaluate._targets import Target
from medlocker.information import Information, measure_information
from medlocker.metrics import (
    Weighting,
    are_grades,
    auc_permutation_interval,
    cohen_kappa,
    kappa_interval,
    kappa_weighting,
    mean_auc,
    measure,
    wilson_interval,
)


@dataclass(frozen=True)
class RemainingAccuracy:
    """What is left of a model's right answers.

    Args:
        count: Images still answered rightly.
        n: Images answered rightly when clean.
    """

    count: int
    n: int

    @property
    def share(self) -> float | None:
        """``count / n``; None where the model was right on no original."""
        return self.count / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's interval of 95 %."""
        return wilson_interval(self.count, self.n) if self.n else None


@dataclass(frozen=True)
class Condition:
    """One target under one condition.

    Args:
        n: Images judged; as many as were clean, except where a release lacks some.
        accuracy: Share answered rightly.
        balanced_accuracy: See :class:`medlocker.metrics.Metrics`.
        qwk: The same; None unless the classes are three or more numbers and two of them occur.
        auc: Area under the ROC curve; of more than two classes the mean of each against the others. None
            unless two classes occur.
        left: Among those that are answered rightly when clean.
        kappa: Cohen's, weighted as the target's ``weighting`` says; None unless two classes occur.
        kappa_interval: Its interval of 95 %.
        auc_chance: Between which areas 95 % lie by chance, see
            :func:`medlocker.metrics.auc_permutation_interval`.
        information: What the answers tell of the truth; None if that cannot be measured.
    """

    n: int
    accuracy: float | None
    balanced_accuracy: float | None
    qwk: float | None
    auc: float | None
    left: RemainingAccuracy
    kappa: float | None = None
    kappa_interval: tuple[float, float] | None = None
    auc_chance: tuple[float, float] | None = None
    information: Information | None = None

    @property
    def fooled(self) -> float | None:
        """Share of the clean-correct images that are now answered wrongly."""
        return None if self.left.share is None else 1 - self.left.share

    def to_json(self) -> dict[str, Any]:
        """Return the numbers under the names of ``--json``."""
        return {
            "n": self.n,
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "qwk": self.qwk,
            "auc": self.auc,
            "left": self.left.share,
            "fooled": self.fooled,
            "interval": None if self.left.interval is None else list(self.left.interval),
            "left_count": self.left.count,
            "clean_correct": self.left.n,
            "kappa": self.kappa,
            "kappa_interval": None if self.kappa_interval is None else list(self.kappa_interval),
            "auc_chance": None if self.auc_chance is None else list(self.auc_chance),
            **self._information_json(),
        }

    def _information_json(self) -> dict[str, Any]:
        found = self.information
        plain = None if found is None else found.plain.to_json()
        return {
            "information_left": None if plain is None else plain["left"],
            "information_interval": None if plain is None else plain["interval"],
            "information": plain,
            "information_balanced": None if found is None else found.balanced.to_json(),
        }


@dataclass(frozen=True)
class ClassNumbers:
    """One class of one target.

    Args:
        name: As the model calls it.
        clean_correct: Of these, answered rightly when clean.
        left: By condition, of the clean-correct ones.
    """

    name: str
    n: int
    clean_correct: int
    left: Mapping[str, RemainingAccuracy]


class TargetNumbers:
    """Everything about one target."""

    def __init__(self, result: Result, target: Target, answers: Predictions) -> None:
        self.target = target
        self.white_box = tuple(target.is_one_of(r.surrogates) for r in result.evaluation.releases)
        self.weighting: Weighting = kappa_weighting(target.model.classes)
        self._panels = result.evaluation.panels
        self._logits = answers.logits
        self._truth = {number: target.indices[judged.label] for number, judged in result.images.items()}

    @cached_property
    def conditions(self) -> dict[str, Condition]:
        """Numbers by condition: clean, random, the releases, and further ones."""
        order = dict.fromkeys((CLEAN, RANDOM, *self._panels, *self._logits))
        return {key: self._condition(key) for key in order}

    def numbers(self, condition: str) -> Condition:
        """Return the numbers of a condition, empty ones if it was never seen."""
        return self.conditions.get(condition) or self._condition(condition)

    def answer(self, condition: str, image: int) -> int | None:
        """Return the class that the target answered."""
        logits = self._logits.get(condition, {}).get(image)
        return None if logits is None else int(logits.argmax())

    def truth(self, image: int) -> int:
        """Return the index of an image's label."""
        return self._truth[image]

    def is_right(self, condition: str, image: int) -> bool:
        """Tell whether the target answered rightly."""
        return self.answer(condition, image) == self._truth[image]

    @cached_property
    def clean_correct(self) -> tuple[int, ...]:
        """Numbers of the images that it answers rightly when clean."""
        return tuple(image for image in self._truth if self.is_right(CLEAN, image))

    @property
    def is_one_class(self) -> bool:
        """Whether all judged images have the same label: kappa and AUC mean nothing then."""
        return len(set(self._truth.values())) < 2

    @cached_property
    def per_class(self) -> tuple[ClassNumbers, ...]:
        """One entry for each class that occurs."""
        found = []
        for k in sorted(set(self._truth.values())):
            members = [i for i, truth in self._truth.items() if truth == k]
            right = [i for i in members if self.is_right(CLEAN, i)]
            left = {key: self._left(key, right) for key in self.conditions if key != CLEAN}
            found.append(ClassNumbers(self.target.model.classes[k], len(members), len(right), left))
        return tuple(found)

    def _left(self, condition: str, images: Sequence[int]) -> RemainingAccuracy:
        answered = [i for i in images if i in self._logits.get(condition, {})]
        return RemainingAccuracy(sum(self.is_right(condition, i) for i in answered), len(answered))

    def _condition(self, condition: str) -> Condition:
        clean = self._logits.get(CLEAN, {})
        images = [i for i in self._truth if i in clean and i in self._logits.get(condition, {})]
        left = self._left(condition, self.clean_correct)
        if not images:
            return Condition(0, None, None, None, None, left)
        labels: NDArray[np.int64] = np.array([self._truth[i] for i in images], np.int64)
        logits = np.stack([self._logits[condition][i] for i in images])
        found = measure(logits, labels)
        several = len(np.unique(labels)) > 1
        weighting = self.weighting
        return Condition(
            n=len(images),
            accuracy=found.accuracy,
            balanced_accuracy=found.balanced_accuracy,
            qwk=found.qwk if several and self._has_grades else None,
            auc=mean_auc(logits, labels),
            left=left,
            kappa=cohen_kappa(found.confusion, weighting=weighting) if several else None,
            kappa_interval=kappa_interval(found.confusion, weighting=weighting) if several else None,
            auc_chance=auc_permutation_interval(logits, labels),
            information=measure_information(logits, labels),
        )

    @property
    def _has_grades(self) -> bool:
        classes = self.target.model.classes
        are_numbered = all(label.isascii() and label.isdigit() for label in self.target.indices)
        return are_grades(classes) or (len(classes) > 2 and are_numbered)


@dataclass(frozen=True, eq=False)
class Numbers:
    """All numbers of an evaluation.

    Args:
        result: What they are made from.
        targets: One entry for each.
    """

    result: Result
    targets: tuple[TargetNumbers, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The releases' conditions."""
        return self.result.evaluation.keys

    @property
    def panels(self) -> tuple[str, ...]:
        """The conditions in which a grey panel stands for each release's marks."""
        return self.result.evaluation.panels

    @property
    def still_right(self) -> dict[int, int]:
        """By image, on how many targets the first release's mark changed nothing: right before and after."""
        first = self.keys[0]
        return {
            image: sum(t.is_right(CLEAN, image) and t.is_right(first, image) for t in self.targets)
            for image, judged in self.result.images.items()
            if first in judged.qualities
        }


def summarise(result: Result) -> Numbers:
    """Make the numbers of an evaluation."""
    targets = zip(result.evaluation.targets, result.answers, strict=True)
    return Numbers(result, tuple(TargetNumbers(result, target, answers) for target, answers in targets))


def name_conditions(
    keys: Sequence[str], conditions: Mapping[str, Any], *, panels: Sequence[str] = ()
) -> dict[str, Any]:
    """Add ``protected`` for the first release where there are several, and ``panel`` for its panel."""
    named = dict(conditions)
    if PROTECTED not in named:
        named[PROTECTED] = conditions.get(keys[0])
    if panels and PANEL not in named:
        named[PANEL] = conditions.get(panels[0])
    return named
