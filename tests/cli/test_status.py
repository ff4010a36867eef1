"""How far a release is, asked in every state of a run."""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from medlocker.certificates import Owner
from medlocker.errors import (
    InputError,
    MalformedError,
    MedlockerError,
    ModelError,
    OutputExistsError,
    WriteError,
)
from medlocker.protect import Outcome
from medlocker.release import RunStatus, count_existing, run_release, start_marker, status_of
from medlocker.release._journal import FOLDER, Journal
from runs import Shell, fill, images_of, make_run, medlocker, picture, protect

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
def shell(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capfd, monkeypatch)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three images to mark, one without room, one broken."""
    folder = fill(tmp_path / "in", 3)
    (folder / "00a.png").write_bytes(picture(size=12))
    (folder / "00b.png").write_bytes(picture()[:200])
    return folder


def interrupted(source: Path, out: Path, owner: Owner, *, after: int) -> None:
    """Leave a run that ends when so many images are known."""
    seen: list[Outcome] = []

    def progress(outcome: Outcome) -> None:
        seen.append(outcome)
        if len(seen) == after:
            raise WriteError("enough")

    with pytest.raises(WriteError, match=r"^enough$"):
        run_release(make_run(source, out, owner), progress=progress)


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_an_unfinished_run(tmp_path: Path, owner: Owner, source: Path, shell: Shell) -> None:
    out = tmp_path / "out"
    interrupted(source, out, owner, after=5)
    before = contents(out)
    answer = shell("status", out, cwd=tmp_path)
    assert (answer.code, answer.err) == (0, "")
    assert re.fullmatch(
        rf"unfinished, begun {TIME}: marked 3 of 5 images, 1 skipped, 1 failed \(they are tried again\)\n"
        rf"the latest image was finished {TIME}\n"
        r"no run is writing to it now: repeat the same `protect` command: it continues from here\n",
        answer.out,
    )
    told = shell("status", out, "--json", cwd=tmp_path).json
    assert re.fullmatch(TIME, told.pop("since"))
    assert re.fullmatch(TIME, told.pop("latest"))
    assert told == {
        "state": "unfinished",
        "images": 5,
        "marked": 3,
        "skipped": 1,
        "failed": 1,
        "running": False,
        "damaged": False,
        "next": "repeat the same `protect` command: it continues from here",
    }
    assert contents(out) == before


def test_while_a_run_is_at_work(tmp_path: Path, owner: Owner, source: Path, shell: Shell) -> None:
    out = tmp_path / "out"
    told: list[Any] = []

    def ask(outcome: Outcome) -> None:
        told.append(shell("status", out, "--json", cwd=tmp_path).json)

    run_release(make_run(source, out, owner), progress=ask)
    assert {one["running"] for one in told} == {True}
    assert {one["next"] for one in told} == {"wait for it, or interrupt it: the same command then continues"}
    assert [one["marked"] + one["skipped"] + one["failed"] for one in told][-1] == 5
    assert len(images_of(out)) == 3


def test_a_finished_release(tmp_path: Path, owner: Owner, source: Path, shell: Shell) -> None:
    protect(source, tmp_path / "out", owner)
    answer = shell("status", "out", cwd=tmp_path)
    assert re.fullmatch(
        rf"finished {TIME}: marked 3 of 5 images, 1 skipped, 1 failed\n"
        r"all marked files are there, the signature was not checked: check it with `medlocker verify`\n",
        answer.out,
    )
    told = shell("status", "out", "--json", cwd=tmp_path).json
    assert re.fullmatch(TIME, told.pop("created"))
    assert told == {
        "state": "finished",
        "images": 5,
        "marked": 3,
        "skipped": 1,
        "failed": 1,
        "there": 3,
        "missing": 0,
        "verified": False,
        "next": "check it with `medlocker verify`",
    }


def test_a_finished_release_that_lost_files(tmp_path: Path, owner: Owner, source: Path, shell: Shell) -> None:
    protect(source, tmp_path / "out", owner)
    (tmp_path / "out" / "images" / "01.png").unlink()
    (tmp_path / "out" / "images" / "other.png").write_bytes(b"in its place")
    answer = shell("status", "out", cwd=tmp_path)
    advice = "`medlocker verify` names them; take them from a copy, a release is never changed"
    assert (answer.code, answer.out.splitlines()[1:]) == (
        0,
        [f"1 of the 3 marked files are missing: {advice}"],
    )
    told = shell("status", "out", "--json", cwd=tmp_path).json
    assert (told["state"], told["there"], told["missing"], told["next"]) == ("finished", 2, 1, advice)
    (tmp_path / "out" / "certificate" / "index" / "other.jsonl").write_bytes(b"no shard")
    (tmp_path / "out" / "certificate" / "index" / "00000.jsonl").unlink()
    told = shell("status", "out", "--json", cwd=tmp_path).json
    assert (told["there"], told["missing"]) == (0, 3)
    (tmp_path / "out" / "certificate" / "index" / "00001.jsonl").write_bytes(b"{}\n")
    answer = shell("status", "out", cwd=tmp_path)
    assert (answer.code, answer.out) == (3, "")
    assert answer.err == "error: index/00001.jsonl line 1: missing field 'file'\n"


def test_what_a_finished_release_keeps_of_its_run_is_a_leftover(
    tmp_path: Path, owner: Owner, source: Path, shell: Shell
) -> None:
    """Of a run that was killed while its journal was being removed."""
    protect(source, tmp_path / "out", owner)
    (tmp_path / "out" / FOLDER).mkdir()
    assert shell("status", "out", "--json", cwd=tmp_path).json["state"] == "finished"


def test_only_files_are_counted(tmp_path: Path, owner: Owner) -> None:
    protect(fill(tmp_path / "in", 2), tmp_path / "out", owner)
    assert count_existing(tmp_path / "out") == 2
    path = tmp_path / "out" / "images" / "00.png"
    path.unlink()
    path.mkdir()
    assert count_existing(tmp_path / "out") == 1


# -------------------------------------------------------------------------------------- the first seconds


def test_a_run_that_is_starting(tmp_path: Path, shell: Shell) -> None:
    out = tmp_path / "new" / "out"
    with start_marker(out):
        answer = shell("status", out, cwd=tmp_path)
        assert (answer.code, answer.err) == (0, "")
        assert answer.out == (
            "a run is starting, and opens its models: wait for it, or interrupt it: the same command then "
            "continues\n"
        )
        told = shell("status", out, "--json", cwd=tmp_path).json
        assert re.fullmatch(TIME, told.pop("since"))
        assert told == {
            "state": "starting",
            "images": None,
            "marked": 0,
            "skipped": 0,
            "failed": 0,
            "latest": None,
            "running": True,
            "damaged": False,
            "next": "wait for it, or interrupt it: the same command then continues",
        }
        with pytest.raises(InputError, match=r"^another run is writing to out$"), start_marker(out):
            pass
        assert shell("status", out, "--json", cwd=tmp_path).json["running"]
    assert not (tmp_path / "new").exists()
    (out / FOLDER).mkdir(parents=True)
    (out / FOLDER / "start").touch()  # of a killed one
    answer = shell("status", out, cwd=tmp_path)
    assert answer.out == ("a run ended before it began: repeat the `protect` command: nothing was done yet\n")
    with start_marker(out):
        pass
    assert [path.name for path in (out / FOLDER).iterdir()] == []


def test_what_starts_and_then_runs(tmp_path: Path, owner: Owner, source: Path, shell: Shell) -> None:
    """An unfinished run that is about to go on is at work, too."""
    out = tmp_path / "out"
    interrupted(source, out, owner, after=3)
    with start_marker(out):
        told = shell("status", out, "--json", cwd=tmp_path).json
        assert (told["state"], told["running"]) == ("unfinished", True)
        protect(source, out, owner)
        assert shell("status", out, "--json", cwd=tmp_path).json["state"] == "finished"
    assert not (out / FOLDER).exists()


def test_the_command_shows_itself_before_it_opens_its_models(
    tmp_path: Path, owner_name: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[RunStatus | None] = []

    def refuse(*_: object, **__: object) -> None:
        seen.append(status_of(tmp_path / "out"))
        raise ModelError("cannot be opened")

    fill(tmp_path / "in", 1)
    monkeypatch.setattr("medlocker.api.protection.load_classifier", refuse)
    answer = shell("protect", "in", "--model", "m", "--owner", owner_name, "--out", "out", cwd=tmp_path)
    assert (answer.code, answer.err) == (2, "error: cannot be opened\n")
    assert [found and (found.starting, found.running) for found in seen] == [(True, True)]
    assert not (tmp_path / "out").exists()


def test_a_place_where_no_run_can_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=r"^cannot make the folder out: not a directory$"):
        start_marker(tmp_path / "file" / "out").__enter__()
    (tmp_path / "out" / FOLDER / "start").mkdir(parents=True)
    os.rmdir(tmp_path / "out" / FOLDER / "start")
    (tmp_path / "out" / FOLDER / "start").symlink_to("start")
    with pytest.raises(WriteError, match=r"^cannot write to out: too many levels of symbolic links$"):
        start_marker(tmp_path / "out").__enter__()


def test_neither(tmp_path: Path, shell: Shell) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    for name in ("empty", "file", "missing"):
        answer = shell("status", name, "--json", cwd=tmp_path)
        message = f"{name}: expected a release, or a run that makes one"
        hint = "a run shows itself here a moment after its command, once its inputs are listed"
        assert (answer.code, answer.json) == (2, {"error": message, "hint": hint, "code": "input"})
        assert answer.err == f"error: {message}\n  {hint}\n"


@pytest.mark.parametrize(
    "predicate", [{}, {"images": 1, "counts": 3, "created": "x"}, {"images": True, "counts": {}}]
)
def test_a_statement_that_lacks_numbers(tmp_path: Path, shell: Shell, predicate: object) -> None:
    folder = tmp_path / "out" / "certificate"
    folder.mkdir(parents=True)
    payload = base64.b64encode(json.dumps({"predicate": predicate}).encode()).decode()
    (folder / "statement.dsse.json").write_text(json.dumps({"payload": payload}))
    answer = shell("status", "out", cwd=tmp_path)
    assert (answer.code, answer.out) == (3, "")
    assert answer.err == "error: statement.dsse.json: expected numbers of images and a time\n"


def test_torn_lines_and_lost_facts_are_borne(tmp_path: Path, owner: Owner, source: Path) -> None:
    out = tmp_path / "out"
    interrupted(source, out, owner, after=5)
    path = out / FOLDER / "journal"
    lines = path.read_bytes()
    for length in range(lines.index(b"\n") + 1, len(lines)):
        path.write_bytes(lines[:length])
        found = status_of(out)
        assert found is not None
        assert found.marked + found.skipped + found.failed == lines[:length].count(b"\n") - 1
        assert (found.latest is None) == (lines[:length].count(b"\n") == 1)
        assert (found.images, found.damaged) == (5, False)
    code = b"0" * 64 + b" "
    for odd in (b"[]", b"{", b'{"run": {"images": "5"}}', b"[" * 100_000, b"", code, code + b"[]"):
        path.write_bytes(odd)
        found = status_of(out)
        assert found is not None
        assert (found.images, found.marked, found.damaged, found.lost) == (None, 0, True, True)


@pytest.mark.parametrize(
    ("left", "kind", "message"),
    [
        (None, OutputExistsError, "^out holds an unfinished run whose journal is missing$"),
        (
            b"",
            MalformedError,
            r"^\.medlocker-run/journal was not written with this key, or was changed since$",
        ),
        (b"0" * 64 + b" {", MalformedError, r"^\.medlocker-run/journal was not written with this key"),
    ],
)
def test_without_its_journal_a_run_goes_on_neither_in_words_nor_in_fact(
    tmp_path: Path,
    owner: Owner,
    source: Path,
    shell: Shell,
    left: bytes | None,
    kind: type[MedlockerError],
    message: str,
) -> None:
    out = tmp_path / "out"
    interrupted(source, out, owner, after=2)
    (out / FOLDER / "journal").unlink()
    if left is not None:
        (out / FOLDER / "journal").write_bytes(left)
    answer = shell("status", "out", "--json", cwd=tmp_path)
    assert (answer.json["state"], answer.json["damaged"]) == ("unfinished", True)
    assert answer.json["next"].startswith("put back the journal that was there, or choose another output")
    assert "continues" not in shell("status", "out", cwd=tmp_path).out
    before = contents(out)
    with pytest.raises(kind, match=message) as refused:
        run_release(make_run(source, out, owner))
    assert refused.value.hint.startswith("put back ")
    assert contents(out) == before


def test_a_run_may_begin_while_it_is_asked(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking holds the lock for a moment; a run that begins right then waits that long."""
    import fcntl

    Journal(tmp_path, run={"images": 1}, owner=owner).close()
    descriptor = os.open(tmp_path / FOLDER, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            os.close(descriptor)

    monkeypatch.setattr("medlocker.release._journal.time.sleep", wait)
    Journal(tmp_path, run={"images": 1}, owner=owner).close()
    assert len(waits) == 2


def test_a_link_that_leads_to_itself(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    answer = medlocker("status", "circle", "--json", cwd=tmp_path)
    assert answer.code == 2
    assert "Traceback" not in answer.err
    assert answer.json["error"].startswith("circle: ")


@pytest.mark.parametrize("what", ["pipe", "link", "pipe as facts", "folder as facts"])
def test_what_is_no_run(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "out" / FOLDER
    folder.parent.mkdir()
    if what == "pipe":
        os.mkfifo(folder)
    elif what == "link":
        folder.symlink_to(tmp_path)
    else:
        folder.mkdir()
        (os.mkfifo if "pipe" in what else os.mkdir)(folder / "journal")
    answer = medlocker("status", tmp_path / "out", "--json")
    assert answer.code == 2
    assert answer.json["error"] == "out: expected a release, or a run that makes one"


def test_pipes_keep_nobody_waiting(tmp_path: Path) -> None:
    folder = tmp_path / "out" / FOLDER
    folder.mkdir(parents=True)
    os.mkfifo(folder / "start")
    answer = medlocker("status", tmp_path / "out", "--json")
    assert (answer.code, answer.json["state"], answer.json["running"]) == (0, "starting", False)


def test_this_folder_has_a_name(tmp_path: Path) -> None:
    answer = medlocker("status", ".", cwd=tmp_path)
    assert answer.err.startswith(f"error: {tmp_path.name}: expected a release, or a run that makes one\n")
