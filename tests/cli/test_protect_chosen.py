"""`medlocker protect` chooses a style on a sample: an interrupted run goes on with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medlocker.api.keptstyle import kept_style, style_to_keep
from medlocker.certificates import Owner
from medlocker.errors import WriteError
from medlocker.protect import Settings
from medlocker.release import FOLDER
from medlocker.release._journal import Journal, lines_path
from medlocker.veilstyle import VeilStyle
from runs import Shell, fill, picture, tiny_model

ASKED = Settings(preset="veil", opacity=(0.05, 0.15))
CHOSEN = Settings(preset="veil", opacity=(0.05, 0.1), style=VeilStyle(period=0.07, opacity=0.1), aim_class=1)


def test_a_run_goes_on_after_images_of_the_sample_changed(
    tmp_path: Path, owner_name: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = Shell(capfd, monkeypatch)
    source, model = fill(tmp_path / "in", 8), tiny_model(tmp_path)
    arguments = ["protect", source, "--model", model, "--owner", owner_name, "--no-ledger", "--seed", 1]
    arguments += ["--lesions", "none", "--out", "out"]
    add = Journal.add
    count = iter(range(99))

    def full(journal: Journal, *more: Any, **options: Any) -> None:
        if next(count) == 3:
            raise WriteError("cannot write the journal: no space left on device")
        add(journal, *more, **options)

    with monkeypatch.context() as broken:
        broken.setattr(Journal, "add", full)
        first = run(*arguments, cwd=tmp_path)
    assert first.code != 0
    assert "a veil chosen on a sample of the images" in first.err
    for k in range(8):
        (source / f"{k:02d}.png").write_bytes(picture(seed=90 + k, size=64))

    def never(*_: object, **__: object) -> Settings:
        raise AssertionError("chosen anew")

    monkeypatch.setattr("medlocker.api.protection.with_chosen_style", never)
    second = run(*arguments, cwd=tmp_path)
    assert second.code == 0, second.err
    assert not (tmp_path / "out" / FOLDER).exists()


@pytest.fixture
def unfinished(tmp_path: Path, owner: Owner) -> Path:
    Journal(tmp_path, run={"images": 1}, owner=owner, kept=style_to_keep(ASKED, CHOSEN)).close()
    return tmp_path


def test_what_was_chosen_comes_back(unfinished: Path, owner: Owner) -> None:
    assert kept_style(unfinished, ASKED, owner) == CHOSEN


def test_other_settings_choose_anew(unfinished: Path, owner: Owner) -> None:
    assert kept_style(unfinished, Settings(preset="veil", opacity=(0.05, 0.2)), owner) is None


def test_a_run_that_never_began_chooses_anew(unfinished: Path, owner: Owner) -> None:
    lines_path(unfinished).unlink()
    assert kept_style(unfinished, ASKED, owner) is None


def test_a_style_that_the_owner_did_not_write_does_not_count(unfinished: Path, owner: Owner) -> None:
    path = lines_path(unfinished)
    path.write_bytes(path.read_bytes().replace(b'"aim_class": 1', b'"aim_class": 0'))
    assert kept_style(unfinished, ASKED, owner) is None
