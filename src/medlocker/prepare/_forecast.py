"""What veils of a style leave of a model's answers, in numbers with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.information import measure_information
from medlocker.metrics import cohen_kappa, kappa_interval, kappa_weighting, wilson_interval

Interval = tuple[float, float]


@dataclass(frozen=True)
class ModelForecast:
    """What one model's answers on veiled images still tell.

    Args:
        right: On how many originals it is right, or, without labels, all of them.
        left: Share of those on which it still is; None if there are none.
        left_interval: Wilson's of 95 %.
        kappa: Cohen's, between truth and answers on veiled images; 0 is chance.
        kappa_interval: Of 95 %.
        information: What half of the answers teach of the truth of the other half, above the most frequent
            class; None if there are too few images or only one class.
        information_interval: Of 95 %.
    """

    model: str
    images: int
    right: int
    left: float | None
    left_interval: Interval | None
    kappa: float
    kappa_interval: Interval
    information: float | None
    information_interval: Interval | None

    def to_json(self) -> dict[str, Any]:
        """Return all numbers, rounded."""
        found: dict[str, Any] = {"model": self.model, "images": self.images, "right": self.right}
        numbers: Mapping[str, float | Interval | None] = {
            "left": self.left,
            "left_interval": self.left_interval,
            "kappa": self.kappa,
            "kappa_interval": self.kappa_interval,
            "information": self.information,
            "information_interval": self.information_interval,
        }
        for name, value in numbers.items():
            found[name] = (
                [round(end, 4) for end in value]
                if isinstance(value, tuple)
                else value
                if value is None
                else round(value, 4)
            )
        return found


def forecast_model(
    logits: NDArray[np.float32],
    *,
    truth: NDArray[np.int64],
    originals: NDArray[np.int64],
    name: str,
    classes: Sequence[str],
) -> ModelForecast:
    """Measure answers on veiled images, one for each image.

    Args:
        logits: (N, K), N at least 1.
        truth: (N,) right classes, or the answers on the originals.
        originals: (N,) answers on the originals.
    """
    answers = logits.argmax(axis=1)
    was_right = originals == truth
    right, kept = int(was_right.sum()), int((was_right & (answers == truth)).sum())
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (truth, answers), 1)
    weighting = kappa_weighting(classes)
    found = measure_information(logits, truth)
    return ModelForecast(
        model=name,
        images=len(truth),
        right=right,
        left=kept / right if right else None,
        left_interval=wilson_interval(kept, right) if right else None,
        kappa=cohen_kappa(confusion, weighting=weighting),
        kappa_interval=kappa_interval(confusion, weighting=weighting),
        information=None if found is None else found.plain.left,
        information_interval=None if found is None else found.plain.interval,
    )
