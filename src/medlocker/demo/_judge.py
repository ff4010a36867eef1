"""What the built-in model answers: on the originals, on controls, and on the released files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlocker.demo.model import builtin_model
from medlocker.evaluate import (
    CLEAN,
    RANDOM,
    Control,
    Evaluation,
    Original,
    Release,
    TargetNumbers,
    evaluate,
    open_targets,
    pair_up,
    summarise,
)
from medlocker.labels import Labels
from medlocker.release import Run

VEIL, STRONG = "veil", "strong"


@dataclass(frozen=True)
class DemoAnswers:
    """What a model answers on one version of all images.

    Args:
        classes: (n,) int64, the answers.
        labels: (n,) int64, the truth.
        kappa: Cohen's: what the answers tell of the truth; 0 is nothing.
    """

    classes: NDArray[np.int64]
    labels: NDArray[np.int64]
    kappa: float

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float((self.classes == self.labels).mean())


def judge_run(run: Run, labels: Labels, folders: Mapping[str, Path]) -> dict[str, DemoAnswers]:
    """Ask the built-in model about every version of every image.

    Args:
        folders: Names of releases of these images, and where their images lie.

    Returns:
        By what the model saw, in the order in which to tell it.
    """
    originals = [Original(item.name, item.path, item.output_name) for item in run.inputs.items]
    releases = tuple(
        Release(name, {item.output_name: folder / item.output_name for item in run.inputs.items})
        for name, folder in folders.items()
    )
    targets, _ = open_targets([builtin_model()], labels)
    evaluation = Evaluation(
        pairs=pair_up(originals, releases),
        releases=releases,
        labels=labels,
        targets=targets,
        control=Control(run.logo),
        regions=run.regions,
    )
    result = evaluate(evaluation)
    numbers, images = summarise(result).targets[0], list(result.images)
    panel = evaluation.panels[list(folders).index(VEIL)]
    told = {
        "originals": CLEAN,
        "logos at random places (control)": RANDOM,
        "a plain grey panel (control)": panel,
        "the veil": VEIL,
        "preset strong, without gradients": STRONG,
    }
    return {
        name: _judged(numbers, images, key)
        for name, key in told.items()
        if key in (CLEAN, RANDOM, panel, *folders)
    }


def _judged(numbers: TargetNumbers, images: list[int], condition: str) -> DemoAnswers:
    answers = [numbers.answer(condition, image) for image in images]
    return DemoAnswers(
        # the synthetic eyes always have room for the control, so there is an answer for each
        np.array([-1 if answer is None else answer for answer in answers], np.int64),
        np.array([numbers.truth(image) for image in images], np.int64),
        numbers.numbers(condition).kappa or 0.0,
    )
