"""`medlocker protect --segmenter` and `--lesions` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from medlocker.certificates import Owner, open_release
from medlocker.cli.verify import regions_scope
from medlocker.demo.samples import write_samples
from onnx_models import make_segmenter
from runs import Answer, Shell, fill, tiny_model


@pytest.fixture
def shell(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capfd, monkeypatch)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two images, a classifier, and segmenters that find nothing, something, everything."""
    fill(tmp_path / "in", 2)
    tiny_model(tmp_path)
    make_segmenter(tmp_path / "nothing.onnx", bias=-1000.0)
    make_segmenter(tmp_path / "bright" / "model.onnx", bias=-40.0)
    make_segmenter(tmp_path / "everything.onnx", bias=1000.0)
    return tmp_path


def run(shell: Shell, place: Path, owner_name: Path, *more: object, source: str = "in") -> Answer:
    arguments: list[object] = ["protect", source, "--model", "tiny.onnx", "--owner", owner_name]
    arguments += ["--no-ledger", "--budget", 4, "--seed", 1, "--out", "out"]
    return shell(*arguments, *more, cwd=place)


def test_a_segmenter_is_named_in_output_and_statement(
    shell: Shell, place: Path, owner_name: Path, owner: Owner
) -> None:
    answer = run(shell, place, owner_name, "--segmenter", "bright", "--json")
    assert answer.code == 0
    digest = json.loads((place / "bright" / "model.card.json").read_text())["sha256"]
    assert answer.json["regions"]["source"] == f"segmenter:{digest}"
    assert answer.json["regions"]["clinician"] is False
    assert "kept out as lesions: what the segmenter finds, found by a program, not a clinician" in (
        answer.err
    )
    assert open_release(place / "out", owner.signing.public).statement.regions == f"segmenter:{digest}"


def test_a_segmenter_that_finds_nothing_is_warned_of(shell: Shell, place: Path, owner_name: Path) -> None:
    answer = run(shell, place, owner_name, "--segmenter", "nothing.onnx")
    assert answer.code == 0
    assert "the segmenter found no lesion in any image: a mark may cover one" in answer.err


def test_a_segmenter_that_finds_everything_skips_with_the_reason(
    shell: Shell, place: Path, owner_name: Path
) -> None:
    answer = run(shell, place, owner_name, "--segmenter", "everything.onnx", "--json")
    assert answer.json["marked"] == 0
    assert len(answer.json["skipped"]) == 2
    assert answer.json["skipped"][0]["reason"].endswith("the segmenter keeps out 100% of the image")


def test_a_broken_image_does_not_stop_the_others(shell: Shell, place: Path, owner_name: Path) -> None:
    (place / "in" / "02.png").write_bytes(b"no picture")
    answer = run(shell, place, owner_name, "--segmenter", "bright", "--json")
    assert answer.code == 1
    assert answer.json["marked"] == 2
    assert [entry["image"] for entry in answer.json["failed"]] == ["02.png"]


def test_candidates_of_photographs_are_called_what_they_are(
    shell: Shell, place: Path, owner_name: Path, owner: Owner
) -> None:
    write_samples(place / "eyes", count=2, width=200, height=200)
    answer = run(shell, place, owner_name, "--lesions", "auto", source="eyes/images")
    assert answer.code == 0
    assert (
        "kept out as lesions: candidates, found by a program, not a clinician; the certificate says so"
        in answer.err
    )
    assert "regions: candidates of a fundus photograph (2 images)" in answer.out
    statement = open_release(place / "out", owner.signing.public).statement
    assert statement.regions == "candidates: not a clinician's"
    told = shell("verify", "out", "--owner", f"{owner_name}.sign.pub", cwd=place)
    scope = "in images where any were found; how many is not stated"
    assert f"regions  candidates: not a clinician's ({scope})" in told.out.splitlines()
    told = shell("verify", "out", "--owner", f"{owner_name}.sign.pub", "--json", cwd=place)
    assert told.json["regions"] == "candidates: not a clinician's"
    assert told.json["regions_scope"] == scope


def test_how_many_images_had_any_is_told_to_the_owner(shell: Shell, place: Path, owner_name: Path) -> None:
    """The certificate, which is public, does not tell: of one image it would tell everything."""
    write_samples(place / "eyes", count=2, width=200, height=200)
    black = Image.new("RGB", (200, 200))
    black.save(place / "eyes" / "images" / "black.png")
    answer = run(shell, place, owner_name, "--lesions", "fundus", source="eyes/images")
    assert answer.code == 0
    assert "regions were found in 2 of 3 images: nothing is kept out in the others" in answer.out.splitlines()


@pytest.mark.parametrize(
    ("regions", "scope"),
    [
        ("none", ""),
        ("not stated", ""),
        ("given", "in images where any were given; how many is not stated"),
        (f"segmenter:{'0' * 64}", "in images where any were found; how many is not stated"),
        (
            "given + candidates: not a clinician's",
            "in images where any were given or found; how many is not stated",
        ),
    ],
)
def test_a_source_is_not_said_of_all_images(regions: str, scope: str) -> None:
    assert regions_scope(regions) == scope


def test_preset_paper_keeps_out_nothing_by_itself(shell: Shell, place: Path, owner_name: Path) -> None:
    answer = run(shell, place, owner_name, "--preset", "paper", "--json")
    assert answer.json["regions"]["source"] == "none"
    assert "no lesions are kept out: see --regions, --segmenter, --lesions" in answer.err


def test_preset_strong_looks_for_candidates_by_itself(shell: Shell, place: Path, owner_name: Path) -> None:
    answer = run(shell, place, owner_name, "--preset", "strong", "--json")
    assert answer.json["regions"]["source"] == "candidates: not a clinician's"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--segmenter", "tiny.onnx"), "segmenter tiny.onnx: expected a card tiny.card.json beside it"),
        (("--segmenter", "in"), "segmenter in: expected an .onnx file or a folder with model.onnx"),
        (("--segmenter", "nowhere"), "segmenter nowhere: expected an .onnx file or a folder"),
        (
            ("--segmenter", "bright", "--lesions", "fundus"),
            "--lesions fundus cannot be used with --regions or --segmenter",
        ),
        (
            ("--lesions", "attention"),
            "lesions attention: expected a model with gradients",
        ),
        (("--model", "bright/model.onnx"), "expected a classifier, got a model for 'segmentation'"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    shell: Shell, place: Path, owner_name: Path, options: tuple[str, ...], message: str
) -> None:
    answer = run(shell, place, owner_name, *options)
    assert answer.code == 2
    assert message in answer.err
    assert not (place / "out").exists()
