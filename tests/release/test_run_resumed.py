"""What a resumed run tells while it looks at what is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console
from test_series import failing_after

from medlocker.api.protecttold import run_told
from medlocker.certificates import Owner
from medlocker.cli import _progress
from medlocker.errors import WriteError
from medlocker.protect import Outcome
from medlocker.release import run_release
from runs import fill, make_run, picture, protect


def interrupted(source: Path, out: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a run of which three images are done."""
    fill(source, 4)
    (source / "tiny.png").write_bytes(picture(size=12))
    heal = failing_after(monkeypatch, 3)
    with pytest.raises(WriteError):
        protect(source, out, owner)
    heal()


def test_every_image_that_is_looked_at_is_told(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    interrupted(source, out, owner, monkeypatch)
    told: list[int | str] = []

    def progress(outcome: Outcome) -> None:
        told.append(outcome.name)

    run_release(make_run(source, out, owner), progress=progress, checking=told.append)
    assert told[:3] == [3, 3, 3]
    assert sorted(map(str, told[3:])) == ["00.png", "01.png", "02.png", "03.png", "tiny.png"]
    told.clear()
    run_release(make_run(source, tmp_path / "new", owner), progress=progress, checking=told.append)
    assert len(told) == 5


def test_the_command_shows_it_on_a_bar(tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    interrupted(source, out, owner, monkeypatch)
    console = Console(record=True, width=200, force_terminal=True, quiet=False, stderr=True)
    monkeypatch.setattr(_progress, "stderr", console)
    run_told(make_run(source, out, owner), listener=_progress.Telling())
    shown = console.export_text()
    assert "checking what is there" in shown
    assert "3/3" in shown.rsplit("checking what is there", 1)[1].splitlines()[0]
    assert "5/5" in shown.rsplit("protecting", 1)[1].splitlines()[0]
    console = Console(record=True, width=200, force_terminal=True, stderr=True)
    monkeypatch.setattr(_progress, "stderr", console)
    run_told(make_run(source, tmp_path / "new", owner), listener=_progress.Telling())
    assert "checking" not in console.export_text()
