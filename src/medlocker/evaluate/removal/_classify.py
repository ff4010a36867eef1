"""Asking a target about many pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from medlocker.attacks import Floats
from medlocker.classifiers import Classifier, answers_of, logits_of
from medlocker.errors import ModelError
from medlocker.evaluate.removal._evidence import ClassifierView, Evidence


def outputs_of(target: Classifier, canvases: Sequence[Floats]) -> list[NDArray[np.float32] | None]:
    """Return the logits of each picture; None where an attack made one that the model cannot bear.

    Raises:
        ModelError: If it cannot bear the first picture, which is the clean one.
    """
    answers = list(answers_of(target, canvases))
    if answers and isinstance(answers[0], ModelError):
        raise answers[0]
    return [None if isinstance(answer, ModelError) else answer for answer in answers]


def view_of(target: Classifier, evidence: Evidence) -> ClassifierView:
    """Return an image as one target gets it, with the mark's place on the canvas."""
    resize = target.resize_for(*evidence.mask.shape)
    mask = resize.rows @ evidence.mask.astype(np.float32) @ resize.cols.T > 0.02
    return ClassifierView(target.canvas(evidence.marked), mask, partial(logits_of, target))
