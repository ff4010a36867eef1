"""Learning one texture for many images: signed gradient steps with momentum, averaged over a sample.

A universal perturbation (Moosavi-Dezfooli et al., CVPR 2017) bounded to the logo's own pixels. In every round
each image has the marks at other free places, so that what is learned does not hang on a place.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.logo import ANY_CLASS, pack_overlay
from medlocker.search._batchscheduler import BatchScheduler
from medlocker.search._gaussianprocess import F64
from medlocker.search._layout import partners
from medlocker.search._problem import Candidate, Problem
from medlocker.search._questions import ModelAnswers
from medlocker.search._texture import ensemble_slopes, pull_to_cells

_MOMENTUM = 0.9
_FIRST_STEP, _LAST_STEP = 0.25, 0.03
_OWN_FROM = 0.5
"""Share of the rounds after which a class with enough images goes its own way."""
FEWEST_OF_CLASS = 6


@dataclass(frozen=True, eq=False)
class LearningExample:
    """One image to learn from.

    Args:
        problem: With the texture's bound in ``levels``.
        group: Name of its class.
    """

    problem: Problem
    group: str


@dataclass(frozen=True)
class LearningEpoch:
    """What one round saw.

    Args:
        number: From 0.
        fooled: Share of the sample that misleads every model, at random places, before this round's step.
    """

    number: int
    fooled: float


def learn_textures(
    lessons: Sequence[LearningExample],
    driver: BatchScheduler,
    *,
    levels: int,
    rounds: int,
    margin: float,
    cells: tuple[int, int],
    rng: np.random.Generator,
    progress: Callable[[LearningEpoch], None] = lambda seen: None,
) -> dict[str, NDArray[np.int8]]:
    """Learn a texture for all classes, and from half of the rounds on one for every class of enough images.

    Args:
        lessons: The sample; at least one image.
        driver: With models that offer gradients.
        rounds: Passes over the sample.
        margin: Logits; images and models beyond it count little.
        cells: (rows, cols) of the texture.
        progress: Called after each round.

    Returns:
        From the name of a class to (rows, cols, 3) int8; ``"*"`` for all other classes.
    """
    counts = {lesson.group: 0 for lesson in lessons}
    for lesson in lessons:
        counts[lesson.group] += 1
    textures: dict[str, F64] = {ANY_CLASS: np.zeros((*cells, 3))}
    drifts: dict[str, F64] = {ANY_CLASS: np.zeros((*cells, 3))}
    own_from = int(_OWN_FROM * rounds)
    for number in range(rounds):
        if number == own_from:
            for group in sorted(name for name, count in counts.items() if count >= FEWEST_OF_CLASS):
                textures[group], drifts[group] = textures[ANY_CLASS].copy(), np.zeros((*cells, 3))
        names = [lesson.group if lesson.group in textures else ANY_CLASS for lesson in lessons]
        packed = {name: _packed(cell) for name, cell in textures.items()}
        tasks = [
            _look(lesson.problem, random_layout(lesson.problem, packed[name], rng), cells, margin)
            for lesson, name in zip(lessons, names, strict=True)
        ]
        sums = {name: np.zeros((*cells, 3)) for name in textures}
        fooled = 0
        # in the lessons' order, whatever finished first: sums of floats depend on it
        for key, (pulled, value) in sorted(driver.run(tasks), key=lambda pair: pair[0]):
            fooled += value > 0
            sums[names[key]] += pulled
            if names[key] != ANY_CLASS:
                sums[ANY_CLASS] += pulled
        share = _step(number, own_from) if number < own_from else _step(number - own_from, rounds - own_from)
        for name, total in sums.items():
            drifts[name] = _MOMENTUM * drifts[name] + total / max(float(np.abs(total).mean()), 1e-12)
            moved = textures[name] + share * levels * np.sign(drifts[name])
            textures[name] = np.clip(moved, -levels, levels)
        progress(LearningEpoch(number, fooled / len(lessons)))
    return {name: np.round(cell).astype(np.int8) for name, cell in textures.items()}


def _step(number: int, rounds: int) -> float:
    """Return the length of a step, in bounds: long ones first, in each half of the rounds."""
    return _FIRST_STEP + (_LAST_STEP - _FIRST_STEP) * number / max(rounds - 1, 1)


def share_fooled(
    lessons: Sequence[LearningExample],
    driver: BatchScheduler,
    textures: dict[str, str],
    *,
    rng: np.random.Generator,
) -> float:
    """Return the share of images that mislead every model with packed textures at random places."""
    tasks = []
    for lesson in lessons:
        text = textures.get(lesson.group, textures.get(ANY_CLASS, ""))
        tasks.append(_ask_only(lesson.problem, random_layout(lesson.problem, text, rng)))
    return float(np.mean([value > 0 for _, value in driver.run(tasks)]))


def random_layout(problem: Problem, packed: str, rng: np.random.Generator) -> Candidate:
    """Put marks with a texture at random free places."""
    places = problem.free
    luck = rng.random(len(places))
    first = int(luck.argmax())
    chosen = [first, *partners(problem, luck, places, first)]
    return tuple(replace(problem.mark(*map(int, places[i])), overlay=packed) for i in chosen)


def _packed(cells: F64) -> str:
    return pack_overlay(np.round(cells).astype(np.int8)) if cells.any() else ""


def _ask_only(problem: Problem, marks: Candidate) -> Generator[Any, Any, float]:
    answer: ModelAnswers = yield problem.ask([marks])
    return float(answer.margins.min())


def _look(
    problem: Problem, marks: Candidate, cells: tuple[int, int], margin: float
) -> Generator[Any, Any, tuple[F64, float]]:
    """Return the gradient with respect to the cells, of unit size times the need, and the margin."""
    answer: ModelAnswers = yield problem.ask([marks], gradients=True)
    slopes = ensemble_slopes(
        problem, answer.gradients, answer.margins.astype(np.float64).ravel(), wanted=margin
    )
    pulled = sum(pull_to_cells(problem, mark, slopes, cells) for mark in marks)
    value = float(answer.margins.min())
    need = 0.05 + 1 / (1 + np.exp(-np.clip(margin - value, -20, 20)))
    return np.asarray(pulled * need / max(float(np.abs(pulled).mean()), 1e-12)), value
