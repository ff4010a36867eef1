"""Models whose weights lie in a second file: found wherever they are told of, and none is followed out."""

from __future__ import annotations

import hashlib
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
from medlocker.modelfiles import onnxdata
from medlocker.modelfiles import onnxparts as _onnxparts
from medlocker.modelfiles.onnxfile import open_onnx
from medlocker.modelfiles.onnxparts import PARTS, external_data
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


def found(data: bytes) -> dict[str, int]:
    return external_data(io.BytesIO(data), len(data))


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


def far_away(name: str = "w", location: str = "weights.bin", **more: str) -> TensorProto:
    """A tensor whose data are in another file."""
    tensor = numpy_helper.from_array(np.zeros(2, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=value)
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
    assert found(whole.SerializeToString()) == {"weights.bin": 0}
    for tensor in tensors(whole):
        tensor.data_location = TensorProto.DEFAULT
    assert found(whole.SerializeToString())  # merged with another that says so, it would be there
    for tensor in tensors(whole):
        tensor.ClearField("external_data")
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


@pytest.mark.usefixtures("unopened")
@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("/etc/hostname", "expected its weights in its own folder, got '/etc/hostname'"),
        ("../outside", "expected its weights in its own folder, got '../outside'"),
        ("sub/../../outside", "expected its weights in its own folder, got 'sub/../../outside'"),
        ("sub\\weights.bin", r"expected its weights in its own folder, got 'sub\\weights.bin'"),
        ("link", "expected its weights in its own folder, got 'link'"),
        ("folder link/outside", "expected its weights in its own folder, got 'folder link/outside'"),
        ("*/_ORT_MEM_ADDR_/*", "expected its weights in its own folder, got '*/_ORT_MEM_ADDR_/*'"),
        ("", "expected its weights in its own folder, got ''"),
        ("circle", "expected its weights in its own folder, got 'circle'"),
        ("pipe", "its weights are in a second file, 'pipe', which is not there"),
        ("sub", "its weights are in a second file, 'sub', which is not there"),
        ("m.onnx.data", "its weights are in a second file, 'm.onnx.data', which is not there"),
        ("weights.bin", "expected at least 20 bytes in 'weights.bin', got 8"),
    ],
)
def test_no_path_leads_out(tmp_path: Path, location: str, message: str) -> None:
    folder = tmp_path / "models"
    (folder / "sub").mkdir(parents=True)
    for name in ("models/weights.bin", "models/sub/weights.bin", "outside"):
        (tmp_path / name).write_bytes(bytes(8))
    (folder / "link").symlink_to(tmp_path / "outside")
    (folder / "folder link").symlink_to(tmp_path)
    (folder / "circle").symlink_to(folder / "circle")
    os.mkfifo(folder / "pipe")  # whoever opens it waits for ever
    path = make_onnx(folder / "m.onnx").path
    whole = onnx.load(path)
    whole.graph.initializer[0].CopyFrom(far_away("weights", location, offset="16", length="4"))
    path.write_bytes(whole.SerializeToString())
    with pytest.raises(ModelError, match=f"^model m\\.onnx: {re.escape(message)}$"):
        open_it(path)


def in_two_files(path: Path) -> Path:
    """Write a model again with its weights in a second file beside it."""
    place = f"{path.name}.data"
    onnx.save_model(onnx.load(path), path, save_as_external_data=True, location=place, size_threshold=0)
    return path.with_name(place)


def test_two_files_answer_as_one_and_their_digest_is_of_both(tmp_path: Path) -> None:
    tiny = make_onnx(tmp_path / "m.onnx")
    data = in_two_files(tiny.path)
    opened = open_it(tiny.path)
    image = np.linspace(0, 1, 192, dtype=np.float32).reshape(1, 8, 8, 3)
    np.testing.assert_allclose(opened.session.run(None, {"image": image})[0], tiny.answers(image), atol=1e-4)
    lines = [hashlib.sha256(file.read_bytes()).hexdigest() + "\n" for file in (tiny.path, data)]
    assert opened.sha256 == hashlib.sha256("".join(lines).encode("ascii")).hexdigest()
    data.write_bytes(bytes(data.stat().st_size))
    assert open_it(tiny.path).sha256 != opened.sha256


def test_weights_of_more_than_the_limit_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unopened: None
) -> None:
    path = make_onnx(tmp_path / "m.onnx").path
    size = in_two_files(path).stat().st_size
    monkeypatch.setattr(onnxdata, "MAX_DATA_BYTES", size - 1)
    monkeypatch.setattr(onnxdata, "sha256_of", None)
    with pytest.raises(ModelError, match=f"^model m.onnx: expected weights of at most {size - 1} bytes, got"):
        open_it(path)


def test_the_digest_of_one_file_is_its_own(tmp_path: Path) -> None:
    path = make_onnx(tmp_path / "m.onnx").path
    assert open_it(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


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
        with pytest.raises(ValueError, match="expected location, offset and length of data elsewhere"):
            found(b"\x3a" + bytes([len(tensor)]) + tensor)
    assert not found(b"\x3a\x04\x2a\x02\x70\x00")


@pytest.mark.parametrize(
    "more",
    [{"offset": "-1"}, {"length": "1e9"}, {"offset": "9" * 19}, {"length": " 4"}, {"checksum": "x" * 5000}],
)
def test_what_is_unclear_about_a_place_is_refused(more: dict[str, str]) -> None:
    whole = model(graph=graph(initializer=[far_away(**more)]))
    with pytest.raises(ValueError, match="expected"):
        found(whole.SerializeToString())


def test_two_places_of_one_tensor_are_refused() -> None:
    tensor = far_away()
    tensor.external_data.add(key="location", value="other.bin")
    with pytest.raises(ValueError, match="expected one location of a tensor"):
        found(model(graph=graph(initializer=[tensor])).SerializeToString())


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
        assert isinstance(found(data), dict)


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
    places = {
        entry.value
        for one in tensors(read)
        if one.data_location == TensorProto.EXTERNAL
        for entry in one.external_data
        if entry.key == "location"
    }
    with suppress(ValueError):
        assert places <= set(found(bytes(data)))
