"""A DICOM instance that is there several times is marked once, whichever of its copies is damaged."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import several
from test_groups import write_dicom
from test_series import by_first_letter, failing_after, marks_of

from killed import killed_child
from medlocker.certificates import Ledger, Owner
from medlocker.classifiers import load_classifier
from medlocker.engines import ray_engine
from medlocker.errors import WriteError
from medlocker.protect import Outcome, Settings
from medlocker.release import run_release
from pictures import smooth
from runs import check_release, images_of, make_run, protect, tiny_model

cluster = several.cluster
"""Fixtures."""

SERIES = "1.2.3"
SAME = Settings(preset="strong", budget=6, seed=1, provenance="none")
"""Files that name their release differ from one to the other."""


def slice_of(path: Path, number: int, *, cut: int = 0) -> None:
    """One slice; slices differ by grain only. A cut one keeps its header."""
    grain = np.random.default_rng(number).normal(20, 2, (48, 48))
    pixels = np.clip(smooth(48, 48, 1, seed=1)[..., 0] * 200 + grain, 0, 255).astype(np.uint8)
    write_dicom(path, series=SERIES, instance=f"{SERIES}.{number}", pixels=pixels)
    if cut:
        path.write_bytes(path.read_bytes()[:-cut])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Copies of three slices; the damaged ones sort first, and slice 1 would lead."""
    folder = tmp_path / "in"
    folder.mkdir()
    slice_of(folder / "a0.dcm", 0)
    slice_of(folder / "a1.dcm", 1, cut=50)
    slice_of(folder / "a2.dcm", 2, cut=100)
    for number in (0, 1, 2):
        slice_of(folder / f"b{number}.dcm", number)
        slice_of(folder / f"c{number}.dcm", number)
    return folder


def check(result: Any) -> None:
    """What an uninterrupted run tells."""
    assert [one["image"] for one in result.json["failed"]] == ["a1.dcm", "a2.dcm"]
    assert result.json["skipped"] == [
        {"image": "b0.dcm", "reason": "b0.dcm: the same instance as a0.dcm", "code": "same-instance"},
        {"image": "c0.dcm", "reason": "c0.dcm: the same instance as a0.dcm", "code": "same-instance"},
        {"image": "c1.dcm", "reason": "c1.dcm: the same instance as b1.dcm", "code": "same-instance"},
        {"image": "c2.dcm", "reason": "c2.dcm: the same instance as b2.dcm", "code": "same-instance"},
    ]
    assert (result.json["marked"], result.json["series"]) == (3, 2)


def test_the_intact_copy_is_marked(tmp_path: Path, owner: Owner, source: Path) -> None:
    seen: list[Outcome] = []
    with Ledger(tmp_path / "ledger", owner.signing) as ledger:
        run = make_run(source, tmp_path / "out", owner, ledger=ledger)
        check(run_release(run, progress=seen.append))
    assert sorted(one.index for one in seen) == list(range(9))
    images = check_release(source, tmp_path / "out", owner, tmp_path / "r")
    assert sorted(images) == ["a0.dcm", "b1.dcm", "b2.dcm"]
    assert len(set(marks_of(tmp_path / "out", owner).values())) == 1


@pytest.mark.parametrize("count", range(1, 9))
def test_resumed_after_any_image(
    tmp_path: Path, owner: Owner, source: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    whole = tmp_path / "whole"
    protect(source, whole, owner, settings=SAME)
    out = tmp_path / "out"
    for number in (count, max(1, 5 - count)):
        heal = failing_after(monkeypatch, number)
        with pytest.raises(WriteError, match=r"^cannot write the journal: no space left on device$"):
            protect(source, out, owner, settings=SAME)
        heal()
    check(protect(source, out, owner, settings=SAME))
    assert images_of(out) == images_of(whole)
    assert marks_of(out, owner) == marks_of(whole, owner)


@pytest.mark.parametrize(
    "moment", [20, *(pytest.param(k, marks=pytest.mark.slow) for k in range(5, 60, 5) if k != 20)]
)
def test_resumed_after_a_kill(tmp_path: Path, owner: Owner, source: Path, moment: int) -> None:
    protect(source, tmp_path / "whole", owner, settings=SAME)
    out = tmp_path / "out"
    assert killed_child(moment, out, protect, source, out, owner, workers=1, settings=SAME) == -signal.SIGKILL
    check(protect(source, out, owner, settings=SAME))
    assert images_of(out) == images_of(tmp_path / "whole")


def test_a_copy_takes_over_what_was_lost_while_a_run_was_interrupted(
    tmp_path: Path, owner: Owner, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was skipped for an image that is no longer there."""
    out = tmp_path / "out"
    heal = failing_after(monkeypatch, 8)
    with pytest.raises(WriteError):
        protect(source, out, owner)
    heal()
    (out / "images" / "a0.dcm").unlink()
    slice_of(source / "a0.dcm", 0, cut=1)
    result = protect(source, out, owner)
    assert [one["image"] for one in result.json["failed"]] == ["a0.dcm", "a1.dcm", "a2.dcm"]
    assert {
        "image": "c0.dcm",
        "reason": "c0.dcm: the same instance as b0.dcm",
        "code": "same-instance",
    } in result.json["skipped"]
    assert sorted(check_release(source, out, owner, tmp_path / "r")) == ["b0.dcm", "b1.dcm", "b2.dcm"]
    assert len(set(marks_of(out, owner).values())) == 1


def test_an_image_without_room_leaves_its_place_too(tmp_path: Path, owner: Owner) -> None:
    """Then its copy says so as well, if it has none either."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, size in (("a.dcm", 8), ("b.dcm", 8), ("c.dcm", 48), ("d.dcm", 48)):
        pixels = np.round(smooth(size, size, 1)[..., 0] * 255).astype(np.uint8)
        write_dicom(folder / name, series=SERIES, instance=SERIES, pixels=pixels)
    result = protect(folder, tmp_path / "out", owner, series_key=by_first_letter)
    assert [(one["image"], one["reason"][:17]) for one in result.json["skipped"]] == [
        ("a.dcm", "8 x 8 pixels leav"),
        ("b.dcm", "8 x 8 pixels leav"),
        ("d.dcm", "d.dcm: the same i"),
    ]
    assert list(images_of(tmp_path / "out")) == ["c.dcm"]
    assert result.exit_code == 0


@pytest.mark.slow
def test_on_a_ray_cluster(
    tmp_path: Path, cluster: Any, owner: Owner, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(tmp_path)
    settings = Settings(preset="paper", search="screened", budget=6, seed=1, provenance="none")
    run = make_run(source, tmp_path / "out", owner, classifiers=[load_classifier(model)], settings=settings)
    run_release(replace(run, release=tmp_path / "whole"))
    heal = failing_after(monkeypatch, 4)
    with pytest.raises(WriteError):
        run_release(replace(run, engine=ray_engine([model])))
    heal()
    check(run_release(replace(run, engine=ray_engine([model]))))
    assert images_of(tmp_path / "out") == images_of(tmp_path / "whole")
