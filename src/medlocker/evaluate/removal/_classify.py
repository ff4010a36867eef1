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


def outputs_of(target: Classifier, canvases: Sequence[Floats]) -> list[NDArray[np.float32] | None]:
    """Return the logits of each picture; None where an attack made one that the model cannot bear.

    Raises:
        ModelError: If it cannot bear the first picture, which is the clean one.
    """
    outputs: list[NDArray[np.float32] | None] = []
    for start in range(0, len(canvases), _BATCH):
        batch = canvases[start : start + _BATCH]
        try:
            outputs += list(target.logits(np.stack(batch)))
        except ModelError:
            outputs += [
                _output(target, canvas, must=number == 0) for number, canvas in enumerate(batch, start)
            ]
    return outputs


def _output(target: Classifier, canvas: Floats, *, must: bool) -> NDArray[np.float32] | None:
    try:
        output: NDArray[np.float32] = target.logits(canvas[None])[0]
    except ModelError:
        if must:
            raise
        return None
    return output


def view_of(target: Classifier, evidence: Evidence) -> View:
    """Return an image as one target gets it, with the mark's place on the canvas."""
    resize = target.resize_for(*evidence.mask.shape)
    mask = resize.rows @ evidence.mask.astype(np.float32) @ resize.cols.T > 0.02
    return View(target.canvas(evidence.marked), mask, partial(_in_batches, target))


def _in_batches(target: Classifier, canvases: Floats) -> NDArray[np.float32]:
    parts = [target.logits(canvases[start : start + _BATCH]) for start in range(0, len(canvases), _BATCH)]
    return np.concatenate(parts)
