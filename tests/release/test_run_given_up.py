"""A run that is ended for good: what its claims in the owner's ledger mean, and how they are given up."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from test_series import failing_after

from medlocker.certificates import Ledger, Owner, load_owner, new_owner, open_owner_grant
from medlocker.errors import InputError, WriteError
from runs import Shell, check_release, fill, images_of, make_run, picture, protect, tiny_model

CLAIMED = "an image with these pixels was marked in another way by a run that has not finished, release "


def release_id(out: Path, owner: Owner) -> str:
    return open_owner_grant(out, owner.identity(), owner=owner.signing.public).release


def begin(source: Path, out: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> str:
    """A run that ends early, and is never finished; returns its id."""
    heal = failing_after(monkeypatch, 2)
    with pytest.raises(WriteError):
        protect(source, out, owner, ledger=ledger)
    heal()
    return release_id(out, owner)


def test_after_a_dead_run_and_another_list(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By commands: refused with a way out, and marked once that is taken."""
    shell = Shell(capfd, monkeypatch)
    new_owner(tmp_path / "o")
    source = fill(tmp_path / "in", 4)
    model = tiny_model(tmp_path)
    command = ["protect", "in", "--model", model, "--owner", "o", "--budget", 3, "--preset", "paper"]
    heal = failing_after(monkeypatch, 2)
    answer = shell(*command, "--out", "out", cwd=tmp_path)
    heal()
    assert (answer.code, answer.out) == (1, "")
    dead = release_id(tmp_path / "out", load_owner(tmp_path / "o"))
    (source / "03.png").unlink()
    answer = shell(*command, "--out", "out", cwd=tmp_path)
    assert answer.code == 2
    assert "out holds an unfinished run with other inputs or options" in answer.err

    shutil.rmtree(tmp_path / "out")
    answer = shell(*command, "--out", "out", "--json", cwd=tmp_path)
    assert answer.code == 1
    failed = answer.json["failed"]
    assert failed
    assert {one["reason"] for one in failed} == {CLAIMED + dead}
    assert (
        "finish an unfinished run with the command that started it; if that is impossible, and only if none "
        "of its files was given away, --abandon-run ID frees its images to be marked again\n"
    ) in answer.err

    answer = shell(*command, "--out", "out2", "--no-ledger", "--abandon-run", dead, cwd=tmp_path)
    assert (answer.code, answer.out) == (2, "")
    assert "error: --abandon-run cannot be used with --no-ledger\n" in answer.err
    answer = shell(*command, "--out", "out2", "--abandon-run", "dead", cwd=tmp_path)
    assert (answer.code, answer.out) == (2, "")
    message = "ledger o.ledger.sqlite: expected the id of a run that has not finished, got 'dead'"
    assert f"error: {message}\n" in answer.err
    assert not (tmp_path / "out2").exists()
    answer = shell(*command, "--out", "out2", "--abandon-run", dead, "--json", cwd=tmp_path)
    assert (answer.json["marked"], len(answer.json["failed"])) == (len(failed), 3 - len(failed))
    assert {one["image"] for one in failed} == set(images_of(tmp_path / "out2"))


def test_a_run_that_was_given_up_cannot_be_finished(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = fill(tmp_path / "in", 3), tmp_path / "out"
    with Ledger(tmp_path / "l", owner.signing) as ledger:
        dead = begin(source, out, owner, monkeypatch, ledger)
        ledger.give_up(dead)
        with pytest.raises(InputError, match=rf"^release {dead} was given up"):
            protect(source, out, owner, ledger=ledger)
        result = protect(source, tmp_path / "again", owner, ledger=ledger)
        assert result.exit_code == 0
        check_release(source, tmp_path / "again", owner, tmp_path / "r")
    assert not (out / "certificate" / "statement.dsse.json").exists()


def test_given_up_while_it_is_at_work(tmp_path: Path, owner: Owner) -> None:
    """The last moment counts: nothing is signed."""
    from medlocker.release import run_release

    source, out = fill(tmp_path / "in", 3), tmp_path / "out"
    seen: list[object] = []
    with Ledger(tmp_path / "l", owner.signing) as ledger:

        def progress(outcome: object) -> None:
            seen.append(outcome)
            if len(seen) == 3:
                ledger.give_up(release_id(out, owner))

        with pytest.raises(InputError, match=r"^release [0-9a-f]{32} was given up"):
            run_release(make_run(source, out, owner, ledger=ledger), progress=progress)
        assert not (out / "certificate" / "statement.dsse.json").exists()
        assert protect(source, tmp_path / "again", owner, ledger=ledger).exit_code == 0


def test_a_finished_release_cannot_be_given_up(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = fill(tmp_path / "in", 3), tmp_path / "out"
    with Ledger(tmp_path / "l", owner.signing) as ledger:
        name = begin(source, out, owner, monkeypatch, ledger)
        protect(source, out, owner, ledger=ledger)
        with pytest.raises(InputError, match="expected the id of a run that has not finished"):
            ledger.give_up(name)
        other = picture(seed=1)
        (source / "02.png").write_bytes(other)
        result = protect(source, tmp_path / "b", owner, ledger=ledger)
        reasons = {one["reason"] for one in result.json["failed"]}
        assert reasons == {f"an image with these pixels was marked in another way in release {name}"}


def test_one_picture_twice_with_other_regions(tmp_path: Path, owner: Owner) -> None:
    """Equal pictures get equal marks, but for what is kept out of one alone."""
    from medlocker.regions import load_regions

    source = fill(tmp_path / "in", 1)
    (source / "01.png").write_bytes((source / "00.png").read_bytes())
    with Ledger(tmp_path / "l", owner.signing) as ledger:
        assert protect(source, tmp_path / "a", owner, ledger=ledger).json["marked"] == 2
    (tmp_path / "boxes.csv").write_text("image,region,x,y,width,height\n00.png,a,0,0,30,48\n")
    regions = load_regions(tmp_path / "boxes.csv").among(["00.png", "01.png"])
    with Ledger(tmp_path / "m", owner.signing) as ledger:
        result = protect(source, tmp_path / "b", owner, ledger=ledger, regions=regions)
    (failed,) = result.json["failed"]
    assert failed["reason"] == "an image with these pixels is in this run already, marked in another way"
    assert re.fullmatch("0[01].png", failed["image"])
