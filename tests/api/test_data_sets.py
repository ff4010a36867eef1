"""The commands as calls."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

import medlocker as ml
from runs import Shell, fill, picture, tiny_model


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return fill(tmp_path / "in", 3)


def test_a_release_is_that_of_the_command(
    source: Path,
    tmp_path: Path,
    owner_name: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny_model(tmp_path)
    counted: list[tuple[str, int, int]] = []
    (source / "tiny.png").write_bytes(picture(size=12))
    done = ml.protect(
        source,
        owner=owner_name,
        out=tmp_path / "api",
        models=model,
        seed=4,
        lesions="none",
        ledger=False,
        provenance="none",
        progress=lambda *told: counted.append(told),
    )
    assert (done.marked, len(done.skipped), done.failed) == (3, 1, ())
    assert "4 images" in done.notes
    assert counted[-1] == ("protecting", 4, 4)
    shell = Shell(capfd, monkeypatch)
    options = [
        "--model",
        model,
        "--owner",
        owner_name,
        "--seed",
        4,
        "--lesions",
        "none",
        "--no-ledger",
        "--provenance",
        "none",
        "--json",
    ]
    answer = shell("protect", source, "--out", tmp_path / "cli", *options, cwd=tmp_path)
    assert answer.code == 0, answer.err
    for name in ("00.png", "01.png", "02.png"):
        assert (tmp_path / "api/images" / name).read_bytes() == (tmp_path / "cli/images" / name).read_bytes()
    assert set(done.facts) == set(answer.json)


def test_columns_of_labels_are_named_as_there(source: Path, tmp_path: Path, owner_name: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("patient,photo,label,grade\np,00.png,9,1\np,01.png,9,0\np,02.png,9,2\n")
    options = {"owner": owner_name, "models": tiny_model(tmp_path), "ledger": False, "lesions": "none"}
    named = {"label_column": "grade", "image_column": "photo"}
    done = ml.protect(source, out=tmp_path / "r", labels=table, **named, **options)  # type: ignore[arg-type]
    assert done.run.labels is not None
    assert dict(done.run.labels.rows) == {"00.png": "1", "01.png": "0", "02.png": "2"}
    with pytest.raises(ml.errors.InputError, match=r"^--label-column requires --labels$"):
        ml.protect(source, out=tmp_path / "q", **named, **options)  # type: ignore[arg-type]


def test_settings_of_a_style_are_those_of_the_run(source: Path, tmp_path: Path, owner_name: Path) -> None:
    style = ml.Veil(opacity=0.11, decoys=False)
    done = ml.protect(source, owner=owner_name, out=tmp_path / "r", preset=style, seed=2, ledger=False)
    assert done.run.settings == dataclasses.replace(style.settings, seed=2)
    with Pillow.open(source / "00.png") as first, Pillow.open(tmp_path / "r/images/00.png") as marked:
        array = np.asarray(first)
        assert np.array_equal(style(None, array, seed=2).apply(array), np.asarray(marked))


def test_verify_grant_and_restore(source: Path, tmp_path: Path, owner_name: Path) -> None:
    release, pub = tmp_path / "r", f"{owner_name}.sign.pub"
    ml.protect(source, owner=owner_name, out=release, ledger=False, keep_original=True)
    assert ml.verify(release, owner=pub).valid
    granted = ml.grant(
        release, owner=owner_name, to=f"{owner_name}.age.pub", images="0[01]*", out=tmp_path / "g"
    )
    assert (granted.grant.image_count, granted.images) == (2, 3)
    counted: list[tuple[str, int, int]] = []
    back = ml.restore(
        release,
        owner=pub,
        identity=f"{owner_name}.age.key",
        grant=tmp_path / "g",
        out=tmp_path / "back",
        progress=lambda *told: counted.append(told),
    )
    assert (back.report.restored, back.report.not_granted) == (2, 1)
    assert counted[-1] == ("restoring", 2, 2)
    for name in ("00.png", "01.png"):
        assert (tmp_path / "back" / name).read_bytes() == (source / name).read_bytes()
    (release / "images/01.png").write_bytes(b"changed")
    assert not ml.verify(release, owner=pub).valid


def test_wrong_words_are_refused(source: Path, tmp_path: Path, owner_name: Path) -> None:
    def call(**options: object) -> None:
        ml.protect(source, owner=owner_name, out=tmp_path / "r", **options)  # type: ignore[arg-type]

    with pytest.raises(ml.errors.InputError, match="preset: expected paper, strong or veil, got 'x'"):
        call(preset="x")
    with pytest.raises(ml.errors.InputError, match="engine: expected local or ray"):
        call(engine="x")
    with pytest.raises(ml.errors.InputError, match="preset strong requires at least one"):
        call(preset="strong")
    assert not (tmp_path / "r").exists()
