"""How pictures are grouped into calls of the models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from medlocker.classifiers.abilities import runs_on_gpu
from medlocker.classifiers.protocol import Canvas, Classifier
from medlocker.errors import ModelError

BATCH = 32
"""Pictures in one call where nobody says how many."""
_ON_CPU, _ON_GPU = 16, 64
"""On a CPU larger ones gain nothing (docs/RESULTS.md) and cost memory."""
_LARGEST_PX = 512 * 512
"""Pictures up to this size make a full batch; the memory that a network takes grows with their area."""

T = TypeVar("T")


def batch_for(classifiers: Sequence[Classifier]) -> int:
    """Return the batch size that suits the device and the largest input of some models, at least 1."""
    on_gpu = any(map(runs_on_gpu, classifiers))
    most = _ON_GPU if on_gpu else _ON_CPU
    largest = max((model.height * model.width for model in classifiers), default=1)
    return max(min(most, most * _LARGEST_PX // largest), 1)


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of at most ``size`` items, in order."""
    source = iter(items)
    while some := list(islice(source, size)):
        yield some


def answers_of(
    model: Classifier, canvases: Iterable[Canvas], *, batch: int = BATCH
) -> Iterator[NDArray[np.float32] | ModelError]:
    """Yield the logits (K,) of each picture, or the error of one that the model cannot bear.

    Where a model fails on a batch, its pictures are asked about one by one: one may be to blame.
    """
    for some in in_batches(canvases, batch):
        try:
            yield from model.logits(np.stack(some))
        except ModelError as error:
            if len(some) == 1:
                yield error
            else:
                yield from answers_of(model, some, batch=1)


def logits_of(model: Classifier, canvases: Iterable[Canvas], *, batch: int = BATCH) -> NDArray[np.float32]:
    """Return the logits (N, K) of at least one picture.

    Raises:
        ModelError: If the model cannot bear one.
    """
    return np.concatenate([model.logits(np.stack(some)) for some in in_batches(canvases, batch)])
