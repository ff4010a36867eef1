"""Gradients for ONNX models: the same network rebuilt in torch, where its operators allow it.

Nothing is taken on trust: the rebuilt network must answer as ONNX Runtime does, or it is not used.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from medlocker.classifiers._onnx import OnnxClassifier
from medlocker.classifiers._paired import PairedClassifier
from medlocker.classifiers.abilities import has_gradients
from medlocker.classifiers.protocol import Classifier
from medlocker.errors import ModelError, install_hint

if TYPE_CHECKING:
    import onnx

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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            forms = list(_forms(model, path))
        except Exception:  # of the onnx library; ONNX Runtime reads some files that it does not
            return _noted(model, f"model {model.name}: no gradients, the onnx library cannot read it")
        for form in forms:
            rebuilt = _rebuilt(model, form)
            if rebuilt is not None:
                return rebuilt
        found = [operators for form in forms if (operators := _in_the_way(form)) is not None]
    operators = min(found, key=len, default=["none of them"])
    reason = f"its operators cannot be rebuilt in torch: {', '.join(operators)}"
    if not operators:
        reason = "rebuilt in torch it answers differently, or has none"
    return _noted(model, f"model {model.name}: no gradients, {reason}")


def _noted(model: OnnxClassifier, note: str) -> Classifier:
    model.notes = (*model.notes, note)
    return model


_Form = Callable[[], "onnx.ModelProto"]


def _forms(model: OnnxClassifier, path: Path) -> Iterator[_Form]:
    """Yield how to make the forms of a network that are tried, the nearest to its file first."""
    import onnx  # optional library

    graph = onnx.load(path)
    for output in [one for one in graph.graph.output if one.name != model.output]:
        graph.graph.output.remove(output)  # a network of several answers is no torch classifier
    for node in graph.graph.node:
        if node.op_type == "Reshape":  # torch's exporter sets it without need; onnx2torch stops at it
            kept = [a for a in node.attribute if a.name != "allowzero"]
            del node.attribute[:]
            node.attribute.extend(kept)
    for opset in _OPSETS:
        yield partial(_in_opset, graph, opset)
    for opset in _OPSETS:
        yield partial(_folded_in_opset, graph, opset)


def _in_opset(graph: onnx.ModelProto, opset: int | None) -> onnx.ModelProto:
    from onnx import version_converter  # optional library

    return graph if opset is None else version_converter.convert_version(graph, opset)


def _folded_in_opset(graph: onnx.ModelProto, opset: int | None) -> onnx.ModelProto:
    return _in_opset(_folded(graph), opset)


def _folded(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return a network in which everything is worked out that no picture changes, in standard operators.

    Exporters write a bound of a clip, or a bias that several layers share, as an operator's answer, and
    onnx2torch takes numbers alone there.
    """
    import onnx  # optional library

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = os.path.join(folder, "folded.onnx")
        onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
        return onnx.load(options.optimized_model_filepath)


def _in_the_way(form: _Form) -> list[str] | None:
    """Return the operators that onnx2torch cannot rebuild; None of a form that cannot be made."""
    from onnx2torch.node_converters.registry import get_converter  # optional library
    from onnx2torch.onnx_graph import OnnxGraph

    try:
        made = form()
        graph = OnnxGraph(made.graph)
    except Exception:  # of several libraries, of any class
        return None
    versions = {opset.domain: opset.version for opset in made.opset_import}
    found: set[str] = set()
    for node in graph.nodes.values():
        try:
            get_converter(node.operation_type, versions[node.domain], node.domain)(node, graph)
        except Exception:  # each operator's own reason
            found.add(node.operation_type)
    return sorted(found)


def _rebuilt(model: OnnxClassifier, form: _Form) -> Classifier | None:
    from onnx2torch import convert  # optional libraries

    from medlocker.classifiers._featurenetwork import FeatureNetwork
    from medlocker.classifiers._layout import ChannelsLast, OneRow, TwoColumns
    from medlocker.classifiers.pytorch import TorchClassifier

    try:
        network = convert(form())
        if model.card.output == "features":
            network = FeatureNetwork(network)
        if model.card.input.layout == "NHWC":
            network = ChannelsLast(network)
        card = model.card
        if model.output_axes != 2 and card.output != "features":
            network = OneRow(network)
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
        # a picture with structure: a network that standardises inside has no slope on an even one
        rebuilt.gradients(_pictures(model, 1), [0])
        return PairedClassifier(model, rebuilt, name=model.name)
    except Exception:  # converters and rebuilt networks fail in countless ways; all mean "not this way"
        return None


def _pictures(model: OnnxClassifier, count: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (count, model.height, model.width, model.channels)).astype(np.float32)


def _bears_batches(model: OnnxClassifier, rebuilt: TorchClassifier) -> bool:
    """Tell whether the network answers two images at once as it answers each alone."""
    pair = _pictures(model, 2)
    try:
        together = rebuilt.gradients(pair, [0, 0]).logits
    except ModelError:
        return False
    return bool(np.allclose(together, model.logits(pair), atol=0.05, rtol=0.01))
