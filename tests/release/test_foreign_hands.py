"""Somebody else writes into an unfinished release: nothing is signed that is not the owner's."""

from __future__ import annotations

import os
import random
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest

from medlocker.certificates import Ledger, Owner, open_release
from medlocker.errors import InputError, MalformedError, OutputExistsError
from medlocker.protect import Outcome
from medlocker.release import run_release
from medlocker.release._journal import FOLDER, lines_path
from medlocker.store import blobs_path
from runs import check_release, fill, images_of, make_run, protect, release_of

ATTACKS = runpy.run_path(os.fspath(Path(__file__).parents[2] / "scripts" / "attack_unfinished.py"))


class Stopped(Exception):
    """Ends a run early."""


def begin(source: Path, out: Path, owner: Owner, *, after: int = 2, **options: Any) -> None:
    seen = 0

    def stop(outcome: Outcome) -> None:
        nonlocal seen
        seen += 1
        if seen == after:
            raise Stopped

    with pytest.raises(Stopped):
        run_release(make_run(source, out, owner, workers=1, **options), progress=stop)


@pytest.mark.slow
def test_a_hundred_attacks(tmp_path: Path) -> None:
    ends = ATTACKS["attack_often"](tmp_path, 100, seed=2)
    assert sum(ends.values()) == 100
    assert {how for _, how in ends} == {"refused", "said, and made again", "finished"}


@pytest.mark.slow
def test_the_attacks_would_succeed_without_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = ATTACKS["make_bench"](tmp_path)
    monkeypatch.setattr("medlocker.store.hmac.compare_digest", lambda one, other: True)

    def often() -> None:
        for seed in range(40):
            ATTACKS["attack"](bench, "line edited", random.Random(seed))

    # the error is the attacks' own, or of a program that trusted what it read
    with pytest.raises((AssertionError, ValueError, TypeError, KeyError)):
        often()


@pytest.mark.parametrize("where", ["same name", "other name"])
def test_another_releases_secret_is_not_taken_over(tmp_path: Path, owner: Owner, where: str) -> None:
    """It may have been granted to others, who could then open this release too."""
    source = fill(tmp_path / "in", 3)
    out, other = tmp_path / "a" / "out", tmp_path / "b" / ("out" if where == "same name" else "other")
    with Ledger(tmp_path / "ledger", owner.signing) as ledger:
        begin(source, out, owner, ledger=ledger)
        begin(source, other, owner, ledger=ledger, same_mark=True)
        shutil.rmtree(out / FOLDER)
        shutil.copytree(other / FOLDER, out / FOLDER)
        message = (
            "an earlier run than the one" if where == "same name" else "the unfinished run of another folder"
        )
        with pytest.raises(InputError, match=f"^out holds {message}"):
            protect(source, out, owner, ledger=ledger)


def test_an_earlier_release_in_the_same_folder_is_not_gone_on_with(tmp_path: Path, owner: Owner) -> None:
    source, out = fill(tmp_path / "in", 3), tmp_path / "out"
    with Ledger(tmp_path / "ledger", owner.signing) as ledger:
        begin(source, out, owner, ledger=ledger)
        shutil.copytree(out, tmp_path / "copy")
        protect(source, out, owner, ledger=ledger)
        out.rename(tmp_path / "published")
        begin(source, out, owner, ledger=ledger, same_mark=True)
        shutil.rmtree(out)
        shutil.copytree(tmp_path / "copy", out)
        with pytest.raises(InputError, match=r"^out holds an earlier run than the one that began there$"):
            protect(source, out, owner, ledger=ledger, same_mark=True)


def test_an_owners_grant_in_the_folder_means_nothing(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 3)
    protect(source, tmp_path / "published", owner)
    begin(source, tmp_path / "out", owner)
    secret = release_of(tmp_path / "out", owner)
    grants = tmp_path / "out" / "certificate" / "grants"
    grants.mkdir(parents=True)
    shutil.copy(tmp_path / "published" / "certificate" / "grants" / "owner.age", grants)
    protect(source, tmp_path / "out", owner)
    check_release(source, tmp_path / "out", owner, tmp_path / "r")
    release = open_release(tmp_path / "out", owner.signing.public)
    assert release.statement.release == secret


@pytest.mark.parametrize("what", ["journal", "journal.blobs"])
def test_what_is_not_proved_is_made_again_and_said_once(tmp_path: Path, owner: Owner, what: str) -> None:
    source, out = fill(tmp_path / "in", 3), tmp_path / "out"
    protect(source, tmp_path / "whole", owner)
    begin(source, out, owner)
    path = out / FOLDER / what
    data = bytearray(path.read_bytes())
    data[-200 if what == "journal" else 700] ^= 1
    path.write_bytes(data)
    said: list[str] = []
    result = run_release(make_run(source, out, owner), say=said.append)
    assert result.json["marked"] == 3
    assert len(said) == 1
    assert said[0].startswith("somebody changed the ")
    assert said[0].endswith("made again")
    assert check_release(source, out, owner, tmp_path / "r") == images_of(tmp_path / "whole")


def test_a_changed_head_ends_the_run(tmp_path: Path, owner: Owner) -> None:
    """Another secret would draw other marks: two marked versions give an image away."""
    source, out = fill(tmp_path / "in", 3), tmp_path / "out"
    begin(source, out, owner)
    path = lines_path(out)
    path.write_bytes(path.read_bytes().replace(b'"grant": "', b'"grant": "A', 1))
    with pytest.raises(MalformedError, match=r"journal was not written with this key, or was changed since$"):
        protect(source, out, owner)
    assert blobs_path(path).exists()


@pytest.mark.parametrize("place", ["images", "images/sub", FOLDER, "certificate", "certificate/index"])
def test_links_out_of_the_release_are_refused(tmp_path: Path, owner: Owner, place: str) -> None:
    source, out = fill(tmp_path / "in", 1), tmp_path / "out"
    fill(source / "sub", 2)
    begin(source, out, owner)
    precious = tmp_path / "precious"
    shutil.copytree(out / place, precious) if (out / place).exists() else precious.mkdir()
    fill(precious, 2)
    before = {path: path.read_bytes() for path in precious.rglob("*") if path.is_file()}
    shutil.rmtree(out / place, ignore_errors=True)
    (out / place).parent.mkdir(exist_ok=True)
    (out / place).symlink_to(precious)
    with pytest.raises(OutputExistsError, match=f"^{place}: expected a folder of the release, got a link$"):
        protect(source, out, owner)
    assert {path: path.read_bytes() for path in precious.rglob("*") if path.is_file()} == before
