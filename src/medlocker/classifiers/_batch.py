"""How many pictures one call of the models gets."""

from __future__ import annotations

from collections.abc import Sequence

from medlocker.classifiers.abilities import runs_on_gpu
from medlocker.classifiers.protocol import Classifier

_ON_CPU, _ON_GPU = 16, 64
"""On a CPU larger ones gain nothing (docs/RESULTS.md) and cost memory."""
_LARGEST_PX = 512 * 512
"""Pictures up to this size make a full batch; the memory that a network takes grows with their area."""


def batch_for(classifiers: Sequence[Classifier]) -> int:
    """Return the batch size that suits the device and the largest input of some models, at least 1."""
    on_gpu = any(map(runs_on_gpu, classifiers))
    most = _ON_GPU if on_gpu else _ON_CPU
    largest = max((model.height * model.width for model in classifiers), default=1)
    return max(min(most, most * _LARGEST_PX // largest), 1)
