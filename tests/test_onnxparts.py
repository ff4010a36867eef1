"""Models whose weights lie in a second file are refused, and no path in them is followed."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from medlocker.errors import ModelError
from medlocker.modelfiles import onnxparts as _onnxparts
from medlocker.modelfiles.onnxfile import open_onnx
from medlocker.modelfiles.onnxparts import PARTS, has_external_data
from onnx_models import make_onnx

NAMES = {
    "ModelProto": "MODEL",
    "TrainingInfoProto": "TRAINING",
    "FunctionProto": "FUNCTION",
    "GraphProto": "GRAPH",
    "NodeProto": "NODE",
    "AttributeProto": "ATTRIBUTE",
    "SparseTensorProto": "SPARSE_TENSOR",
    "TensorProto": "TENSOR",
}


def found(data: bytes) -> bool:
    return has_external_data(io.BytesIO(data), len(data))


def open_it(path: Path) -> Any:
    return open_onnx(path, stated_sha256=None, card="x.card.json", threads=1, gpu=False)


def test_every_place_of_a_tensor_is_known() -> None:
    """Against the schema of the onnx library itself."""
    reached: dict[str, dict[int, str]] = {}

    def walk(message: Any) -> None:
        if message.name in reached:
            return
        reached[message.name] = {}
        for field in message.fields:
            if field.message_type is not None:
                reached[message.name][field.number] = field.message_type.name
                walk(field.message_type)

    walk(onnx.ModelProto.DESCRIPTOR)
    leading = {"TensorProto"}
    while more := {name for name, parts in reached.items() if leading & set(parts.values())} - leading:
        leading |= more
    assert leading == set(NAMES)
    assert {message.name for message in PARTS} == set(NAMES.values())
    for name in leading:
        wanted = {number: NAMES[part] for number, part in reached[name].items() if part in leading}
        ours = next(parts for message, parts in PARTS.items() if message.name == NAMES[name])
        assert {number: part.name for number, part in ours.items()} == wanted, name


def far_away(name: str = "w", location: str = "weights.bin") -> TensorProto:
    """A tensor whose data are in another file."""
    tensor = numpy_helper.from_array(np.zeros(2, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return tensor


def sparse(**parts: TensorProto) -> onnx.SparseTensorProto:
    plain = numpy_helper.from_array(np.zeros(1, np.int64))
    return onnx.SparseTensorProto(
        values=parts.get("values", plain), indices=parts.get("indices", plain), dims=[2]
    )


def node(**attributes: Any) -> onnx.NodeProto:
    return helper.make_node("Any", ["a"], ["b"], **attributes)


def model(**parts: Any) -> onnx.ModelProto:
    return onnx.ModelProto(ir_version=8, **parts)


def graph(**parts: Any) -> onnx.GraphProto:
    return onnx.GraphProto(name="g", **parts)


PLACES: dict[str, Callable[[], onnx.ModelProto]] = {
    "initializer": lambda: model(graph=graph(initializer=[TensorProto(), far_away()])),
    "constant": lambda: model(graph=graph(node=[node(value=far_away())])),
    "constants": lambda: model(graph=graph(node=[node(), node(values=[TensorProto(), far_away()])])),
    "values": lambda: model(graph=graph(sparse_initializer=[sparse(values=far_away())])),
    "indices": lambda: model(graph=graph(sparse_initializer=[sparse(indices=far_away())])),
    "sparse constant": lambda: model(graph=graph(node=[node(value=sparse(values=far_away()))])),
    "sparse constants": lambda: model(graph=graph(node=[node(value=[sparse(values=far_away())])])),
    "branch": lambda: model(
        graph=graph(node=[node(then=graph(node=[node(body=graph(initializer=[far_away()]))]))])
    ),
    "branches": lambda: model(graph=graph(node=[node(all=[graph(), graph(initializer=[far_away()])])])),
    "function": lambda: model(functions=[onnx.FunctionProto(node=[node(value=far_away())])]),
    "function's default": lambda: model(
        functions=[onnx.FunctionProto(attribute_proto=[helper.make_attribute("v", far_away())])]
    ),
    "training": lambda: model(
        training_info=[onnx.TrainingInfoProto(algorithm=graph(initializer=[far_away()]))]
    ),
    "training's start": lambda: model(
        training_info=[onnx.TrainingInfoProto(initialization=graph(initializer=[far_away()]))]
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_it_is_found_wherever_it_is(place: str) -> None:
    whole = PLACES[place]()
    assert found(whole.SerializeToString())
    for tensor in tensors(whole):
        tensor.data_location = TensorProto.DEFAULT
    assert not found(whole.SerializeToString())


def tensors(message: Any) -> Iterator[TensorProto]:
    """All tensors in a message, by the library's own knowledge."""
    if isinstance(message, TensorProto):
        yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if not hasattr(value, "ListFields") else [value]:
                yield from tensors(one)


@pytest.fixture
def unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime, which would follow the paths, is not reached."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)


MESSAGE = r"^model m\.onnx: expected all weights in this file, got external data$"


@pytest.mark.usefixtures("unopened")
@pytest.mark.parametrize(
    "location",
    ["weights.bin", "sub/weights.bin", "/etc/hostname", "../outside", "link", "pipe", "/dev/zero", ""],
)
def test_no_path_is_followed(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "models"
    (folder / "sub").mkdir(parents=True)
    for name in ("models/weights.bin", "models/sub/weights.bin", "outside"):
        (tmp_path / name).write_bytes(bytes(8))
    (folder / "link").symlink_to(tmp_path / "outside")
    os.mkfifo(folder / "pipe")  # whoever opens it waits for ever
    path = make_onnx(folder / "m.onnx").path
    whole = onnx.load(path)
    whole.graph.initializer[0].CopyFrom(far_away("weights", location))
    path.write_bytes(whole.SerializeToString())
    with pytest.raises(ModelError, match=MESSAGE):
        open_it(path)


def test_what_the_hint_tells_makes_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny = make_onnx(tmp_path / "model.onnx")
    onnx.save_model(
        onnx.load("model.onnx"), "model.onnx", save_as_external_data=True, location="w.bin", size_threshold=0
    )
    assert (tmp_path / "w.bin").stat().st_size > 0
    with pytest.raises(ModelError, match="expected all weights in this file, got external data") as caught:
        open_it(tiny.path)
    command = re.findall(r"onnx\.save_model\(.*\)(?=, or)", caught.value.hint)
    assert len(command) == 1
    exec(command[0], {"onnx": onnx})
    (tmp_path / "w.bin").unlink()
    session = open_it(tmp_path / "whole.onnx").session
    image = np.linspace(0, 1, 192, dtype=np.float32).reshape(1, 8, 8, 3)
    np.testing.assert_allclose(session.run(None, {"image": image})[0], tiny.answers(image), atol=1e-4)


def test_the_digest_is_of_all_that_answers(tmp_path: Path) -> None:
    """A weight that changes changes it, as there is no other file."""
    path = make_onnx(tmp_path / "m.onnx").path
    first = open_it(path).sha256
    whole = onnx.load(path)
    weights = numpy_helper.to_array(whole.graph.initializer[0]) + np.float32(1)
    whole.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "weights"))
    path.write_bytes(whole.SerializeToString())
    assert open_it(path).sha256 != first


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x08", "expected more bytes"),
        (b"\x3a\x05\x00", "expected a field within its message"),
        (b"\x3a\x02\x0a\x05", "expected a field within its message"),
        (b"\x3a\x02\x0d\x00", "expected a field within its message"),
        (b"\x0d\x00\x00", "expected a field within its message"),
        (b"\x00\x00", "expected a field within its message"),
        (b"\x0b\x0c", "expected no groups"),
        (b"\x80\x80\x80\x80\x80\x01", "expected an integer of at most 5 bytes"),
        (b"\x08" + b"\x80" * 10 + b"\x01", "expected an integer of at most 10 bytes"),
    ],
)
def test_what_is_no_onnx_file(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        found(data)
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(ModelError, match=r"^model m\.onnx: ONNX Runtime cannot open it$"):
        open_it(tmp_path / "m.onnx")


def test_an_unusual_spelling_of_the_place_is_seen() -> None:
    """One in more bytes than it needs, and one that a later field takes back."""
    for place in (b"\x70\x81\x80\x00", b"\x70\x01\x70\x00", b"\x70\x02", b"\xf0\x80\x00\x01"):
        tensor = b"\x2a" + bytes([len(place)]) + place
        assert found(b"\x3a" + bytes([len(tensor)]) + tensor)
    assert not found(b"\x3a\x04\x2a\x02\x70\x00")


def test_a_file_of_countless_or_nested_parts_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_onnxparts, "MAX_FIELDS", 1000)
    assert not found(b"\x08\x00" * 1000)
    with pytest.raises(ValueError, match=r"^expected at most 1000 fields$"):
        found(b"\x08\x00" * 1001)

    def nested(depth: int) -> bytes:
        data = b""
        for part in (b"\x32", b"\x2a", b"\x0a") * depth:  # a graph in an attribute in a node in a graph
            length = len(data)
            data = part + bytes([length & 0x7F | 0x80, length >> 7]) + data
        return b"\x3a" + bytes([len(data) & 0x7F | 0x80, len(data) >> 7]) + data

    assert not found(nested(32))
    with pytest.raises(ValueError, match=r"^expected at most 100 messages in each other$"):
        found(nested(33))


@given(st.binary(max_size=64))
def test_any_bytes_give_an_answer_or_our_error(data: bytes) -> None:
    with suppress(ValueError):
        assert found(data) in (True, False)


@given(
    st.sampled_from(sorted(PLACES)), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3)
)
def test_nothing_that_the_library_reads_gets_through(place: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(PLACES[place]().SerializeToString())
    for where, byte in changes:
        data[where % len(data)] = byte
    try:
        read = onnx.ModelProto.FromString(bytes(data))
    except Exception:  # protobuf's own class
        return
    if any(one.data_location == TensorProto.EXTERNAL for one in tensors(read)):
        with suppress(ValueError):
            assert found(bytes(data))
