"""`medlocker protect --anatomy` as a user meets it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medlocker.certificates import Owner, open_release
from medlocker.demo.samples import SampleSet, write_samples
from medlocker.formats import read_image
from medlocker.images import viewed
from medlocker.regions import ANATOMY
from medlocker.regions._anatomy import KEPT_CLEAR, NO_FUNDUS, find_anatomy
from runs import Answer, Shell, fill, tiny_model


@pytest.fixture
def shell(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capfd, monkeypatch)


@pytest.fixture
def eyes(tmp_path: Path) -> SampleSet:
    tiny_model(tmp_path)
    return write_samples(tmp_path / "eyes", count=2, width=200, height=200)


def run(shell: Shell, place: Path, owner_name: Path, *more: object, source: str = "eyes/images") -> Answer:
    arguments: list[object] = ["protect", source, "--model", "tiny.onnx", "--owner", owner_name]
    arguments += ["--no-ledger", "--budget", 4, "--seed", 1, "--out", "out", "--anatomy"]
    return shell(*arguments, *more, cwd=place)


def test_disc_and_macula_are_kept_clear_beside_given_regions(
    shell: Shell, tmp_path: Path, eyes: SampleSet, owner_name: Path, owner: Owner
) -> None:
    answer = run(shell, tmp_path, owner_name, "--regions", "eyes/masks")
    assert answer.code == 0, answer.err
    said = "kept clear: optic disc and macula of fundus photographs, where classical means find them, "
    assert said + "found by a program, not a clinician; the certificate says so" in answer.err
    assert "the segmenter" not in answer.err
    assert f"{KEPT_CLEAR} (2 images)" in answer.out.splitlines()
    assert "regions were found in" not in answer.out
    statement = open_release(tmp_path / "out", owner.signing.public).statement
    assert statement.regions == f"given + {ANATOMY}"
    for path in eyes.images.iterdir():
        before = read_image(path.read_bytes(), name="x")
        after = read_image((tmp_path / "out" / "images" / path.name).read_bytes(), name="x")
        for box in find_anatomy(viewed(before))[0]:
            window = (slice(box.y, box.bottom), slice(box.x, box.right))
            assert np.array_equal(before.pixels[window], after.pixels[window])
    told = shell("verify", "out", "--owner", f"{owner_name}.sign.pub", cwd=tmp_path)
    scope = "in images where any were given or found; how many is not stated"
    assert f"regions  given + {ANATOMY} ({scope})" in told.out.splitlines()


def test_candidates_are_still_counted_by_themselves(
    shell: Shell, tmp_path: Path, eyes: SampleSet, owner_name: Path
) -> None:
    answer = run(shell, tmp_path, owner_name, "--lesions", "fundus", "--workers", 2, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["regions"] == {
        "source": f"candidates: not a clinician's + {ANATOMY}",
        "clinician": False,
        "marked_with_findings": 2,
    }
    assert answer.json["notes"][KEPT_CLEAR] == 2


def test_in_other_pictures_one_sentence_says_that_there_is_none(
    shell: Shell, tmp_path: Path, owner_name: Path
) -> None:
    fill(tmp_path / "in", 2)
    tiny_model(tmp_path)
    answer = run(shell, tmp_path, owner_name, "--lesions", "none", source="in")
    assert answer.code == 0, answer.err
    assert f"{NO_FUNDUS} (2 images)" in answer.out.splitlines()
    assert "no lesions are kept out: see --regions, --segmenter, --lesions" in answer.err
    assert "found no lesion" not in answer.err
