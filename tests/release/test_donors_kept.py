"""Decoys are made like other images' regions: those images may vanish before a run is continued."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medlocker.certificates import Owner, ReleaseSecret
from medlocker.engines import _engine as _engine
from medlocker.errors import MalformedError, MedlockerError
from medlocker.geometry import Box
from medlocker.protect import Donors, Outcome, Settings
from medlocker.regions import load_regions
from medlocker.release import run_release
from medlocker.release._donors import kept_donors
from medlocker.release._journal import FOLDER
from runs import check_release, fill, images_of, make_run, protect

SETTINGS = Settings(preset="veil", seed=1, budget=1)
SECRET = ReleaseSecret("0" * 32, bytes(32))


class Stopped(Exception):
    """Ends a run early."""


def test_a_mark_made_again_has_the_same_decoys(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_engine, "IN_FLIGHT", 1)
    source = fill(tmp_path / "in", 10)
    # the first image has no lesion, so it gets decoys like those of the others
    rows = [f"{k:02d}.png,a,{3 * k},20,9,9" for k in range(2, 10)]
    (tmp_path / "r.csv").write_text("\n".join(["image,region,x,y,width,height", *rows]))
    options: dict[str, Any] = {"settings": SETTINGS, "regions": load_regions(tmp_path / "r.csv")}
    protect(source, tmp_path / "whole", owner, **options)
    run = make_run(source, tmp_path / "out", owner, **options)

    def stop(outcome: Outcome) -> None:
        if outcome.index == 3:
            raise Stopped

    with pytest.raises(Stopped):
        run_release(run, progress=stop)
    (tmp_path / "out" / "images" / "00.png").unlink()
    (source / "02.png").rename(tmp_path / "02.png")  # a donor; with seven left there would be none
    run_release(run)
    assert images_of(tmp_path / "out") == images_of(tmp_path / "whole")
    (tmp_path / "02.png").rename(source / "02.png")
    check_release(source, tmp_path / "out", owner, tmp_path / "restored")
    assert not (tmp_path / "out" / FOLDER).exists()


@pytest.mark.parametrize("donors", [None, Donors.of([((Box(1, 2, 3, 4), Box(5, 6, 7, 8)), 90, 80)] * 8)])
def test_donors_are_found_once_and_sealed(tmp_path: Path, donors: Donors | None) -> None:
    (tmp_path / FOLDER).mkdir()
    assert kept_donors(tmp_path, SECRET, lambda: donors) == donors
    written = (tmp_path / FOLDER / "donors.age").read_bytes()
    assert written.startswith(b"age-encryption.org/v1")

    def never() -> Donors | None:
        raise AssertionError("looked for again")

    assert kept_donors(tmp_path, SECRET, never) == donors
    with pytest.raises(MedlockerError):
        kept_donors(tmp_path, ReleaseSecret("1" * 32, bytes(32)), never)


def test_donors_of_another_form_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / FOLDER).mkdir()
    kept_donors(tmp_path, SECRET, lambda: None)
    monkeypatch.setattr("medlocker.release._donors.unseal", lambda *_, **__: b"[[[1, 2]]]")
    with pytest.raises(MalformedError, match="donors: expected lists of boxes"):
        kept_donors(tmp_path, SECRET, lambda: None)
