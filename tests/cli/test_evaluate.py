"""`medlocker evaluate` as a user meets it: numbers checked by an independent computation, bad inputs."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image as Pillow

from medlocker.demo import GRADES, SampleSet, builtin_model, write_samples
from onnx_models import make_onnx, weights_for
from runs import Answer, Shell, called, tiny_model


@dataclass(frozen=True)
class Place:
    """Four synthetic photographs, protected by the command line against the demo's built-in model."""

    folder: Path
    samples: SampleSet

    @property
    def release(self) -> Path:
        return self.folder / "release"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, owner_name: Path) -> Place:
    folder = tmp_path_factory.mktemp("evaluate")
    samples = write_samples(folder / "eyes", count=4, seed=11, width=256, height=256)
    answer = called(
        *("protect", samples.images, "--model", builtin_model(), "--owner", owner_name),
        *("--labels", samples.labels, "--regions", samples.masks, "--out", folder / "release"),
        *("--preset", "strong", "--no-ledger", "--budget", 30, "--seed", 3, "--json"),
    )
    assert (answer.code, answer.json["marked"]) == (0, 4), answer.err
    tiny_model(folder)
    make_onnx(folder / "five.onnx", weights=weights_for(classes=5))
    (folder / "broken.onnx").write_bytes(b"broken")
    (folder / "nothing").mkdir()
    return Place(folder, samples)


@dataclass(frozen=True)
class Evaluate:
    """`medlocker evaluate` of the place's release on the built-in model, into `out`; other options last."""

    shell: Shell
    place: Place
    out: Path

    def __call__(
        self,
        *more: object,
        clean: Path | str | None = None,
        releases: Sequence[Path | str] | None = None,
        labels: Path | str | None = None,
        targets: Sequence[Path | str] | None = None,
    ) -> Answer:
        place = self.place
        arguments: list[object] = ["evaluate", "--clean", clean or place.samples.images]
        for release in releases or [place.release]:
            arguments += ["--release", release]
        for target in targets or [builtin_model()]:
            arguments += ["--target", target]
        arguments += ["--labels", labels or place.samples.labels, "--out", self.out]
        return self.shell(*arguments, *more, cwd=place.folder)


@pytest.fixture
def evaluate(
    place: Place, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Evaluate:
    return Evaluate(Shell(capfd, monkeypatch), place, tmp_path / "report")


def answers_of(paths: list[Path]) -> list[int]:
    """What the built-in model answers, by Pillow and ONNX Runtime alone."""
    card = json.loads(builtin_model().with_name("fundus-demo.card.json").read_text())["input"]
    assert (card["layout"], card["resize"]) == ("NCHW", "stretch")
    session = onnxruntime.InferenceSession(str(builtin_model()), providers=["CPUExecutionProvider"])
    found = []
    for path in paths:
        with Pillow.open(path) as picture:
            small = picture.convert("RGB").resize((card["width"], card["height"]), Pillow.Resampling.BILINEAR)
        values = (np.asarray(small, np.float32) / 255 - np.array(card["mean"])) / np.array(card["std"])
        batch = np.ascontiguousarray(values.transpose(2, 0, 1)[None], dtype=np.float32)
        found.append(int(session.run(None, {"image": batch})[0].argmax()))
    return found


def test_the_numbers_are_those_of_an_independent_computation(place: Place, evaluate: Evaluate) -> None:
    answer = evaluate("--regions", place.samples.masks, "--json")
    assert answer.code == 0, answer.err
    value: dict[str, Any] = answer.json
    contract = {"images", "targets", "quality", "transfer", "removal", "skipped", "failed"}
    assert contract <= set(value)
    assert (value["removal_best"], value["removal_images"], value["removal_verdict"]) == ([], 0, None)
    assert (value["images"], value["removal"], value["skipped"], value["failed"]) == (4, [], [], [])
    (target,) = value["targets"]
    assert {"name", "white_box", "clean_accuracy", "clean_correct", "conditions", "per_class"} <= set(target)
    assert (target["name"], target["white_box"]) == ("fundus-demo", True)

    names = place.samples.names
    truth = [GRADES.index(grade) for grade in place.samples.grades]
    before = answers_of([place.samples.images / name for name in names])
    after = answers_of([place.release / "images" / name for name in names])
    right = [k for k in range(4) if before[k] == truth[k]]
    left = [k for k in right if after[k] == truth[k]]
    assert len(right) > len(left)  # else this test shows nothing
    assert target["clean_accuracy"] == len(right) / 4
    assert target["clean_correct"] == len(right)
    assert target["protected"]["left"] == len(left) / len(right)
    assert target["protected"]["accuracy"] == np.mean([a == t for a, t in zip(after, truth, strict=True)])
    assert {"kappa_weights", "auc_of", "findings"} <= set(target)
    assert [one["finding"] for one in target["findings"]] == ["unknown"]
    more = {
        "kappa",
        "kappa_interval",
        "auc_chance",
        "information_left",
        "information_interval",
        "information",
    }
    for key in ("clean", "random", "panel", "protected"):
        assert more <= set(target[key])
        assert target[key] == target["conditions"][key]
        low, high = target[key]["interval"]
        assert 0 <= low <= target[key]["left"] <= high <= 1
        assert {"accuracy", "balanced_accuracy", "qwk", "auc", "left", "interval", "n"} <= set(target[key])
    assert value["transfer"]["rows"][0]["left"] == [target["protected"]["left"]]
    assert value["transfer"]["rows"][0]["surrogates"] == ["fundus-demo"]

    changed = []
    for name in names:
        with Pillow.open(place.samples.images / name) as a, Pillow.open(place.release / "images" / name) as b:
            changed.append(float((np.asarray(a) != np.asarray(b)).any(axis=2).mean()))
    quality = value["quality"]["protected"]
    assert quality["area"]["mean"] == pytest.approx(np.mean(changed))
    assert quality["area"]["worst"] == pytest.approx(max(changed))
    assert (quality["identical_outside"], quality["region_pixels_touched"], quality["marks"]) == (4, 0, 3)

    for measure in ("psnr", "psnr_outside_ink", "ssim_outside_ink", "contrast", "contrast_outside_ink"):
        assert quality[measure]["worst"] <= quality[measure]["median"]
    assert quality["covered"] == 0

    with (evaluate.out / "per_image.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["contrast"]) for row in rows] == pytest.approx(
        [one["contrast"] for one in sorted(quality["worst"], key=lambda one: one["image"])], rel=1e-5
    )
    assert [row["name"] for row in rows] == list(names)
    assert [GRADES.index(row["clean"]) for row in rows] == before
    assert [GRADES.index(row["protected"]) for row in rows] == after
    assert json.loads((evaluate.out / "report.json").read_text()) == value


def test_the_table_for_people(evaluate: Evaluate) -> None:
    answer = evaluate()
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    head = [
        "model",
        "images",
        "n",
        "accuracy",
        "left",
        "95 %",
        "kappa",
        "AUC (by chance)",
        "information left",
        "balanced",
    ]
    assert re.split(r" {2,}", lines[0]) == head
    assert [line.split()[:2] for line in lines[1:5]] == [
        ["fundus-demo", "clean"],
        ["white", "box"],
        ["kappa", "plain"],
        ["protected", "4"],
    ]
    assert lines[5] == ("fundus-demo, protected: 4 images are too few to measure what its answers still tell")
    assert lines[7].startswith("protected: local contrast kept ")
    assert lines[-1] == f"report in {evaluate.out / 'report.html'}"
    assert "4 images with a marked version" in answer.err
    assert "4/4" in answer.err


def test_the_same_command_gives_the_same_numbers(evaluate: Evaluate) -> None:
    first, second = (evaluate("--overwrite", "--seed", 5, "--json").out for _ in range(2))
    assert first == second


def test_several_releases(place: Place, evaluate: Evaluate, tmp_path: Path) -> None:
    """The second is a plain folder of copies of the originals, without a certificate."""
    plain = shutil.copytree(place.samples.images, tmp_path / "copies")
    (plain / place.samples.names[0]).unlink()
    answer = evaluate("--json", releases=[place.release, plain])
    assert answer.code == 0, answer.err
    (target,) = answer.json["targets"]
    assert target["conditions"]["protected"] == target["conditions"]["release"]
    assert target["conditions"]["copies"]["n"] == 3
    assert target["conditions"]["copies"]["left"] == 1
    assert [row["release"] for row in answer.json["transfer"]["rows"]] == [
        "release",
        "copies",
        None,
        None,
        None,
    ]
    assert "release copies: no certificate, so the models it was searched on are not known" in answer.err
    assert "3 images of copies are identical to their originals: they carry no mark" in answer.err


def test_a_target_that_cannot_be_loaded_is_left_out(evaluate: Evaluate) -> None:
    answer = evaluate("--json", targets=["broken.onnx", builtin_model(), "five.onnx"])
    assert answer.code == 1
    value = answer.json
    assert [target["name"] for target in value["targets"]] == ["fundus-demo"]
    assert [failed["target"] for failed in value["failed"]] == ["broken.onnx", "five.onnx"]
    lines = [line for line in answer.err.splitlines() if line.startswith("warning: target")]
    assert lines == [
        "warning: target broken.onnx is left out: model broken.onnx: ONNX Runtime cannot open it",
        "warning: target five.onnx is left out: model five.onnx: labels labels.csv, line 2: "
        "expected a class of the model, got 'mild'",
    ]


def test_images_that_only_one_side_has_or_that_are_broken(
    place: Place, evaluate: Evaluate, tmp_path: Path
) -> None:
    clean = shutil.copytree(place.samples.images, tmp_path / "clean")
    release = shutil.copytree(place.release, tmp_path / "release")
    first, second, third, fourth = place.samples.names
    (release / "images" / first).unlink()
    (clean / second).unlink()
    (release / "images" / third).write_bytes(b"no picture")
    secret = tmp_path / "secret.png"
    shutil.copy(clean / fourth, secret)
    os.symlink(secret, clean / "outside.png")
    os.symlink(secret, release / "images" / "outside.png")
    labels = tmp_path / "labels.csv"
    labels.write_text(f"{place.samples.labels.read_text()}../secret.png,mild\noutside.png,mild\n")
    answer = evaluate("--json", clean=clean, releases=[release], labels=labels)
    assert answer.code == 1
    value = answer.json
    assert value["images"] == 1
    assert value["skipped"] == [
        {"image": first, "reason": "no marked version", "code": "no-marked-version"},
        {"image": second, "reason": "no original, in release", "code": "no-original"},
    ]
    reason = f"{third} (marked): expected a PNG, TIFF, BMP, JPEG, DICOM or NIfTI image, got something else"
    assert value["failed"] == [{"image": third, "reason": reason, "code": "unsupported-image"}]
    assert f"failed: {reason}" in answer.err
    assert f"warning: no marked version of {first}" in answer.err
    assert f"warning: release release: no original of {second}" in answer.err
    assert "skipped outside.png: no images, or links to outside the folder" in answer.err


def test_images_without_a_label(place: Place, evaluate: Evaluate, tmp_path: Path) -> None:
    labels = tmp_path / "some.csv"
    name = place.samples.names[2]
    labels.write_text("image,grade\n" + f"{name},{place.samples.grades[2]}\n")
    answer = evaluate("--json", labels=labels)
    assert answer.code == 0
    value = answer.json
    assert value["images"] == 1
    assert [one["reason"] for one in value["skipped"]] == ["no label"] * 3
    assert "warning: left out, as they have no label: 3 files" in answer.err
    assert "all labels are the same class: kappa and AUC mean nothing and are null" in value["notes"]
    assert value["targets"][0]["clean"]["qwk"] is None


def test_the_limit_takes_the_first_by_name_and_says_so(place: Place, evaluate: Evaluate) -> None:
    labels = place.folder / "three.csv"
    rows = place.samples.labels.read_text().splitlines(keepends=True)
    labels.write_text("".join([rows[0], *rows[2:]]))  # none for the first image
    answer = evaluate("--json", "--limit", 2, labels=labels)
    value = answer.json
    assert value["images"] == 2
    with (evaluate.out / "per_image.csv").open(newline="") as stream:
        assert [row["name"] for row in csv.DictReader(stream)] == sorted(place.samples.names)[1:3]
    told = "--limit: only the first 2 of 3 images by name were judged"
    assert told in value["notes"]
    assert told in answer.err
    assert told in (evaluate.out / "report.html").read_text("utf-8")
    assert evaluate("--json", "--overwrite", "--limit", 4).json["notes"] == []


def test_the_help_tells_what_a_limit_takes(evaluate: Evaluate) -> None:
    words = " ".join(evaluate("--help").out.replace("│", " ").split())
    assert "Use only the first images by name, at most this many" in words
    assert "Attack at most this many images, evenly spread over all." in words
    assert "default the second of two, else label, class, diagnosis or grade." in words


def test_a_statement_that_is_none_costs_only_the_models(
    place: Place, evaluate: Evaluate, tmp_path: Path
) -> None:
    release = shutil.copytree(place.release, tmp_path / "release")
    (release / "certificate" / "statement.dsse.json").write_text("{}")
    answer = evaluate("--json", releases=[release])
    assert answer.code == 0
    assert answer.json["targets"][0]["white_box"] is False
    assert "the models it was searched on are not known" in answer.err


WRONG: dict[str, tuple[dict[str, Any], list[object], str]] = {
    "no clean": ({"clean": "gone"}, [], "input gone: no such file or folder"),
    "no release": ({"releases": ["gone"]}, [], "release gone: expected a folder"),
    "empty release": (
        {"releases": ["nothing"]},
        [],
        "release nothing: expected images (.bmp, .dcm, .dicom, .ima, .jfif, .jpe, .jpeg, .jpg, "
        ".nii, .nii.gz, .png, .tif, .tiff), found none",
    ),
    "nothing in common": (
        {},
        [],
        "expected marked versions of the originals in masks_only, found none",
    ),
    "no labels": ({"labels": "gone.csv"}, [], "labels gone.csv: no such file or directory"),
    "no column": ({}, ["--label-column", "stage"], "labels labels.csv: expected a column 'stage', got grade"),
    "no target": ({"targets": ["gone.onnx"]}, [], "model gone.onnx: no such file"),
    "no regions": ({}, ["--regions", "gone.csv"], "regions gone.csv: expected a file or folder that exists"),
    "opacity": ({}, ["--opacity", 2], "expected an opacity above 0 and at most 1, got 2"),
}


@pytest.mark.parametrize("case", WRONG, ids=list(WRONG))
def test_wrong_input_is_refused_with_one_sentence(case: str, place: Place, evaluate: Evaluate) -> None:
    options, more, message = WRONG[case]
    if case == "nothing in common":
        only = place.folder / "masks_only"
        only.mkdir(exist_ok=True)
        shutil.copy(place.samples.images / place.samples.names[0], only / "other.png")
        options = {"releases": [only]}
    answer = evaluate(*more, **options)
    errors = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert errors == [f"error: {message}"]
    assert (answer.code, answer.out) == (2, "")
    assert not evaluate.out.exists()


def test_an_output_in_the_way(place: Place, evaluate: Evaluate) -> None:
    evaluate.out.mkdir()
    (evaluate.out / "report.json").write_text("{}")
    answer = evaluate()
    assert (answer.code, answer.err.splitlines()[0]) == (2, "error: report exists already")
    assert evaluate("--overwrite").code == 0
    inside = Evaluate(evaluate.shell, place, place.release / "images" / "report")
    answer = inside()
    assert answer.code == 2
    assert answer.err.splitlines()[0] == "error: the output report lies inside release"
    assert not inside.out.exists()
