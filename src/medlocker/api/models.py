"""Opening models, and telling what was given for one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from medlocker.arguments import checked_arguments
from medlocker.classifiers import Classifier, is_feature_extractor, load_classifier, load_onnx, with_gradients
from medlocker.errors import InputError

Model: TypeAlias = Classifier | str | os.PathLike[str]
"""A classifier, or the path of one."""
Models: TypeAlias = Model | Sequence[Model] | None
"""One model, several, or none."""


@checked_arguments
def OnnxModel(path: str | os.PathLike[str]) -> Classifier:
    """Open an ONNX classifier, with the card ``NAME.card.json`` beside it if there is one.

    Raises:
        ModelError: If it is no classifier that can be used.
    """
    return load_onnx(Path(path))


@checked_arguments
def load_model(path: str | os.PathLike[str], *, gradients: bool = False) -> Classifier:
    """Open a classifier: an ONNX file, torch weights beside their card, or a folder made by ``train``.

    Args:
        path: The file or folder.
        gradients: Rebuild an ONNX model in torch, where that is installed and its operators allow it; its
            ``notes`` say why it has none.

    Raises:
        ModelError: If there is no usable model.
        MissingExtraError: If torch weights are named and torch is not installed.
    """
    model = load_classifier(Path(path))
    return with_gradients(model, Path(path)) if gradients else model


def as_classifiers(models: Models) -> tuple[Classifier, ...]:
    """Return what was given for models as classifiers; paths are opened.

    Raises:
        InputError: If one is none.
        ModelError: If a path is no usable model.
    """
    if models is None:
        return ()
    given = models if isinstance(models, list | tuple) else (models,)
    return tuple(map(_as_classifier, given))


def _as_classifier(model: object) -> Classifier:
    if isinstance(model, str | os.PathLike):
        return load_model(model)
    if not isinstance(model, Classifier):
        raise InputError(
            f"expected a model, got {type(model).__name__}",
            hint="ml.TorchModel(network, size=224) wraps a torch network, ml.load_model(path) opens a file",
        )
    if is_feature_extractor(model):
        raise InputError(
            f"model {model.name}: expected a classifier, got a feature extractor",
            hint="ml.protect takes one: it finds clusters in a whole data set",
        )
    return model
