"""Gradients for ONNX models: the same network rebuilt in torch, where its operators allow it.

Nothing is taken on trust: the rebuilt network must answer as ONNX Runtime does, or it is not used.
"""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medlocker.classifiers._onnx import OnnxClassifier
from medlocker.classifiers._paired import PairedClassifier
from medlocker.classifiers.abilities import has_gradients
from medlocker.classifiers.protocol import Classifier
from medlocker.errors import ModelError, install_hint

if TYPE_CHECKING:
    from medlocker.classifiers.pytorch import TorchClassifier

_OPSETS = (None, 17, 13)
"""Versions of the operators that are tried: the model's own, then older ones."""


def with_gradients(model: Classifier, path: Path) -> Classifier:
    """Return an ONNX classifier with gradients if they can be had, else with a note that says why not.

    Args:
        model: As opened; returned as it is if it offers gradients already.
        path: Its file, or the folder with its ``model.onnx``.
    """
    if path.is_dir():
        path = path / "model.onnx"
    if has_gradients(model) or not isinstance(model, OnnxClassifier):
        return model
    if not all(importlib.util.find_spec(name) for name in ("torch", "onnx2torch")):
        return _noted(model, f"model {model.name}: no gradients without torch ({install_hint('torch')})")
    for opset in _OPSETS:
        rebuilt = _rebuilt(model, path, opset)
        if rebuilt is not None:
            return rebuilt
    return _noted(model, f"model {model.name}: no gradients, its operators cannot be rebuilt in torch")


def _noted(model: OnnxClassifier, note: str) -> Classifier:
    model.notes = (*model.notes, note)
    return model


def _rebuilt(model: OnnxClassifier, path: Path, opset: int | None) -> Classifier | None:
    import onnx  # optional libraries
    from onnx import version_converter
    from onnx2torch import convert

    from medlocker.classifiers._featurenetwork import FeatureNetwork
    from medlocker.classifiers._layout import ChannelsLast, TwoColumns
    from medlocker.classifiers.pytorch import TorchClassifier

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = onnx.load(path)
            for output in [one for one in graph.graph.output if one.name != model.output]:
                graph.graph.output.remove(output)  # a network of several answers is no torch classifier
            for node in graph.graph.node:
                if node.op_type == "Reshape":  # torch's exporter sets it without need; onnx2torch stops at it
                    kept = [a for a in node.attribute if a.name != "allowzero"]
                    del node.attribute[:]
                    node.attribute.extend(kept)
            network = convert(graph if opset is None else version_converter.convert_version(graph, opset))
            if model.card.output == "features":
                network = FeatureNetwork(network)
            if model.card.input.layout == "NHWC":
                network = ChannelsLast(network)
            card = model.card
            if model.one_number:
                card = replace(card, output="probabilities" if model.is_softmaxed else "logits")
                network = TwoColumns(network, is_probability=model.is_softmaxed)
            rebuilt = TorchClassifier(
                network,
                card=card,
                name=model.name,
                fingerprint=model.fingerprint,
                classes=model.classes,
                device="cpu",
            )
            if not _bears_batches(model, rebuilt):
                rebuilt.chunk = 1  # a model exported for single images
            rebuilt.gradients(np.zeros((1, model.height, model.width, model.channels), np.float32), [0])
            return PairedClassifier(model, rebuilt, name=model.name)
    except Exception:  # converters and rebuilt networks fail in countless ways; all mean "not this way"
        return None


def _bears_batches(model: OnnxClassifier, rebuilt: TorchClassifier) -> bool:
    """Tell whether the network answers two images at once as it answers each alone."""
    rng = np.random.default_rng(0)
    pair = rng.uniform(0, 255, (2, model.height, model.width, model.channels)).astype(np.float32)
    try:
        together = rebuilt.gradients(pair, [0, 0]).logits
    except ModelError:
        return False
    return bool(np.allclose(together, model.logits(pair), atol=0.05, rtol=0.01))
