"""Segmenters: boxes where the network sees lesions, whatever the image's size; hostile files refused."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from medlocker.classifiers import load_classifier
from medlocker.errors import ModelError, NoRoomError
from medlocker.geometry import Box
from medlocker.regions import load_segmenter
from medlocker.regions._tiles import pieces
from medlocker.regions.scale import covered, scale_for
from onnx_models import make_onnx, make_segmenter


def photograph(height: int, width: int, *boxes: Box, depth: Any = np.uint8) -> NDArray[Any]:
    """Grey with bright red boxes."""
    high = np.iinfo(depth).max
    pixels = np.full((height, width, 3), high // 3, depth)
    for box in boxes:
        pixels[box.y : box.bottom, box.x : box.right] = (high, 0, 0)
    return pixels


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("logits", [False, True])
def test_finds_every_lesion_in_a_picture_of_many_tiles(tmp_path: Path, depth: Any, logits: bool) -> None:
    lesions = (Box(1, 2, 3, 3), Box(40, 20, 10, 9), Box(95, 44, 5, 4))
    segmenter = load_segmenter(make_segmenter(tmp_path / "s.onnx", logits=logits))
    found = segmenter.find(photograph(48, 100, *lesions, depth=depth))
    assert sorted(found.boxes) == sorted(lesions)


@pytest.mark.parametrize("factor", [4, 3])
def test_boxes_of_a_larger_picture_hold_the_lesions(tmp_path: Path, factor: int) -> None:
    lesions = tuple(
        Box(x * factor, y * factor, side * factor, side * factor) for x, y, side in ((5, 6, 4), (60, 30, 7))
    )
    pixels = photograph(48 * factor, 80 * factor, *lesions)
    found = load_segmenter(make_segmenter(tmp_path / "s.onnx")).find(pixels)
    assert sorted(found.boxes) == sorted(lesions)


def test_a_picture_smaller_than_a_tile(tmp_path: Path) -> None:
    segmenter = load_segmenter(make_segmenter(tmp_path / "s.onnx", tile=64, card={"side_px": 32}))
    assert segmenter.find(photograph(32, 40, Box(3, 4, 5, 6))).boxes == (Box(3, 4, 5, 6),)


def test_the_margin_is_in_pixels_of_the_scale_and_clipped(tmp_path: Path) -> None:
    segmenter = load_segmenter(make_segmenter(tmp_path / "s.onnx", card={"margin_px": 2}))
    (box,) = segmenter.find(photograph(96, 96, Box(2, 40, 4, 4))).boxes
    assert box == Box(0, 36, 10, 12)


def test_a_folder_is_named_after_itself_and_the_digest_goes_into_the_source(tmp_path: Path) -> None:
    path = make_segmenter(tmp_path / "mine" / "model.onnx")
    segmenter = load_segmenter(path.parent)
    assert segmenter.name == "mine"
    digest = json.loads((path.parent / "model.card.json").read_text())["sha256"]
    assert segmenter.source == f"segmenter:{digest}"


def test_another_threshold_is_another_segmenter(tmp_path: Path) -> None:
    first = load_segmenter(make_segmenter(tmp_path / "s.onnx"))
    second = load_segmenter(make_segmenter(tmp_path / "s.onnx", card={"threshold": 0.25}))
    assert first.source == second.source
    assert first.fingerprint != second.fingerprint


def test_thousands_of_findings_are_noise(tmp_path: Path) -> None:
    pixels = np.zeros((200, 200, 3), np.uint8)
    pixels[::2, ::2, 0] = 255
    segmenter = load_segmenter(make_segmenter(tmp_path / "s.onnx", card={"side_px": 200}))
    with pytest.raises(NoRoomError, match="10000 separate findings leave no room for the logo"):
        segmenter.find(pixels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooled": True}, "expected an output of one number per pixel of 32 x 32, got float32"),
        ({"bias": np.nan}, "it answers NaN or infinity"),
        ({"logits": True, "card": {"output": "probabilities"}}, "expected probabilities, got -30"),
        ({"card": {"sha256": "0" * 64}}, "model s.onnx: its sha256 is not the one in s.card.json"),
        ({"card": {"task": None}}, "model card s.card.json: expected a segmenter, task segmentation, got a"),
        ({"card": {"task": "detection"}}, "expected a segmenter, task segmentation, got detection"),
        ({"card": {"threshold": 0}}, "expected a threshold above 0 and at most 1, got 0"),
        ({"card": {"threshold": None}}, "expected threshold as 1 numbers"),
        ({"card": {"margin_px": -1}}, "expected margin_px of 0 to 512, got -1"),
        ({"card": {"side_px": 1 << 20}}, "expected side_px of 32 to 4096, got 1048576"),
        ({"card": {"output": None}}, "expected output of probabilities, logits, got None"),
        ({"card": {"input": {"height": 32, "width": 64}}}, "expected square tiles, got 32 x 64"),
        ({"card": {"input": {"height": 64, "width": 64}}}, r"the card says NCHW \[3, 64, 64\], its input is"),
        ({"card": {"input": {"height": 1 << 20, "width": 1 << 20}}}, "expected input.height of 32 to 2048"),
    ],
)
def test_refuses_what_is_no_segmenter(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    path = make_segmenter(tmp_path / "s.onnx", **options)
    with pytest.raises(ModelError, match=message):
        load_segmenter(path)


def test_refuses_files_that_are_none(tmp_path: Path) -> None:
    path = make_segmenter(tmp_path / "s.onnx", card={"sha256": None})
    path.write_bytes(b"garbage")
    with pytest.raises(ModelError, match=r"model s\.onnx: ONNX Runtime cannot open it"):
        load_segmenter(path)
    (tmp_path / "s.card.json").write_text("[]")
    with pytest.raises(ModelError, match="expected the card as a JSON object"):
        load_segmenter(path)
    (tmp_path / "s.card.json").unlink()
    with pytest.raises(ModelError, match=r"segmenter s\.onnx: expected a card s\.card\.json beside it"):
        load_segmenter(path)
    for missing in (tmp_path, tmp_path / "nothing.onnx", tmp_path / "x.txt"):
        with pytest.raises(ModelError, match=r"expected an \.onnx file or a folder with model\.onnx"):
            load_segmenter(missing)


def test_a_classifier_is_no_segmenter_and_a_segmenter_no_classifier(tmp_path: Path) -> None:
    classifier = make_onnx(tmp_path / "c.onnx")
    classifier.write_card()
    with pytest.raises(ModelError, match="expected a segmenter") as refused:
        load_segmenter(classifier.path)
    assert "a classifier belongs to --model" in refused.value.hint
    segmenter = make_segmenter(tmp_path / "s.onnx")
    with pytest.raises(ModelError, match="expected a classifier, got a model for 'segmentation'"):
        load_classifier(segmenter)


@given(st.integers(8, 64), st.integers(0, 400), st.data())
def test_pieces_use_every_pixel_once_and_far_from_cuts(tile: int, more: int, data: st.DataObject) -> None:
    length = tile + more
    border = data.draw(st.integers(0, tile // 2 - 1))
    found = pieces(length, tile=tile, border=border)
    assert found[0].first == 0
    assert found[-1].last == length
    for one, following in itertools.pairwise(found):
        assert one.last == following.first
    for one in found:
        assert 0 <= one.start <= length - tile
        assert one.start + (border if one.start else 0) <= one.first < one.last
        assert one.last <= one.start + tile - (border if one.start + tile < length else 0)


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(32, 800), st.floats(0, 20), st.data())
def test_a_scaled_box_lies_inside_the_image_and_grows_outwards(
    height: int, width: int, side_px: int, margin_px: float, data: st.DataObject
) -> None:
    scale = scale_for(height, width, side_px=side_px)
    rows, columns = scale.scaled
    x, y = data.draw(st.integers(0, columns - 1)), data.draw(st.integers(0, rows - 1))
    box = Box(x, y, data.draw(st.integers(1, columns - x)), data.draw(st.integers(1, rows - y)))
    image = scale.to_image(box, margin_px=margin_px)
    assert image.x >= 0
    assert image.y >= 0
    assert image.right <= width
    assert image.bottom <= height
    assert image.x <= box.x * width / columns + 1e-3
    assert image.right >= box.right * width / columns - 1e-3


def test_an_endless_strip_is_worked_on_within_limits() -> None:
    scale = scale_for(10, 1 << 22, side_px=4096)
    assert scale.scaled[0] * scale.scaled[1] < 1 << 25


def test_covered_counts_overlaps_once() -> None:
    assert covered([Box(0, 0, 4, 4), Box(2, 2, 4, 4)], height=8, width=8).sum() == 28
