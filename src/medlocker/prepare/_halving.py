"""Successive halving: many styles are tried on few looks, the better ones on more.

It is done for several choosers at once, each of whom sees only some of the models and of the images. What one
of them chooses without having seen a model tells what the choice is worth on models never seen, and as every
answer is asked for only once, that costs little more than one choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import InputError
from medlocker.metrics import kappa_weighting
from medlocker.prepare._losses import loss, probabilities
from medlocker.prepare._trials import StyleTrials
from medlocker.protect import Aim
from medlocker.veilstyle import VeilStyle

MOST_STYLES = 96
_FEWEST_STYLES = 4
_ENOUGH_STYLES = 24
"""Only what is left after so many goes into further looks at each image."""
_FEWEST_SHOTS = 8
_DRAWS, _SURE, _WORTH = 200, 0.75, 0.1
"""Draws, the share in which a style must be better than the shipped one, and by how much loss.

The shipped style was chosen on several families of networks. What is a little better on the models at hand
may be far worse on a family that is not among them.
"""


@dataclass(frozen=True)
class Subset:
    """Who sees only some of the models and of the images.

    Args:
        models: Numbers of the models that it sees.
        half: The half of the images that it sees, or None for both.
    """

    models: tuple[int, ...]
    half: int | None = None


@dataclass(frozen=True)
class HalvingSchedule:
    """How many styles are tried on how many looks.

    Args:
        repeats: Looks at each image.
        steps: Looks at each style, and the number of styles; fewer and fewer styles, more and more looks.
    """

    repeats: int
    steps: tuple[tuple[int, int], ...]

    @property
    def styles(self) -> int:
        """How many are tried at all."""
        return self.steps[0][1]

    @property
    def pictures(self) -> int:
        """How many veiled pictures that makes."""
        taken = [0, *(shots for shots, _ in self.steps)]
        return sum((shots - taken[i]) * count for i, (shots, count) in enumerate(self.steps))


def make_plan(budget: int, *, images: int, models: int, choosers: int, repeats: int) -> HalvingSchedule:
    """Return the plan with the most styles that a budget allows, and the looks at each image that leaves.

    Args:
        budget: Most evaluations; those of the originals are among them.
        choosers: How many choose; each keeps at least its best style to the end.
        repeats: Most looks at each image.

    Raises:
        InputError: If the budget is too small.
    """
    most = budget // models - images
    for looks in range(repeats, 0, -1):
        for styles in range(MOST_STYLES, _FEWEST_STYLES - 1, -1):
            plan = plan_for(styles, images=images, choosers=choosers, repeats=looks)
            if plan.pictures <= most:
                break
        if plan.pictures <= most and (plan.styles >= _ENOUGH_STYLES or looks == 1):
            return plan
    needed = (plan.pictures + images) * models
    raise InputError(
        f"expected a budget of at least {needed} evaluations for {images} images and {models} models, "
        f"got {budget}",
        hint="give more, or a smaller --sample-size",
    )


def plan_for(styles: int, *, images: int, choosers: int, repeats: int) -> HalvingSchedule:
    """Return the plan for so many styles; see :func:`make_plan`."""
    whole = images * repeats
    sizes = sorted({max(-(-whole >> step), min(whole, _FEWEST_SHOTS)) for step in (3, 2, 1, 0)})
    # the base and the best of every chooser are always kept
    counts = [min(max(styles >> step, choosers + 1), styles) for step in range(len(sizes))]
    return HalvingSchedule(repeats, tuple(zip(sizes, counts, strict=True)))


def choose(
    trials: StyleTrials,
    styles: Sequence[VeilStyle],
    plan: HalvingSchedule,
    *,
    answers: Sequence[NDArray[np.int64]],
    choosers: Sequence[Subset],
    aim: Aim,
) -> list[VeilStyle]:
    """Return what each chooser chooses.

    Args:
        styles: To choose from. The first is tried to the end, and chosen unless another is surely better.
        plan: Of so many styles.
        answers: Of each model, (images,) on the originals.
        choosers: The first is the one that matters: what is left of the plan is spent on it.
        aim: What is aimed at.
    """
    alive = [list(styles) for _ in choosers]
    for step, (shots, _) in enumerate(plan.steps):
        trials.ask(dict.fromkeys(style for some in alive for style in some), shots=shots)
        views = [_View(trials, who, shots, answers, aim) for who in choosers]
        ranked = [sorted(some, key=view.loss) for some, view in zip(alive, views, strict=True)]
        if step + 1 < len(plan.steps):
            alive = _kept(ranked, styles[0], plan.steps[step + 1][1])
    return [
        some[0] if view.is_surely_better(some[0], styles[0]) else styles[0]
        for some, view in zip(ranked, views, strict=True)
    ]


class _View:
    """What one chooser sees of the trials.

    Args:
        shots: How many were taken.
        answers: Of each model, (images,) on the originals.
        aim: What is aimed at.
    """

    def __init__(
        self, trials: StyleTrials, who: Subset, shots: int, answers: Sequence[NDArray[np.int64]], aim: Aim
    ) -> None:
        self._trials, self._models, self._aim = trials, who.models, aim
        self._shots = [k for k, shot in enumerate(trials.shots[:shots]) if who.half in (None, shot.half)]
        self._images = np.array([trials.shots[k].image for k in self._shots])
        self._answers = [answers[model][self._images] for model in who.models]
        self._weightings = [kappa_weighting(trials.classifiers[model].classes) for model in who.models]

    def loss(self, style: VeilStyle) -> float:
        """Return the mean over the models, on all that is seen."""
        return self._loss(self._veiled(style), slice(None))

    def is_surely_better(self, style: VeilStyle, base: VeilStyle) -> bool:
        """Tell whether a style clearly beats another on most samples as this one might have been.

        The best of many is in part the luckiest; without this the choice would often be worse than none.
        """
        if style == base:
            return True
        one, other = self._veiled(style), self._veiled(base)
        _, image = np.unique(self._images, return_inverse=True)
        looks = [np.flatnonzero(image == k) for k in range(int(image.max()) + 1)]
        rng = np.random.default_rng(0)
        better = 0
        for _ in range(_DRAWS):  # images are drawn anew, each with all its looks (bootstrap)
            drawn = np.concatenate([looks[k] for k in rng.integers(len(looks), size=len(looks))])
            better += self._loss(one, drawn) + _WORTH < self._loss(other, drawn)
        return better >= _SURE * _DRAWS

    def _veiled(self, style: VeilStyle) -> list[NDArray[np.float64]]:
        return [probabilities(self._trials.logits(style, model, self._shots)) for model in self._models]

    def _loss(self, veiled: Sequence[NDArray[np.float64]], part: slice | NDArray[np.int64]) -> float:
        losses = [
            loss(answers[part], one[part], aim=self._aim, weighting=weighting)
            for one, answers, weighting in zip(veiled, self._answers, self._weightings, strict=True)
        ]
        return float(np.mean(losses))


def _kept(ranked: Sequence[Sequence[VeilStyle]], base: VeilStyle, most: int) -> list[list[VeilStyle]]:
    """Return for each chooser its best styles and the base: as many as make at most ``most`` together."""

    def together(count: int) -> dict[VeilStyle, None]:
        return dict.fromkeys([base, *(style for some in ranked for style in some[:count])])

    count = 1
    while count < most and len(together(count + 1)) <= most:
        count += 1
    kept = [list(dict.fromkeys([*some[:count], base])) for some in ranked]
    spare = most - len(together(count))
    further = [style for style in ranked[0][count:] if style not in together(count)]
    kept[0] += further[: max(spare, 0)]
    return kept
