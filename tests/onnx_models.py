"""Tiny ONNX classifiers made with onnx.helper, and what they should answer, worked out with numpy."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

TYPES: dict[int, Any] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.FLOAT16: np.float16,
    TensorProto.DOUBLE: np.float64,
    TensorProto.INT64: np.int64,
}


@dataclass(frozen=True, eq=False)
class Tiny:
    """A linear model on disk.

    Args:
        path: The ONNX file.
        weights: (K, h, w, c) float64.
        softmax: Whether it answers probabilities.
    """

    path: Path
    weights: NDArray[np.float64]
    softmax: bool

    def answers(self, inputs: NDArray[Any]) -> NDArray[np.float64]:
        """What it answers for (N, h, w, c) inputs, in the model's own units."""
        logits = np.einsum("nhwc,khwc->nk", inputs.astype(np.float64), self.weights)
        if not self.softmax:
            return np.asarray(logits)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def write_card(self, **changes: Any) -> dict[str, Any]:
        """Write a true card beside the model, some fields changed; ``input`` is merged."""
        classes, height, width, channels = self.weights.shape
        card: dict[str, Any] = {
            "input": {"height": height, "width": width, "layout": "NHWC", "channels": channels},
            "classes": [f"grade {k}" for k in range(classes)],
            "output": "probabilities" if self.softmax else "logits",
            "sha256": hashlib.sha256(self.path.read_bytes()).hexdigest(),
        }
        card["input"].update(changes.pop("input", {}))
        card.update(changes)
        (self.path.parent / f"{self.path.stem}.card.json").write_text(json.dumps(card))
        return card


def weights_for(
    *, height: int = 8, width: int = 8, channels: int = 3, classes: int = 3, seed: int = 0
) -> NDArray[np.float64]:
    """Random weights with 8 significant bits, the same in every float type."""
    rng = np.random.default_rng(seed)
    return rng.integers(-127, 128, (classes, height, width, channels)) / 1024


def make_onnx(
    path: Path,
    *,
    weights: NDArray[np.float64] | None = None,
    layout: str = "NHWC",
    batch: int | str = "N",
    kind: int = TensorProto.FLOAT,
    softmax: bool = False,
    four_axes: bool = False,
    features_first: bool = False,
    free_size: bool = False,
    poison: bool = False,
    inputs: int = 1,
) -> Tiny:
    """Write input -> flatten -> weights -> (softmax) -> output.

    Args:
        path: Of the file.
        weights: (K, h, w, c).
        layout: NHWC or NCHW.
        batch: A number, or a name for a free axis.
        kind: Element type of input and output.
        softmax: End with probabilities.
        four_axes: Answer (N, K, 1, 1).
        features_first: Answer a (N, h, w, c) map before the classes.
        free_size: Leave height and width open.
        poison: Divide by zero: answers NaN.
        inputs: Number of inputs; further ones are added to the first.
    """
    w = weights_for() if weights is None else weights
    classes, height, width, channels = w.shape
    spatial: list[int | str] = ["H", "W"] if free_size else [height, width]
    shape = [batch, *spatial, channels] if layout == "NHWC" else [batch, channels, *spatial]
    matrix = (w if layout == "NHWC" else w.transpose(0, 3, 1, 2)).reshape(classes, -1).T
    constants = [numpy_helper.from_array(np.ascontiguousarray(matrix, dtype=TYPES[kind]), "weights")]
    nodes = []
    image = "image"
    for k in range(1, inputs):
        nodes.append(helper.make_node("Add", [image, f"image{k}"], [f"sum{k}"]))
        image = f"sum{k}"
    nodes.append(helper.make_node("Flatten", [image], ["flat"], axis=1))
    nodes.append(helper.make_node("MatMul", ["flat", "weights"], ["plain"]))
    last = "plain"
    if poison:
        constants.append(numpy_helper.from_array(np.zeros(1, TYPES[kind]), "zero"))
        nodes.append(helper.make_node("Mul", [last, "zero"], ["nothing"]))
        nodes.append(helper.make_node("Div", ["nothing", "zero"], ["poisoned"]))
        last = "poisoned"
    if softmax:
        nodes.append(helper.make_node("Softmax", [last], ["soft"], axis=1))
        last = "soft"
    out: list[int | str] = [batch, classes]
    if four_axes:
        constants.append(numpy_helper.from_array(np.array([2, 3], np.int64), "axes"))
        nodes.append(helper.make_node("Unsqueeze", [last, "axes"], ["tall"]))
        last, out = "tall", [batch, classes, 1, 1]
    nodes.append(helper.make_node("Identity", [last], ["answer"]))
    outputs = [helper.make_tensor_value_info("answer", kind, out)]
    if features_first:
        nodes.append(helper.make_node("Identity", ["image"], ["features"]))
        outputs.insert(0, helper.make_tensor_value_info("features", kind, shape))
    names = ["image", *(f"image{k}" for k in range(1, inputs))]
    graph = helper.make_graph(
        nodes, "tiny", [helper.make_tensor_value_info(n, kind, shape) for n in names], outputs, constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return Tiny(path, w, softmax)


def make_segmenter(
    path: Path,
    *,
    tile: int = 32,
    gain: float = 0.2,
    bias: float = -30.0,
    out_channels: int = 1,
    logits: bool = False,
    pooled: bool = False,
    card: dict[str, Any] | None = None,
) -> Path:
    """Write a segmenter that takes bright red for a lesion: sigmoid(gain * red + bias), red in 0..255.

    Args:
        path: Of the ONNX file; the card is written beside it.
        tile: Side of the tiles.
        gain: Per grey level.
        bias: Of the logit.
        out_channels: Maps, all alike.
        logits: Answer logits instead of probabilities.
        pooled: Answer one number for a tile, as a classifier would.
        card: Fields to change in the card; a value of None drops the field.
    """
    kernel = np.zeros((out_channels, 3, 1, 1), np.float32)
    kernel[:, 0] = gain
    constants = [
        numpy_helper.from_array(kernel, "kernel"),
        numpy_helper.from_array(np.full(out_channels, bias, np.float32), "bias"),
    ]
    nodes = [helper.make_node("Conv", ["image", "kernel", "bias"], ["logit"])]
    last = "logit"
    if not logits:
        nodes.append(helper.make_node("Sigmoid", [last], ["probability"]))
        last = "probability"
    out: list[int | str] = ["N", out_channels, tile, tile]
    if pooled:
        nodes.append(helper.make_node("GlobalAveragePool", [last], ["pool"]))
        last, out = "pool", ["N", out_channels, 1, 1]
    nodes.append(helper.make_node("Identity", [last], ["answer"]))
    graph = helper.make_graph(
        nodes,
        "tiny segmenter",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, tile, tile])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, out)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    fields: dict[str, Any] = {
        "task": "segmentation",
        "input": {"height": tile, "width": tile, "range": [0, 255]},
        "output": "logits" if logits else "probabilities",
        "side_px": 48,
        "threshold": 0.5,
        "margin_px": 0,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    fields.update(card or {})
    fields = {key: value for key, value in fields.items() if value is not None}
    (path.parent / f"{path.stem}.card.json").write_text(json.dumps(fields))
    return path
