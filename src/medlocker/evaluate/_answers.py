"""Asking the targets in batches, and keeping their logits by image and condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from medlocker.classifiers import BATCH, Canvas, answers_of
from medlocker.errors import ModelError
from medlocker.evaluate._processing import ProcessedImage
from medlocker.evaluate._targets import Target


@dataclass(eq=False)
class Predictions:
    """What one target answered.

    Args:
        logits: By condition, from the image's number to (K,) float32.
        failed: From the number of an image on which the model failed to its error.
    """

    logits: dict[str, dict[int, NDArray[np.float32]]] = field(default_factory=dict)
    failed: dict[int, ModelError] = field(default_factory=dict)


class BatchPredictor:
    """Collects canvases and asks each target about whole batches.

    Args:
        batch: Canvases in one call of a model; bounds the memory.
    """

    def __init__(self, targets: Sequence[Target], *, batch: int = BATCH) -> None:
        self.answers = [Predictions() for _ in targets]
        self._targets = targets
        self._batch = batch
        self._waiting: list[list[tuple[int, str, Canvas]]] = [[] for _ in targets]

    def add(self, image: int, looked: ProcessedImage) -> None:
        """Take the canvases of one image; asks as soon as a batch is full."""
        for condition, canvases in looked.canvases.items():
            for k, canvas in enumerate(canvases):
                self._waiting[k].append((image, condition, canvas))
                if len(self._waiting[k]) >= self._batch:
                    self._ask(k)

    def finish(self) -> None:
        """Ask about what is left."""
        for k in range(len(self._targets)):
            self._ask(k)

    def _ask(self, k: int) -> None:
        waiting, self._waiting[k] = self._waiting[k], []
        found = answers_of(self._targets[k].model, [one[2] for one in waiting], batch=self._batch)
        for (image, condition, _), answer in zip(waiting, found, strict=True):
            if isinstance(answer, ModelError):
                self.answers[k].failed[image] = answer
            else:
                self.answers[k].logits.setdefault(condition, {})[image] = answer
