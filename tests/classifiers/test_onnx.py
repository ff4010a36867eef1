from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from medlocker.classifiers import Classifier, has_gradients, load_classifier, load_onnx, with_gradients
from medlocker.classifiers._outputs import choose_output
from medlocker.errors import MedlockerError, MissingExtraError, ModelError
from onnx_models import Tiny, make_onnx, weights_for


def canvases(count: int, tiny: Tiny, *, seed: int = 5) -> NDArray[np.float32]:
    shape = (count, *tiny.weights.shape[1:])
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.float32)


def check(
    model: Classifier, tiny: Tiny, *, scale: Any = 1 / 255, shift: Any = 0.0, atol: float = 1e-5
) -> None:
    """Compare answers for several batch sizes with numpy's."""
    for count in (1, 3, 4, 7):
        pictures = canvases(count, tiny)
        wanted = tiny.answers(pictures * scale + shift)
        got = model.logits(pictures)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, np.log(wanted) if tiny.softmax else wanted, atol=atol, rtol=1e-4)
    assert model.logits(canvases(0, tiny)).shape == (0, len(model.classes))


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("batch", [1, 4, "N"])
@pytest.mark.parametrize("softmax", [False, True])
def test_layouts_batches_and_outputs(tmp_path: Path, layout: str, batch: int | str, softmax: bool) -> None:
    tiny = make_onnx(tmp_path / "m.onnx", layout=layout, batch=batch, softmax=softmax)
    model = load_onnx(tiny.path)
    check(model, tiny)
    assert model.notes == (
        f"model m.onnx has no card: assumed RGB in 0..1 without mean and std, stretched to 8 x 8 ({layout})",
        f"model m: its output looks like {'probabilities' if softmax else 'logits'}",
    )
    assert (model.name, model.classes, model.has_gradients) == ("m", ("0", "1", "2"), False)


@pytest.mark.parametrize(
    ("kind", "atol"), [(TensorProto.FLOAT16, 0.02), (TensorProto.FLOAT, 1e-5), (TensorProto.DOUBLE, 1e-5)]
)
def test_element_types(tmp_path: Path, kind: int, atol: float) -> None:
    tiny = make_onnx(tmp_path / "m.onnx", kind=kind)
    check(load_onnx(tiny.path), tiny, atol=atol)


@pytest.mark.parametrize("four_axes", [False, True])
@pytest.mark.parametrize("features_first", [False, True])
def test_shapes_of_the_output(tmp_path: Path, four_axes: bool, features_first: bool) -> None:
    tiny = make_onnx(tmp_path / "m.onnx", four_axes=four_axes, features_first=features_first)
    check(load_onnx(tiny.path), tiny)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("with_card", [False, True])
def test_grey_input(tmp_path: Path, layout: str, with_card: bool) -> None:
    tiny = make_onnx(tmp_path / "m.onnx", weights=weights_for(channels=1, height=6, width=9), layout=layout)
    if with_card:
        tiny.write_card(input={"layout": layout})
    model = load_onnx(tiny.path)
    assert (model.height, model.width, model.channels) == (6, 9, 1)
    check(model, tiny)


def test_a_card_tells_everything(tmp_path: Path) -> None:
    tiny = make_onnx(tmp_path / "m.onnx", layout="NCHW", free_size=True)
    mean, std = [0.5, 0.25, 0.125], [0.5, 0.25, 2.0]
    tiny.write_card(input={"layout": "NCHW", "range": [-1, 1], "mean": mean, "std": std, "resize": "crop"})
    model = load_onnx(tiny.path)
    assert model.notes == ()
    assert model.classes == ("grade 0", "grade 1", "grade 2")
    check(model, tiny, scale=2 / 255 / np.array(std), shift=(-1 - np.array(mean)) / np.array(std), atol=1e-4)
    wide = np.random.default_rng(0).integers(0, 256, (8, 30, 3)).astype(np.uint8)
    np.testing.assert_array_equal(model.canvas(wide), wide[:, 11:19])


def test_a_card_may_call_a_grey_model_rgb(tmp_path: Path) -> None:
    tiny = make_onnx(tmp_path / "m.onnx", weights=weights_for(channels=1))
    tiny.write_card(input={"channels": 3, "mean": [0.5] * 3, "std": [0.5] * 3})
    model = load_onnx(tiny.path)
    assert model.channels == 1
    check(model, tiny, scale=2 / 255, shift=-1.0, atol=1e-4)


def test_zero_probabilities_stay_finite(tmp_path: Path) -> None:
    tiny = make_onnx(tmp_path / "m.onnx", weights=weights_for() * 2000, softmax=True)
    model = load_onnx(tiny.path)
    logits = model.logits(canvases(4, tiny))
    assert np.isfinite(logits).all()
    assert logits.min() >= np.float32(np.log(1e-12))


@pytest.mark.parametrize(
    ("make", "card", "message"),
    [
        (
            {},
            {"sha256": "0" * 64},
            "model m.onnx: its sha256 is not the one in m.card.json",
        ),
        (
            {},
            {"input": {"height": 9}},
            "model m.onnx: the card says NHWC (9, 8, 3), the model's input is [8, 8, 3]",
        ),
        (
            {},
            {"input": {"layout": "NCHW"}},
            "model m.onnx: the card says NCHW (3, 8, 8), the model's input is [8, 8, 3]",
        ),
        ({}, {"classes": ["a", "b"]}, "model m: the card names 2 classes, the model has 3"),
        ({"poison": True}, None, "model m: it answers NaN or infinity on a test picture"),
        (
            {"weights": weights_for(classes=1)},
            {"classes": ["a", "b", "c"]},
            "model m: the card names 3 classes, the model has 2",
        ),
        ({"inputs": 2}, None, "model m.onnx: expected one input, got 2"),
        (
            {"kind": TensorProto.INT64},
            None,
            "model m.onnx: expected an input of images with four axes, floats or bytes, "
            "got tensor(int64) ['N', 8, 8, 3]",
        ),
        (
            {"weights": weights_for(channels=5)},
            None,
            "model m.onnx: expected an input with 1, 3 or 4 channels, got ['N', 8, 8, 5]",
        ),
        (
            {"free_size": True},
            None,
            "model m.onnx: its input size is not fixed, and no card states it",
        ),
        (
            {"free_size": True},
            {"input": {"height": 9}},
            "model m: it fails on an input of (1, 9, 8, 3)",
        ),
    ],
)
def test_models_that_are_refused(
    tmp_path: Path, make: dict[str, Any], card: dict[str, Any] | None, message: str
) -> None:
    tiny = make_onnx(tmp_path / "m.onnx", **make)
    if card is not None:
        tiny.write_card(**card)
    with pytest.raises(ModelError) as caught:
        load_onnx(tiny.path)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("outputs", "classes", "read"),
    [
        ({"f": 8, "z": 3}, 3, "z"),  # the card's classes
        ({"f": 512, "z": 3}, 0, "z"),  # few, as diagnoses are
        ({"f": 8, "z": 3}, 0, "z"),
        ({"z": 3, "loss": 1}, 0, "z"),
        ({"embedding": 3, "y": 8}, 0, "y"),  # called what it is
        ({"f": 8, "logits": 40}, 0, "logits"),
        ({"a": 512, "b": 768}, 0, "a"),
        ({"features": 512, "pooled": 64}, 0, "features"),
    ],
)
def test_which_output_holds_the_classes(outputs: dict[str, int], classes: int, read: str) -> None:
    found = [(name, np.zeros((3, count), np.float32)) for name, count in outputs.items()]
    assert found[choose_output(found, classes)][0] == read


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("with_card", [False, True])
def test_a_model_for_pictures_with_alpha_sees_opaque_ones(
    tmp_path: Path, layout: str, with_card: bool
) -> None:
    tiny = make_onnx(tmp_path / "m.onnx", weights=weights_for(channels=4), layout=layout)
    if with_card:
        tiny.write_card(input={"layout": layout})
    model = load_onnx(tiny.path)
    assert model.channels == 3
    assert model.canvas(np.zeros((9, 9, 3), np.uint8)).shape == (8, 8, 3)
    shown = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    opaque = np.concatenate([shown / 255, np.ones((2, 8, 8, 1))], axis=-1)
    np.testing.assert_allclose(model.logits(shown), tiny.answers(opaque), atol=1e-4)
    if not with_card:
        assert "has no card: assumed opaque RGBA in 0..1" in model.notes[0]


def no_classes(path: Path) -> None:
    """A model that answers one number for the whole batch."""
    shape: list[str | int | None] = ["N", 8, 8, 3]
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["image"], ["mean"], keepdims=0)],
        "flat",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, [])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, str(path))


def test_a_model_without_classes(tmp_path: Path) -> None:
    no_classes(tmp_path / "m.onnx")
    with pytest.raises(
        ModelError, match=r"^model m: expected an output of one number per class, found none$"
    ):
        load_onnx(tmp_path / "m.onnx")


@pytest.mark.parametrize("content", [b"", b"garbage" * 100, b"\x08\x08"])
def test_files_that_are_no_models(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load_onnx(tmp_path / "m.onnx")
    assert str(caught.value) == "model m.onnx: ONNX Runtime cannot open it"
    assert caught.value.hint == "it may be damaged, or use custom operators"


def test_a_cut_model(tmp_path: Path) -> None:
    tiny = make_onnx(tmp_path / "m.onnx")
    tiny.path.write_bytes(tiny.path.read_bytes()[:-200])
    with pytest.raises(ModelError, match=r"^model m\.onnx: ONNX Runtime cannot open it$"):
        load_onnx(tiny.path)


def test_nan_answers_later_on(tmp_path: Path) -> None:
    tiny = make_onnx(tmp_path / "m.onnx")
    model = load_onnx(tiny.path)
    pictures = canvases(2, tiny)
    pictures[1, 0, 0, 0] = np.nan
    with pytest.raises(ModelError, match=r"^m: the model answers NaN or infinity$"):
        model.logits(pictures)


def test_canvases_of_another_size(tmp_path: Path) -> None:
    model = load_onnx(make_onnx(tmp_path / "m.onnx").path)
    message = "m: expected canvases of (8, 8, 3), got (8, 9, 3)"
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        model.logits(np.zeros((1, 8, 9, 3), np.float32))
    with pytest.raises(ModelError, match=r"^m: this model gives no gradients$"):
        model.gradients(np.zeros((1, 8, 8, 3), np.float32), [0])


def test_finding_the_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "dr"
    folder.mkdir()
    make_onnx(folder / "model.onnx")
    assert load_classifier(folder).name == "dr"
    assert load_classifier(folder / "model.onnx").name == folder.name
    (tmp_path / "empty").mkdir()
    expected = {
        "empty": "model empty: expected model.onnx or model.safetensors in the folder",
        "x.onnx": "model x.onnx: no such file",
        "x.h5": "model x.h5: expected .onnx, .safetensors, .pt, .pth or a folder made by `train classifier`",
    }
    for name, message in expected.items():
        with pytest.raises(MedlockerError) as caught:
            load_classifier(tmp_path / name)
        assert str(caught.value) == message
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"^this needs the library torch, which is not installed$"):
        load_classifier(tmp_path / "x.pt")


def save_graph(path: Path, nodes: list[Any], outputs: dict[str, list[int | str]], **options: Any) -> Path:
    """A model of (N, 3, 8, 8): the mean of each channel, and what `nodes` make of these `means`."""
    kind, batch = options.get("kind", TensorProto.FLOAT), options.get("batch", "N")
    start = [
        *options.get("before", []),
        helper.make_node("GlobalAveragePool", [options.get("x", "image")], ["p"]),
    ]
    graph = helper.make_graph(
        [*start, helper.make_node("Flatten", ["p"], ["means"]), *nodes],
        "g",
        [helper.make_tensor_value_info("image", kind, options.get("shape", [batch, 3, 8, 8]))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in options.get("constants", {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return path


PICTURES = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3)).astype(np.float32)
MEANS = PICTURES.mean(axis=(1, 2)) / 255


def test_of_several_outputs_the_one_of_classes_is_read(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Concat", ["means", "means"], ["embedding"], axis=1),
        helper.make_node("Neg", ["means"], ["logits"]),
    ]
    path = save_graph(tmp_path / "m.onnx", nodes, {"embedding": ["N", 6], "logits": ["N", 3]})
    model = load_onnx(path)
    np.testing.assert_allclose(model.logits(PICTURES), -MEANS, atol=1e-4)
    assert "model m: of 2 outputs logits is read" in model.notes
    card = {"input": {"height": 8, "width": 8}, "classes": list("abcdef"), "output": "logits"}
    (tmp_path / "m.card.json").write_text(json.dumps(card))
    assert load_onnx(path).output == "embedding"


@pytest.mark.parametrize("squashed", [True, False])
def test_one_number_is_that_of_the_second_class(tmp_path: Path, squashed: bool) -> None:
    nodes = [helper.make_node("Gemm", ["means", "weights"], ["z"])]
    nodes += [helper.make_node("Sigmoid" if squashed else "Neg", ["z"], ["y"])]
    constants = {"weights": np.array([[3.0], [-1.0], [9.0]], np.float32)}
    path = save_graph(tmp_path / "m.onnx", nodes, {"y": ["N", 1]}, constants=constants)
    model = load_onnx(path)
    z = MEANS @ constants["weights"][:, 0] * (1 if squashed else -1)
    logits = model.logits(PICTURES)
    assert (logits.shape, model.classes) == ((4, 2), ("0", "1"))
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], z, atol=1e-3)
    rebuilt = with_gradients(model, path)
    assert has_gradients(rebuilt)
    np.testing.assert_allclose(rebuilt.logits(PICTURES), logits, atol=1e-3)


@pytest.mark.parametrize(
    ("node", "shape", "constants"),
    [
        (helper.make_node("Reshape", ["means", "k"], ["y"]), ["N", 3], {"k": np.array([1, 3], np.int64)}),
        (helper.make_node("Squeeze", ["means", "k"], ["y"]), [3], {"k": np.array([0], np.int64)}),
        (helper.make_node("Unsqueeze", ["means", "k"], ["y"]), ["N", 1, 3], {"k": np.array([1], np.int64)}),
    ],
    ids=["one picture at a time", "no axis of the batch", "(N, 1, K)"],
)
def test_other_shapes_of_answers(
    tmp_path: Path, node: Any, shape: list[int | str], constants: dict[str, Any]
) -> None:
    batch = 1 if shape == [3] else "N"
    path = save_graph(tmp_path / "m.onnx", [node], {"y": shape}, constants=constants, batch=batch)
    np.testing.assert_allclose(load_onnx(path).logits(PICTURES), MEANS, atol=1e-4)


def test_models_of_bytes_with_channels_last(tmp_path: Path) -> None:
    before = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["first"], perm=[0, 3, 1, 2]),
    ]
    path = save_graph(
        tmp_path / "m.onnx",
        [helper.make_node("Neg", ["means"], ["y"])],
        {"y": ["N", 3]},
        before=before,
        x="first",
        kind=TensorProto.UINT8,
        shape=["N", 8, 8, 3],
    )
    model = load_onnx(path)
    np.testing.assert_allclose(model.logits(PICTURES), -255 * MEANS, atol=0.5)
    assert "assumed RGB in 0..255" in model.notes[0]


def test_a_model_that_standardises_each_picture(tmp_path: Path) -> None:
    before = [
        helper.make_node("ReduceMax", ["image"], ["high"], axes=[1, 2, 3]),
        helper.make_node("ReduceMin", ["image"], ["low"], axes=[1, 2, 3]),
        helper.make_node("Sub", ["high", "low"], ["span"]),
        helper.make_node("Div", ["image", "span"], ["even"]),
    ]
    nodes = [helper.make_node("Neg", ["means"], ["y"])]
    path = save_graph(tmp_path / "m.onnx", nodes, {"y": ["N", 3]}, before=before, x="even")
    assert np.isfinite(load_onnx(path).logits(PICTURES)).all()
