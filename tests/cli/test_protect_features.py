"""`medlocker protect` with feature extractors: no labels, no classifier, clusters of the images instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from medlocker.certificates import Owner
from medlocker.classifiers import BaseClassifier, load_classifier, prototypes_of
from medlocker.errors import InputError
from medlocker.release import cluster_features, find_inputs, images_to_sample
from medlocker.release._sample import _sampled
from onnx_models import make_onnx, weights_for
from runs import Answer, Shell, check_release, fill, images_of, make_run, tiny_model


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images in `in`, an extractor, and a classifier of three classes with labels."""
    folder = tmp_path_factory.mktemp("place")
    fill(folder / "in", 12)
    weights = weights_for(height=12, width=12, classes=6, seed=3)
    made = make_onnx(folder / "features.onnx", weights=weights, layout="NCHW")
    made.write_card(input={"layout": "NCHW"}, output="features", classes=[])
    tiny_model(folder)
    rows = "".join(f"{k:02d}.png,{k % 3}\n" for k in range(12))
    (folder / "labels.csv").write_text(f"image,class\n{rows}")
    return folder


Protect = Callable[..., Answer]


@pytest.fixture
def protect(
    place: Path, owner_name: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Protect:
    shell = Shell(capfd, monkeypatch)

    def run(out: Path, *more: object, source: str = "in") -> Answer:
        arguments = [
            "protect",
            source,
            "--preset",
            "strong",
            "--model",
            "features.onnx",
            "--owner",
            owner_name,
        ]
        return shell(
            *arguments, "--no-ledger", "--seed", 1, "--lesions", "none", "--out", out, *more, cwd=place
        )

    return run


def test_clusters_change(protect: Protect, place: Path, owner: Owner, tmp_path: Path) -> None:
    answer = protect(tmp_path / "out")
    assert answer.code == 0, answer.err
    assert "a feature extractor of 6 numbers; its classes are 3 clusters of 12 images" in answer.err
    found = re.search(r"features: cluster changed on (\d+) of 12 images", answer.out)
    assert found, answer.out
    assert int(found[1]) >= 3
    assert "right on" not in answer.out
    check_release(place / "in", tmp_path / "out", owner, tmp_path / "restored")


def test_the_same_again(protect: Protect, tmp_path: Path) -> None:
    first, second = (
        protect(tmp_path / name, "--search", "square", "--budget", 8, "--json", *more)
        for name, more in (("a", ()), ("b", ("--batch", 3, "--workers", 2)))
    )
    assert first.json["models"] == second.json["models"]
    assert first.json["labelled"] == 0
    assert first.json["clean_correct"] == 12
    assert images_of(tmp_path / "a") == images_of(tmp_path / "b")


def test_together_with_a_classifier(protect: Protect, tmp_path: Path) -> None:
    answer = protect(
        tmp_path / "out", "--model", "tiny.onnx", "--labels", "labels.csv", "--budget", 12, "--json"
    )
    assert answer.code == 0, answer.err
    features, tiny = answer.json["models"]
    assert features["clean_correct"] == 12
    assert tiny["clean_correct"] < 12  # its labels are made up
    assert answer.json["labelled"] == 12
    assert "not used" not in answer.err


def test_labels_are_of_no_use_to_an_extractor(protect: Protect, tmp_path: Path) -> None:
    answer = protect(tmp_path / "out", "--labels", "labels.csv", "--budget", 4, "--json")
    assert (
        "the labels are not used: with a feature extractor, the class of an image is its own cluster"
        in answer.err
    )
    assert answer.json["labelled"] == 0
    assert answer.json["clean_correct"] == 12


def test_one_image_alone(protect: Protect, tmp_path: Path) -> None:
    answer = protect(tmp_path / "out", "--budget", 4, source="in/03.png")
    assert answer.code == 0, answer.err
    assert "its classes are one image against its blur" in answer.err


def test_copies_of_one_image(protect: Protect, place: Path, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    for k in range(9):
        (copies / f"{k}.png").write_bytes((place / "in" / "00.png").read_bytes())
    answer = protect(tmp_path / "out", source=str(copies))
    assert answer.code == 2
    assert "error: model features: its embeddings of 9 images are all alike" in answer.err
    assert not (tmp_path / "out").exists()


def test_inspect_tells_what_it_is(
    place: Path, protect: Protect, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Shell(capfd, monkeypatch)("inspect", "features.onnx", "--json", cwd=place)
    assert answer.json["what"] == "feature extractor"
    assert answer.json["features"] == 6
    assert "classes" not in answer.json


def test_evaluate_refuses_it(
    protect: Protect,
    place: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    protect(tmp_path / "out", "--budget", 4)
    answer = Shell(capfd, monkeypatch)(
        "evaluate",
        "--clean",
        "in",
        "--release",
        tmp_path / "out",
        "--target",
        "features.onnx",
        "--labels",
        "labels.csv",
        "--out",
        tmp_path / "report",
        cwd=place,
    )
    assert answer.code == 2
    assert "error: model features.onnx: expected a classifier, got a feature extractor" in answer.err
    assert "to judge the result, name classifiers" in answer.err


def test_resumed_only_with_the_same_clusters(place: Path, owner: Owner, tmp_path: Path) -> None:
    inputs = find_inputs(place / "in")
    opened = [load_classifier(place / "features.onnx", features=True)]
    one, two = (cluster_features(opened, inputs, workers=workers) for workers in (1, 3))
    (changed,) = cluster_features(opened, inputs)
    found = prototypes_of(changed)
    assert found is not None
    assert isinstance(changed, BaseClassifier)
    changed.prototypes = replace(found, digest="0" * 64)
    runs = [make_run(place / "in", tmp_path, owner, classifiers=models) for models in (one, two, [changed])]
    first, again, other = (run.fingerprint() for run in runs)
    assert first == again
    assert first != other


def test_the_sample_is_spread_and_bounded(place: Path, tmp_path: Path) -> None:
    fill(tmp_path / "many", 70, size=16)
    inputs = find_inputs(tmp_path / "many")
    opened = [load_classifier(place / "features.onnx", features=True)]
    assert images_to_sample(opened, inputs) == 64
    assert images_to_sample([load_classifier(place / "tiny.onnx")], inputs) == 0
    seen: list[int] = []
    (model,) = cluster_features(opened, inputs, progress=lambda: seen.append(1))
    assert len(seen) == 64
    assert model.notes[-1].endswith("8 clusters of 64 images")
    numbers = [int(item.path.stem) for item in _sampled(inputs)]
    assert numbers[0] == 0
    assert numbers[-1] == 68
    assert {b - a for a, b in pairwise(numbers)} == {1, 2}


def test_unreadable_images_are_passed_over(place: Path, tmp_path: Path) -> None:
    fill(tmp_path / "some", 3)
    (tmp_path / "some" / "broken.png").write_text("no picture")
    opened = [load_classifier(place / "features.onnx", features=True)]
    (model,) = cluster_features(opened, find_inputs(tmp_path / "some"))
    assert model.notes[-1].endswith("3 clusters of 3 images")
    with pytest.raises(InputError, match="none of the 1 images looked at for model features can be read"):
        cluster_features(opened, find_inputs(tmp_path / "some" / "broken.png"))
