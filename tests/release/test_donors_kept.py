"""Decoys are made like other images' regions: those images may vanish before a run is continued."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from medlocker.certificates import Owner, ReleaseSecret
from medlocker.engines import _engine as _engine
from medlocker.errors import MalformedError, MedlockerError
from medlocker.geometry import Box
from medlocker.protect import DecoySource, Outcome, Settings
from medlocker.regions import load_regions
from medlocker.release import run_release
from medlocker.release._donors import kept_donors
from medlocker.release._journal import FOLDER, Journal, lines_path
from medlocker.store import blobs_path
from runs import check_release, fill, images_of, make_run, protect

SETTINGS = Settings(preset="veil", seed=1, budget=1)
RUN = {"images": 1}


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


@pytest.mark.parametrize("donors", [None, DecoySource.of([((Box(1, 2, 3, 4), Box(5, 6, 7, 8)), 90, 80)] * 8)])
def test_donors_are_found_once_and_sealed(tmp_path: Path, owner: Owner, donors: DecoySource | None) -> None:
    with closing(Journal(tmp_path, run=RUN, owner=owner)) as journal:
        assert kept_donors(journal, journal.secret, lambda: donors) == donors
    written = blobs_path(lines_path(tmp_path)).read_bytes()
    assert written.startswith(b"age-encryption.org/v1")

    def never() -> DecoySource | None:
        raise AssertionError("looked for again")

    with closing(Journal(tmp_path, run=RUN, owner=owner)) as journal:
        assert kept_donors(journal, journal.secret, never) == donors
        assert not journal.done
        with pytest.raises(MedlockerError):
            kept_donors(journal, ReleaseSecret("1" * 32, bytes(32)), never)


def test_donors_that_somebody_changed_are_found_again(tmp_path: Path, owner: Owner) -> None:
    with closing(Journal(tmp_path, run=RUN, owner=owner)) as journal:
        kept_donors(journal, journal.secret, lambda: None)
    path = blobs_path(lines_path(tmp_path))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    found: list[int] = []
    with closing(Journal(tmp_path, run=RUN, owner=owner)) as journal:
        kept_donors(journal, journal.secret, lambda: found.append(1))
    assert found == [1]


def test_donors_of_another_form_are_refused(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Journal(tmp_path, run=RUN, owner=owner)) as journal:
        kept_donors(journal, journal.secret, lambda: None)
        monkeypatch.setattr("medlocker.release._donors.unseal", lambda *_, **__: b"[[[1, 2]]]")
        with pytest.raises(MalformedError, match="donors: expected lists of boxes"):
            kept_donors(journal, journal.secret, lambda: None)
