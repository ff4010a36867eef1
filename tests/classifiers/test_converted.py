"""ONNX models that torch rebuilds for their gradients."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_foreign import SQUEEZENET

from medlocker.classifiers import Classifier, has_gradients, load_classifier, with_gradients
from medlocker.errors import install_hint
from onnx_models import make_onnx, weights_for

pytest.importorskip("onnx2torch")


def conv_model(path: Path, *, layout: str, fixed: bool) -> Path:
    """Write (transpose) -> convolution -> ReLU -> mean -> reshape -> weights -> softmax, as exporters do."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(5, 3, 3, 3)).astype(np.float32)
    weights = rng.normal(size=(5, 3)).astype(np.float32)
    shape = [1 if fixed else "N", 12, 16, 3] if layout == "NHWC" else [1 if fixed else "N", 3, 12, 16]
    nodes, last = [], "x"
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]))
        last = "t"
    nodes += [
        helper.make_node("Conv", [last, "kernel"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Reshape", ["g", "flat"], ["f"]),
        helper.make_node("MatMul", ["f", "weights"], ["z"]),
        helper.make_node("Softmax", ["z"], ["p"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, [shape[0], 3])],
        [
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([1 if fixed else -1, 5], np.int64), "flat"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    card = {"input": {"height": 12, "width": 16, "layout": layout}, "output": "probabilities"}
    path.with_name(f"{path.stem}.card.json").write_text(json.dumps({**card, "classes": ["a", "b", "c"]}))
    return path


def check_gradients(model: Classifier) -> None:
    assert has_gradients(model)
    rng = np.random.default_rng(1)
    canvases = rng.uniform(0, 255, (3, model.height, model.width, 3)).astype(np.float32)
    found = model.gradients(canvases, [0, 1, 2])
    np.testing.assert_allclose(found.logits, model.logits(canvases), atol=1e-3)
    step = rng.normal(size=canvases.shape).astype(np.float32)

    def margins(pictures: np.ndarray) -> np.ndarray:
        logits = model.logits(pictures)
        own = logits[np.arange(3), [0, 1, 2]].copy()
        logits[np.arange(3), [0, 1, 2]] = -np.inf
        return np.asarray(logits.max(axis=1) - own)

    measured = margins(canvases + step) - margins(canvases - step)
    expected = 2 * (found.canvas * step).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(measured, expected, rtol=0.1, atol=0.01)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("fixed", [False, True])
def test_any_layout_and_batch_gets_true_gradients(tmp_path: Path, layout: str, fixed: bool) -> None:
    path = conv_model(tmp_path / "model.onnx", layout=layout, fixed=fixed)
    model = load_classifier(path)
    assert not has_gradients(model)
    rebuilt = with_gradients(model, path)
    assert has_gradients(rebuilt), rebuilt.notes
    check_gradients(rebuilt)


def test_a_linear_model_with_channels_last_too(tmp_path: Path) -> None:
    path = make_onnx(tmp_path / "model.onnx").path
    rebuilt = with_gradients(load_classifier(path), path)
    assert has_gradients(rebuilt)
    check_gradients(rebuilt)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_model_for_pictures_with_alpha_has_gradients_by_colour(tmp_path: Path, layout: str) -> None:
    path = make_onnx(tmp_path / "model.onnx", weights=weights_for(channels=4), layout=layout).path
    rebuilt = with_gradients(load_classifier(path), path)
    assert has_gradients(rebuilt), rebuilt.notes
    check_gradients(rebuilt)


def test_what_cannot_be_rebuilt_says_so() -> None:
    model = with_gradients(load_classifier(SQUEEZENET), SQUEEZENET)  # its weights are made by operators
    assert not has_gradients(model)
    wanted = "model light_squeezenet: no gradients, its operators cannot be rebuilt in torch: Conv"
    assert model.notes[-1] == wanted


def reworked(path: Path, nodes: list[onnx.NodeProto], *, last: str, shape: list[int | str]) -> Path:
    """Write a small network with other nodes behind the logits ``z``, and ``z`` from pictures ``y``."""
    rng = np.random.default_rng(0)
    kernel, shared = rng.normal(size=(5, 3, 3, 3)), rng.normal(size=5)
    constants = {"kernel": kernel, "shared": shared, "weights": rng.normal(size=(5, 3))}
    nodes = [
        *(node for node in nodes if last not in node.output),
        helper.make_node("Identity", ["shared"], ["bias"]),
        helper.make_node("Constant", [], ["low"], value=numpy_helper.from_array(np.array(0, np.float32))),
        helper.make_node("Constant", [], ["high"], value=numpy_helper.from_array(np.array(6, np.float32))),
        helper.make_node("Conv", ["y", "kernel", "bias"], ["c"]),
        helper.make_node("Clip", ["c", "low", "high"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "weights"], ["z"]),
        *(node for node in nodes if last in node.output),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 12, 16])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8), path)
    return path


SAME = helper.make_node("Identity", ["x"], ["y"])
STANDARDISED = [
    helper.make_node("ReduceMean", ["x"], ["m"], axes=[1, 2, 3]),
    helper.make_node("Sub", ["x", "m"], ["d"]),
    helper.make_node("Mul", ["d", "d"], ["dd"]),
    helper.make_node("ReduceMean", ["dd"], ["v"], axes=[1, 2, 3]),
    helper.make_node("Sqrt", ["v"], ["s"]),
    helper.make_node("Div", ["d", "s"], ["y"]),
]


@pytest.mark.parametrize(
    ("nodes", "last", "shape"),
    [
        ([SAME], "z", [1, 3]),  # bounds that are constants, and a bias behind an identity
        (STANDARDISED, "z", [1, 3]),  # NaN on an even picture
        ([SAME, helper.make_node("Squeeze", ["z"], ["flat"], axes=[0])], "flat", [3]),
        ([SAME, helper.make_node("Unsqueeze", ["z"], ["tall"], axes=[2, 3])], "tall", [1, 3, 1, 1]),
    ],
)
@pytest.mark.parametrize("in_two_files", [False, True])
def test_what_exporters_write_gets_true_gradients(
    tmp_path: Path, nodes: list[onnx.NodeProto], last: str, shape: list[int | str], in_two_files: bool
) -> None:
    path = reworked(tmp_path / "m.onnx", nodes, last=last, shape=shape)
    if in_two_files:
        whole = onnx.load(path)
        onnx.save(whole, path, save_as_external_data=True, location="m.onnx.data", size_threshold=0)
    model = with_gradients(load_classifier(path), path)
    assert has_gradients(model), model.notes
    check_gradients(model)


def test_the_operator_in_the_way_is_named(tmp_path: Path) -> None:
    first = helper.make_node("ThresholdedRelu", ["x"], ["y"])
    path = reworked(tmp_path / "m.onnx", [first], last="z", shape=[1, 3])
    model = with_gradients(load_classifier(path), path)
    wanted = "model m: no gradients, its operators cannot be rebuilt in torch: ThresholdedRelu"
    assert model.notes[-1] == wanted


def test_gradients_do_not_depend_on_what_shares_the_batch(tmp_path: Path) -> None:
    path = conv_model(tmp_path / "model.onnx", layout="NCHW", fixed=False)
    model = with_gradients(load_classifier(path), path)
    assert has_gradients(model)
    canvases = np.random.default_rng(2).uniform(0, 255, (5, 12, 16, 3)).astype(np.float32)
    together = model.gradients(canvases, [0, 1, 2, 0, 1]).canvas
    alone = [model.gradients(canvases[i : i + 1], [[0, 1, 2, 0, 1][i]]).canvas[0] for i in range(5)]
    assert np.array_equal(together, np.stack(alone))


@pytest.mark.parametrize("torch_there", [True, False])
def test_a_folder_with_an_onnx_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torch_there: bool
) -> None:
    """What `train` writes, where its torch weights are missing or torch is not installed."""
    folder = tmp_path / "surrogate"
    folder.mkdir()
    make_onnx(folder / "model.onnx")
    if not torch_there:
        monkeypatch.setattr("medlocker.classifiers._converted.importlib.util.find_spec", lambda name: None)
    model = with_gradients(load_classifier(folder), folder)
    assert model.name == "surrogate"
    assert has_gradients(model) == torch_there
    wanted = f"model surrogate: no gradients without torch ({install_hint('torch')})"
    assert (wanted in model.notes) != torch_there
