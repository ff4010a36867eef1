"""Asking a target about many pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from medlocker.attacks import Floats
from medlocker.classifiers import Classifier
from medlocker.errors import ModelError
from medlocker.evaluate.removal._evidence import Evidence, View

_BATCH = 32


def answers_of(target: Classifier, canvases: Sequence[Floats]) -> list[int]:
    """Return the class of each picture; -1 where an attack made one that the model cannot bear.

    Raises:
        ModelError: If it cannot bear the first picture, which is the clean one.
    """
    answers: list[int] = []
    for start in range(0, len(canvases), _BATCH):
        batch = canvases[start : start + _BATCH]
        try:
            answers += target.logits(np.stack(batch)).argmax(axis=1).tolist()
        except ModelError:
            answers += [
                _answer(target, canvas, must=number == 0) for number, canvas in enumerate(batch, start)
            ]
    return answers


def _answer(target: Classifier, canvas: Floats, *, must: bool) -> int:
    try:
        return int(target.logits(canvas[None])[0].argmax())
    except ModelError:
        if must:
            raise
        return -1


def view_of(target: Classifier, evidence: Evidence) -> View:
    """Return an image as one target gets it, with the mark's place on the canvas."""
    resize = target.resize_for(*evidence.mask.shape)
    mask = resize.rows @ evidence.mask.astype(np.float32) @ resize.cols.T > 0.02
    return View(target.canvas(evidence.marked), mask, partial(_in_batches, target))


def _in_batches(target: Classifier, canvases: Floats) -> NDArray[np.float32]:
    parts = [target.logits(canvases[start : start + _BATCH]) for start in range(0, len(canvases), _BATCH)]
    return np.concatenate(parts)
