"""What a classifier can do besides answering: the one place where that is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

from medlocker.classifiers._base import BaseClassifier
from medlocker.classifiers._prototypes import Prototypes
from medlocker.classifiers.protocol import Classifier, WithDevice, WithFeatures, WithGradients

if TYPE_CHECKING:
    from medlocker.classifiers.pytorch import TorchClassifier

Features: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From (N, h, w, c) canvases to (N, D) features."""


def has_gradients(model: Classifier) -> TypeGuard[WithGradients]:
    """Tell whether a model can be differentiated."""
    return isinstance(model, WithGradients) and model.has_gradients


def without_gradients(models: Sequence[Classifier]) -> tuple[str, ...]:
    """Return the names of the models that cannot be differentiated."""
    return tuple(model.name for model in models if not has_gradients(model))


def features_of(model: Classifier) -> Features | None:
    """Return what gives a model's features, None where only its answers are known."""
    return model.features if isinstance(model, WithFeatures) and model.has_features else None


def runs_on_gpu(model: Classifier) -> bool:
    """Tell whether a model wants large batches."""
    return isinstance(model, WithDevice) and model.on_gpu


def torch_form(model: Classifier) -> TorchClassifier | None:
    """Return the torch network behind a model as a classifier, None if torch does not run it."""
    return model.torch_form if isinstance(model, BaseClassifier) else None


def is_feature_extractor(model: Classifier) -> TypeGuard[BaseClassifier]:
    """Tell whether a model answers embeddings, which are no classes yet."""
    return isinstance(model, BaseClassifier) and model.card.output == "features"


def prototypes_of(model: Classifier) -> Prototypes | None:
    """Return the clusters that stand for a model's classes, None for a true classifier."""
    return model.prototypes if isinstance(model, BaseClassifier) else None
