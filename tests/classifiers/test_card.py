from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medlocker.classifiers import InputSpec, card_path, load_card, parse_card
from medlocker.errors import ModelError


def card(**changes: Any) -> dict[str, Any]:
    value: dict[str, Any] = {"input": {"height": 24, "width": 32}}
    value["input"].update(changes.pop("input", {}))
    return value | changes


def test_a_short_card_takes_defaults() -> None:
    parsed = parse_card(card())
    assert parsed.input == InputSpec(height=24, width=32)
    assert (parsed.classes, parsed.output, parsed.sha256) == ((), None, None)


def test_a_full_card() -> None:
    parsed = parse_card(
        card(
            input={
                "layout": "NHWC",
                "channels": 1,
                "range": [-1, 1],
                "mean": [0.5],
                "std": [2],
                "resize": "pad",
            },
            classes=["a", 1],
            output="logits",
            sha256="AB" * 32,
            licence="CC0",
        )
    )
    assert parsed.input == InputSpec(24, 32, "NHWC", 1, -1.0, 1.0, (0.5,), (2.0,), "pad")
    assert parsed.classes == ("a", "1")
    assert parsed.sha256 == "ab" * 32
    assert parsed.extra == {"licence": "CC0"}


def test_one_mean_counts_for_all_channels() -> None:
    assert parse_card(card(input={"mean": [0.5], "std": [0.25]})).input.std == (0.25,) * 3


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "expected the card as a JSON object"),
        ({}, "expected input as a JSON object"),
        ({"input": {"width": 3}}, "expected input.height of 1 to 4096, got None"),
        (card(input={"height": 0}), "expected input.height of 1 to 4096, got 0"),
        (card(input={"width": 2.0}), "expected input.width of 1 to 4096, got 2.0"),
        (card(input={"width": True}), "expected input.width of 1 to 4096, got True"),
        (card(input={"channels": 2}), "expected input.channels of 1, 3 or 4, got 2"),
        (card(input={"layout": "HWC"}), "expected input.layout of NCHW, NHWC, got 'HWC'"),
        (card(input={"layout": ["NCHW"]}), "expected input.layout of NCHW, NHWC, got ['NCHW']"),
        (card(input={"range": [1, 0]}), "expected input.range as [black, white], black below white"),
        (card(input={"range": [0, 1, 2]}), "expected input.range as 2 numbers, got [0, 1, 2]"),
        (card(input={"mean": [0.1, 0.2]}), "expected input.mean as 3 numbers, got [0.1, 0.2]"),
        (card(input={"mean": [1, 2, float("nan")]}), "expected input.mean as 3 numbers, got [1, 2, nan]"),
        (card(input={"std": [1, 0, 1]}), "expected input.std above 0"),
        (card(input={"resize": "fit"}), "expected input.resize of stretch, pad, crop, got 'fit'"),
        (card(classes="ab"), "expected classes as a list of names"),
        (card(classes=[["a"]]), "expected classes as a list of names"),
        (card(classes=["1", 1]), "expected classes with different names"),
        (card(output="softmax"), "expected output of logits, probabilities, features, got 'softmax'"),
        (card(sha256="ab"), "expected sha256 as 64 hexadecimal digits"),
    ],
)
def test_what_is_refused(value: object, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        parse_card(value)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "model card m.card.json: expected JSON"),
        (b"\xff\xfe", "model card m.card.json: expected JSON"),
        (b"[" * 100_000, "model card m.card.json: expected JSON"),
        (b" " * ((1 << 20) + 1), "model card m.card.json: expected at most 1048576 bytes"),
        (json.dumps({"input": 1}).encode(), "model card m.card.json: expected input as a JSON object"),
    ],
)
def test_files_that_are_no_cards(tmp_path: Path, content: bytes, message: str) -> None:
    path = card_path(tmp_path / "m.onnx")
    assert path == tmp_path / "m.card.json"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load_card(path)
    assert str(caught.value) == message


def test_a_missing_card(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^model card x\.card\.json: no such file or directory$"):
        load_card(tmp_path / "x.card.json")
