from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from medlocker.errors import InputError, WriteError
from medlocker.protect import Outcome
from medlocker.release import _journal
from medlocker.release._journal import FOLDER, Journal, is_unfinished

RUN = {"fingerprint": "x"}
RECORDS = [b"first record", b"", b"the third", b"4"]


def outcome(index: int) -> Outcome:
    status: Any = "marked" if RECORDS[index] else "skipped"
    return Outcome(index, f"é{index}.png", status, "no room", clean_correct=(True,), fooled=(False,))


def write(release: Path) -> None:
    journal = Journal(release, run=RUN)
    for index, record in enumerate(RECORDS):
        entry = {"name": f"{index}", "file": "f", "pixels": "p"} if record else None
        journal.add(outcome(index), entry=entry, record=record)
    journal.close()


def read(release: Path) -> tuple[list[int], list[tuple[int, bytes]]]:
    journal = Journal(release, run=RUN)
    try:
        return sorted(journal.done), [(index, blob) for index, _, blob in journal.marked()]
    finally:
        journal.close()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path)
    assert is_unfinished(tmp_path)
    journal = Journal(tmp_path, run=RUN)
    assert [journal.done[index].outcome for index in range(4)] == [outcome(index) for index in range(4)]
    assert [(i, e["name"], blob) for i, e, blob in journal.marked()] == [
        (0, "0", b"first record"),
        (2, "2", b"the third"),
        (3, "3", b"4"),
    ]
    journal.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", ["journal.jsonl", "records.seal"])
def test_a_journal_cut_anywhere_keeps_its_whole_beginning(tmp_path: Path, file: str) -> None:
    write(tmp_path)
    folder = tmp_path / FOLDER
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    counts = set()
    for length in range(len(whole[file])):
        for name, data in whole.items():
            (folder / name).write_bytes(data[:length] if name == file else data)
        done, marked = read(tmp_path)
        assert done == list(range(len(done)))
        assert marked == [(i, RECORDS[i]) for i in done if RECORDS[i]]
        if file == "journal.jsonl":
            assert len(done) == whole[file][:length].count(b"\n")
        counts.add(len(done))
        # what was cut is gone from both files, and the journal goes on
        journal = Journal(tmp_path, run=RUN)
        for index in range(len(done), 4):
            entry = {"name": "n"} if RECORDS[index] else None
            journal.add(outcome(index), entry=entry, record=RECORDS[index])
        journal.close()
        assert read(tmp_path) == ([0, 1, 2, 3], [(i, RECORDS[i]) for i in (0, 2, 3)])
    assert counts == ({0, 1, 2, 3} if file == "journal.jsonl" else {0, 2, 3})


@pytest.mark.parametrize(
    "line", [b"\0" * 40 + b"\n", b"[]\n", b"{}\n", b'{"outcome": 1}\n', b"\xff\n", b"[" * 5000 + b"\n"]
)
def test_foreign_lines_end_it(tmp_path: Path, line: bytes) -> None:
    write(tmp_path)
    path = tmp_path / FOLDER / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + line + lines[1])
    assert read(tmp_path) == ([0], [(0, b"first record")])


def test_an_image_noted_twice_counts_once(tmp_path: Path) -> None:
    write(tmp_path)
    journal = Journal(tmp_path, run=RUN)
    journal.add(outcome(0), entry={"name": "0"}, record=b"newer")
    journal.close()
    assert read(tmp_path) == ([0, 1, 2, 3], [(0, b"newer"), (2, b"the third"), (3, b"4")])


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path, run=RUN)
    journal.add(outcome(0), entry={"name": "0"}, record=RECORDS[0])
    honest = _journal._write_all

    def half(file: Any, data: bytes) -> None:
        honest(file, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    for broken_call in (1, 2):
        calls = iter([honest] * (broken_call - 1) + [half])
        monkeypatch.setattr(_journal, "_write_all", lambda file, data: next(calls)(file, data))  # noqa: B023
        with pytest.raises(WriteError, match=r"^cannot write the journal: no space left on device$"):
            journal.add(outcome(2), entry={"name": "2"}, record=RECORDS[2])
        assert sorted(journal.done) == [0]
    monkeypatch.setattr(_journal, "_write_all", honest)
    journal.add(outcome(3), entry={"name": "3"}, record=RECORDS[3])
    journal.close()
    assert read(tmp_path) == ([0, 3], [(0, RECORDS[0]), (3, RECORDS[3])])


def test_a_journal_belongs_to_one_run_and_one_process(tmp_path: Path) -> None:
    first = Journal(tmp_path, run=RUN)
    with pytest.raises(InputError, match=f"^another run is writing to {tmp_path.name}$"):
        Journal(tmp_path, run=RUN)
    first.close()
    with pytest.raises(
        InputError, match=f"^{tmp_path.name} holds an unfinished run with other inputs or options$"
    ):
        Journal(tmp_path, run={"fingerprint": "y"})
    Journal(tmp_path, run=RUN).close()
    assert json.loads((tmp_path / FOLDER / "run.json").read_bytes()) == RUN


def test_a_run_killed_before_it_began(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    (folder / ".medlocker-tmp-0123").write_bytes(b"half")
    assert not is_unfinished(tmp_path)
    journal = Journal(tmp_path, run=RUN)
    journal.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    user = os.geteuid()
    if user == 0:  # root may write everywhere: be nobody for a moment
        os.seteuid(65534)
    try:
        with pytest.raises(WriteError, match=r"permission denied$"):
            Journal(tmp_path, run=RUN)
    finally:
        os.seteuid(user)


def test_a_release_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(WriteError, match=r"^cannot make the folder \.medlocker-run: not a directory$"):
        Journal(tmp_path / "file", run=RUN)
