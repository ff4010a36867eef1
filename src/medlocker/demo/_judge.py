"""What the built-in model answers: on the originals, with the logo at a random place, and as protected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medlocker.demo.model import builtin_model
from medlocker.evaluate import (
    CLEAN,
    PROTECTED,
    RANDOM,
    Control,
    Evaluation,
    Original,
    Release,
    TargetNumbers,
    add_up,
    evaluate,
    open_targets,
    pair_up,
)
from medlocker.labels import Labels
from medlocker.release import Run


@dataclass(frozen=True)
class Judged:
    """What a model answers on one version of all images.

    Args:
        classes: (n,) int64, the answers.
        labels: (n,) int64, the truth.
    """

    classes: NDArray[np.int64]
    labels: NDArray[np.int64]

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float((self.classes == self.labels).mean())


def judge_run(run: Run, labels: Labels) -> tuple[Judged, Judged, Judged]:
    """Ask the built-in model about the three versions of every image of a finished run."""
    originals = [Original(item.name, item.path, item.output_name) for item in run.inputs.items]
    files = {item.output_name: run.release / "images" / item.output_name for item in run.inputs.items}
    releases = (Release("release", files),)
    targets, _ = open_targets([builtin_model()], labels)
    result = evaluate(
        Evaluation(
            pairs=pair_up(originals, releases),
            releases=releases,
            labels=labels,
            targets=targets,
            control=Control(run.logo, opacity=run.settings.opacities[1]),
            regions=run.regions,
        )
    )
    numbers = add_up(result).targets[0]
    clean, random, protected = (_judged(numbers, list(result.images), key) for key in _VERSIONS)
    return clean, random, protected


_VERSIONS = (CLEAN, RANDOM, PROTECTED)


def _judged(numbers: TargetNumbers, images: list[int], condition: str) -> Judged:
    answers = [numbers.answer(condition, image) for image in images]
    return Judged(
        # the synthetic eyes always have room for the control, so there is an answer for each
        np.array([-1 if answer is None else answer for answer in answers], np.int64),
        np.array([numbers.truth(image) for image in images], np.int64),
    )
