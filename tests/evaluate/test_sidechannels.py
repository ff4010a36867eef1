"""What marks tell by themselves: leaks made on purpose are found, and where there is none chance is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from medlocker.evaluate._markfeatures import estimate_opacity, ink_numbers
from medlocker.evaluate._sidechannels import (
    ImageFeatures,
    SideChannel,
    measure_side_channels,
    probe_classifier,
    trace,
)
from medlocker.evaluate.layout import layout_numbers
from medlocker.testing import LinearClassifier

Pixels = NDArray[np.uint8]
SIDE = 96


def picture(seed: int, *, ill: bool) -> Pixels:
    """A smooth picture; one of an ill eye is brighter and has spots, which must not count."""
    rng = np.random.default_rng([1, seed])
    small = rng.integers(60, 160, (6, 6, 3)).astype(np.float32)
    found = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    if ill:
        found += 40
        found[20:40, 30:50] += 30
    return np.asarray(np.clip(found, 0, 255), np.uint8)


def blended(clean: Pixels, ink: NDArray[np.float64], where: NDArray[np.bool_], opacity: float) -> Pixels:
    mixed = clean + opacity * (ink - clean)
    return np.asarray(np.rint(np.where(where[..., None], mixed, clean)), np.uint8)


def holes(seed: int, count: int) -> NDArray[np.bool_]:
    rng = np.random.default_rng([2, seed])
    where = np.ones((SIDE, SIDE), np.bool_)
    for _ in range(count):
        y, x = rng.integers(0, SIDE - 12, 2)
        where[y : y + 12, x : x + 12] = False
    return where


def texture(seed: int, level: float) -> NDArray[np.float64]:
    rng = np.random.default_rng([3, seed])
    return np.asarray(rng.normal(level, 30, (SIDE, SIDE, 3)).clip(0, 255))


def traced(
    *,
    count: Callable[[bool], int] = lambda ill: 3,
    level: Callable[[bool], float] = lambda ill: 120.0,
    opacity: Callable[[bool], float] = lambda ill: 0.3,
    n: int = 60,
) -> list[ImageFeatures]:
    made = []
    for seed in range(n):
        ill = seed % 2 == 1
        clean = picture(seed, ill=ill)
        marked = blended(clean, texture(seed, level(ill)), holes(seed, count(ill)), opacity(ill))
        made.append(trace(clean, marked, "ill" if ill else "well"))
    return made


def by_channel(traces: list[ImageFeatures]) -> dict[str, SideChannel]:
    return {one.channel: one for one in measure_side_channels(traces)}


def test_marks_that_know_nothing_of_the_label_tell_nothing() -> None:
    for one in by_channel(traced()).values():
        assert one.told is not None
        assert one.told.interval[0] < 0.5 < one.told.interval[1], one.text
        tell = {"layout": "tells", "marks": "tell"}[one.channel]
        assert f") {tell} nothing of the label that can be shown: AUC " in one.text


def test_a_layout_that_counts_lesions_is_found() -> None:
    found = by_channel(traced(count=lambda ill: 8 if ill else 2))
    layout = found["layout"]
    assert layout.told is not None
    assert layout.told.auc > 0.97
    assert "(where an image is marked and where it is left free) tells the label: AUC " in layout.text
    assert found["marks"].told is not None
    assert found["marks"].told.auc < 0.8


def test_marks_whose_colour_knows_the_label_are_found() -> None:
    found = by_channel(traced(level=lambda ill: 130.0 if ill else 105.0))
    assert found["marks"].told is not None
    assert found["marks"].told.auc > 0.97
    assert found["layout"].told is not None
    assert not found["layout"].told.is_shown


def test_an_opacity_that_knows_the_label_is_found() -> None:
    found = by_channel(traced(opacity=lambda ill: 0.4 if ill else 0.2))
    assert found["marks"].told is not None
    assert found["marks"].told.auc > 0.97


def test_few_images_are_said_to_be_too_few() -> None:
    (layout, _) = measure_side_channels(traced(n=6))
    assert layout.told is None
    assert "cannot be measured: 6 images are too few, or of one class." in layout.text
    assert "tells the label cannot be measured: one image is too few" in SideChannel("layout", 1, None).text
    assert "texture) tell the label cannot be measured" in SideChannel("marks", 1, None).text
    assert json.loads(json.dumps(layout.to_json()))["shown"] is None
    assert [one.told for one in measure_side_channels(())] == [None, None]


def test_the_json_holds_the_numbers() -> None:
    value = json.loads(json.dumps(by_channel(traced())["layout"].to_json()))
    assert value.keys() >= {"channel", "shown", "n", "auc", "interval", "auc_of", "mean_auc", "kappa", "text"}
    assert (value["channel"], value["shown"], value["n"]) == ("layout", False, 60)


@pytest.mark.parametrize("opacity", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_ink_is_told_apart_from_the_picture(opacity: float, dtype: type) -> None:
    clean = picture(5, ill=True)
    where = holes(5, 2)
    marked = blended(clean, texture(5, 120.0), where, opacity)
    scale = 257 if dtype is np.uint16 else 1
    numbers = ink_numbers(clean.astype(dtype) * scale, marked.astype(dtype) * scale, where)
    assert numbers.shape == (35,)
    assert numbers[0] == pytest.approx(opacity, abs=0.03)
    assert numbers[1:4] == pytest.approx([120] * 3, abs=8)
    assert numbers[4:7] == pytest.approx([30] * 3, abs=8)


def test_a_flat_picture_leaves_the_opacity_open() -> None:
    assert estimate_opacity(np.full((100, 3), 9.0), np.full((100, 3), 50.0)) == 1.0


def test_no_mark_and_specks_are_zeros() -> None:
    clean = picture(1, ill=False)
    assert not ink_numbers(clean, clean, np.zeros((SIDE, SIDE), np.bool_)).any()


def test_the_layout_counts_holes_of_each_size_and_not_the_gaps_of_a_lattice() -> None:
    lattice = np.ones((512, 512), np.bool_)
    lattice[::8, :] = False
    lattice[:, ::8] = False
    large = lattice.copy()
    large[100:180, 200:280] = False
    large[300:340, 60:100] = False
    plain, holed = layout_numbers(lattice), layout_numbers(large)
    assert plain.shape == holed.shape == (149,)
    assert plain[[7, 9]] == pytest.approx([0, 0])  # holes that are left after a rim of four cells
    assert np.expm1(holed[[7, 9]]) == pytest.approx([2, 2])
    assert np.expm1(holed[11]) == pytest.approx(1)
    assert np.isfinite(holed).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (2000, 30)])
@pytest.mark.parametrize("filled", [False, True])
def test_layouts_of_any_shape(shape: tuple[int, int], filled: bool) -> None:
    assert np.isfinite(layout_numbers(np.full(shape, filled))).all()


def test_what_a_model_means_is_learned_anew() -> None:
    traces = [
        replace(
            one,
            known={
                ("m", "outputs"): np.array([5.0 + 2 * (one.label == "ill"), 0.0], np.float32),
                ("m", "features"): np.random.default_rng(k).normal(size=200).astype(np.float32),
            },
        )
        for k, one in enumerate(traced())
    ]
    outputs, features = probe_classifier(traces)
    assert (outputs.target, outputs.source, features.source) == ("m", "outputs", "features")
    assert outputs.told is not None
    assert outputs.told.auc == 1.0
    assert "Somebody who learns what the outputs of m mean on marked images gets AUC 1.00" in outputs.text
    assert features.told is not None
    assert not features.told.is_shown
    assert json.loads(json.dumps(outputs.to_json()))["target"] == "m"
    assert probe_classifier(traced(n=4)) == ()


def test_a_torch_network_gives_what_goes_into_its_last_layer() -> None:
    torch = pytest.importorskip("torch")
    from medlocker.classifiers import Card, InputSpec, features_of
    from medlocker.classifiers.pytorch import TorchClassifier

    network = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 7), torch.nn.Linear(7, 2)
    )
    card = Card(InputSpec(height=16, width=16, layout="NCHW", channels=3))
    model = TorchClassifier(
        network, card=card, name="t", fingerprint="0" * 64, classes=("0", "1"), device="cpu"
    )
    features = features_of(model)
    assert features is not None
    canvases = np.random.default_rng(0).uniform(0, 255, (4, 16, 16, 3)).astype(np.float32)
    found = features(canvases)
    assert found.shape == (4, 7)
    with torch.inference_mode():
        answers = network[3](torch.from_numpy(found)).numpy()
    assert answers == pytest.approx(model.logits(canvases), abs=1e-4)
    assert features_of(LinearClassifier()) is None
