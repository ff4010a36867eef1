"""Finding the right adapter for a model's path."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from medlocker.classifiers._base import BaseClassifier
from medlocker.classifiers._onnx import load_onnx
from medlocker.classifiers._paired import PairedClassifier
from medlocker.classifiers._users import CLASSIFIERS, find_classifier
from medlocker.classifiers._weightsfile import check_weights_file
from medlocker.classifiers.abilities import is_feature_extractor
from medlocker.classifiers.protocol import Classifier
from medlocker.errors import MissingExtraError, ModelError

_TORCH_SUFFIXES = (".safetensors", ".pt", ".pth")


def load_classifier(path: Path, *, features: bool = False) -> Classifier:
    """Open a classifier: an ONNX file, torch weights beside their card, or a folder made by ``train``.

    A folder opens with ONNX Runtime for answers and torch for gradients where torch is installed, with torch
    alone on a GPU, and as plain ONNX otherwise.

    Args:
        path: The file or folder; or the name of a classifier of the user's own, an entry point
            ``medlocker.classifiers`` or ``package.module:name``. Files come first.
        features: Also open a feature extractor, which :func:`with_prototypes` makes a classifier of.

    Raises:
        InputError: If what a name stands for cannot be loaded.
        ModelError: If there is no usable model.
        MissingExtraError: If torch weights are named and torch is not installed.
    """
    model = find_classifier(str(path)) if is_named(path) else _load(path)
    if path.stem == "model" and not path.is_dir():  # in a folder of `train`: named as the folder is
        model.name = path.resolve().parent.name
    if not features and is_feature_extractor(model):
        raise ModelError(
            f"model {path.name}: expected a classifier, got a feature extractor",
            subject=path.name,
            hint="only `protect` takes one; to judge the result, name classifiers",
        )
    return model


def is_named(path: Path) -> bool:
    """Tell whether a path is no file but the name of a classifier of the user's own; loads nothing."""
    return not path.exists() and CLASSIFIERS.is_name(str(path))


def _load(path: Path) -> Classifier:
    if path.is_dir():
        weights, onnx = path / "model.safetensors", path / "model.onnx"
        if weights.is_file() and _has_torch():
            return _load_folder(weights, onnx, name=path.name)
        if onnx.is_file():
            classifier = load_onnx(onnx)
            classifier.name = path.name
            return classifier
        raise ModelError(
            f"model {path.name}: expected model.onnx or model.safetensors in the folder",
            subject=path.name,
            hint="such a folder is made by `medlocker train classifier`",
        )
    if path.suffix.lower() == ".onnx":
        return load_onnx(path)
    if path.suffix.lower() in _TORCH_SUFFIXES:
        if not _has_torch():
            raise MissingExtraError("torch", "torch")
        return _load_torch(path, name=path.stem)
    raise ModelError(
        f"model {path.name}: expected .onnx, .safetensors, .pt, .pth or a folder made by `train classifier`",
        hint=f"or package.module:name; {CLASSIFIERS.guide} tells how to write a classifier of your own",
        subject=path.name,
    )


def _has_torch() -> bool:
    return all(importlib.util.find_spec(library) is not None for library in ("torch", "timm", "safetensors"))


def _load_folder(weights: Path, onnx: Path, *, name: str) -> Classifier:
    from medlocker.classifiers.pytorch import has_gpu  # optional library

    differentiable = _load_torch(weights, name=name)
    if has_gpu() or not onnx.is_file():
        return differentiable
    return PairedClassifier(load_onnx(onnx), differentiable, name=name)


def _load_torch(path: Path, *, name: str) -> BaseClassifier:
    check_weights_file(path)
    from medlocker.classifiers.pytorch import load_torch  # optional library

    return load_torch(path, name=name)
