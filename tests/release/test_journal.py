from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from medlocker import store as store_module
from medlocker.certificates import IndexEntry, Owner, load_owner, new_owner
from medlocker.errors import InputError, MalformedError, WriteError
from medlocker.protect import Outcome
from medlocker.release import status_of
from medlocker.release._journal import FOLDER, ChangedRecordsError, Journal, is_unfinished, lines_path
from medlocker.release._journalindex import Done
from medlocker.store import blobs_path

RUN: dict[str, str | int] = {"fingerprint": "x", "images": 4}
RECORDS = [b"first record", None, b"the third", b"4"]

Begin = Callable[..., Journal]


@pytest.fixture
def begin(tmp_path: Path, owner: Owner) -> Begin:
    return lambda **options: Journal(tmp_path, **{"run": RUN, "owner": owner, **options})


def outcome(index: int) -> Outcome:
    status: Any = "marked" if RECORDS[index] else "skipped"
    return Outcome(index, f"é{index}.png", status, "no room", clean_correct=(True,), fooled=(False,))


def entry(index: int) -> IndexEntry | None:
    return IndexEntry(index, f"{index}.png", "f" * 64, "a" * 64) if RECORDS[index] else None


def add(journal: Journal, index: int) -> None:
    journal.add(outcome(index), entry=entry(index), record=RECORDS[index])


@pytest.fixture
def written(begin: Begin, tmp_path: Path) -> Path:
    journal = begin()
    for index in range(4):
        add(journal, index)
    journal.close()
    return lines_path(tmp_path)


def read(begin: Begin) -> tuple[list[int], list[tuple[int, bytes]], bool]:
    journal = begin()
    try:
        return sorted(journal.done), [(one.index, blob) for one, blob in journal.marked()], journal.lost
    finally:
        journal.close()


ALL = [(0, b"first record"), (2, b"the third"), (3, b"4")]


def test_what_is_written_is_read(begin: Begin, written: Path, tmp_path: Path) -> None:
    assert is_unfinished(tmp_path)
    journal = begin()
    assert [journal.done[index].outcome for index in range(4)] == [outcome(index) for index in range(4)]
    assert [one for one, _ in journal.marked()] == [entry(index) for index in (0, 2, 3)]
    journal.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_journal_cut_anywhere_goes_on(begin: Begin, written: Path) -> None:
    whole, records = written.read_bytes(), blobs_path(written).read_bytes()
    for length in range(whole.index(b"\n") + 1, len(whole), 7):
        written.write_bytes(whole[:length])
        blobs_path(written).write_bytes(records)
        journal = begin()
        assert len(journal.done) == whole[:length].count(b"\n") - 1
        assert not journal.lost
        for index in range(len(journal.done), 4):
            add(journal, index)
        journal.close()
        assert read(begin) == ([0, 1, 2, 3], ALL, False)


def test_an_image_noted_twice_counts_once(begin: Begin, written: Path) -> None:
    journal = begin()
    journal.add(outcome(0), entry=entry(0), record=b"newer")
    journal.close()
    assert read(begin) == ([0, 1, 2, 3], [(0, b"newer"), *ALL[1:]], False)


def test_what_was_dropped_stays_so(begin: Begin, written: Path) -> None:
    journal = begin()
    journal.drop(2)
    journal.close()
    assert read(begin) == ([0, 1, 3], [ALL[0], ALL[2]], False)


def test_changed_records_count_no_longer(begin: Begin, written: Path) -> None:
    path = blobs_path(written)
    path.write_bytes(path.read_bytes().replace(b"third", b"th1rd"))
    with pytest.raises(ChangedRecordsError, match=r"^somebody changed the sealed records of 1 images"):
        read(begin)
    assert read(begin) == ([0, 1, 3], [ALL[0], ALL[2]], False)


def test_a_full_disk_leaves_the_journal_as_it_was(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = begin()
    add(journal, 0)

    def full(file: Any, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(store_module, "_write_all", full)
        with pytest.raises(WriteError, match=r"^cannot write the journal: no space left on device$"):
            add(journal, 2)
    assert sorted(journal.done) == [0]
    add(journal, 3)
    journal.close()
    assert read(begin) == ([0, 3], [ALL[0], ALL[2]], False)


def test_a_journal_belongs_to_one_run_and_one_process(begin: Begin, tmp_path: Path) -> None:
    first = begin()
    with pytest.raises(InputError, match=f"^another run is writing to {tmp_path.name}$"):
        begin()
    secret = first.secret
    first.close()
    with pytest.raises(
        InputError, match=f"^{tmp_path.name} holds an unfinished run with other inputs or options$"
    ):
        begin(run={"fingerprint": "y", "images": 4})
    again = begin()
    assert (again.secret, again.is_new, first.is_new) == (secret, False, True)
    again.close()


# ------------------------------------------------------------ what somebody else wrote does not count


def test_another_owners_run_is_refused(begin: Begin, written: Path, tmp_path: Path) -> None:
    new_owner(tmp_path / "other")
    with pytest.raises(MalformedError, match=r"^\.medlocker-run/journal was not written with this key"):
        begin(owner=load_owner(tmp_path / "other"))


def test_a_run_of_another_folder_is_refused(
    begin: Begin, written: Path, tmp_path: Path, owner: Owner
) -> None:
    """Its secret may have been granted to others."""
    (tmp_path / "b").mkdir()
    (tmp_path / FOLDER).rename(tmp_path / "b" / FOLDER)
    with pytest.raises(InputError, match=r"^b holds the unfinished run of another folder$"):
        Journal(tmp_path / "b", run=RUN, owner=owner)


def _base(index: int = 1) -> dict[str, Any]:
    return Done(outcome(index), entry(index)).to_json()


def _outcome(**change: Any) -> dict[str, Any]:
    return {**_base(), "outcome": {**_base()["outcome"], **change}}


def _without(name: str) -> dict[str, Any]:
    return {**_base(), "outcome": {key: one for key, one in _base()["outcome"].items() if key != name}}


def _marked(**change: Any) -> dict[str, Any]:
    return {**_base(2), "entry": {**_base(2)["entry"], **change}, "blob": asdict(_blob())}


def _blob(**change: Any) -> Any:
    from medlocker.store import Blob

    return Blob(**{"offset": 12, "length": 0, "sha256": "0" * 64, **change})


ODD: dict[str, Any] = {
    "list": [],
    "empty object": {},
    "null": None,
    "number": 1,
    "text": "x",
    "truth": True,
    "outcome null": {**_base(), "outcome": None},
    "outcome list": {**_base(), "outcome": []},
    "no outcome": {"stamp": "", "series": "", "entry": None},
    "no index": _without("index"),
    "no name": _without("name"),
    "index text": _outcome(index="1"),
    "index null": _outcome(index=None),
    "index true": _outcome(index=True),
    "index fraction": _outcome(index=1.5),
    "index negative": _outcome(index=-1),
    "index out of range": _outcome(index=4),
    "index huge": _outcome(index=10**30),
    "index not a number": _outcome(index=float("nan")),
    "index infinite": _outcome(index=float("inf")),
    "index beyond digits": b'{"outcome": {"index": ' + b"9" * 5000 + b"}}",
    "name null": _outcome(name=None),
    "name of a lone surrogate": _outcome(name="\ud800"),
    "status unknown": _outcome(status="done"),
    "answers as text": _outcome(clean_correct="yes"),
    "answers of unlike models": _outcome(fooled=[]),
    "notes null": _outcome(notes=None),
    "area not a number": _outcome(area=float("nan")),
    "psnr infinite": _outcome(psnr=float("inf")),
    "psnr beyond floats": b'{"outcome": {"psnr": 1e999}}',
    "evaluations as text": _outcome(evaluations="3"),
    "field more": {**_base(), "more": 1},
    "marked without a line": _outcome(status="marked"),
    "name that leads out": _marked(name="../../x"),
    "name from the root": _marked(name="/etc/passwd"),
    "digest that is none": _marked(file="f"),
    "another number": _marked(index=3),
    "record of no length": {**_marked(), "blob": asdict(_blob(length=-1))},
    "record elsewhere": {**_marked(), "blob": asdict(_blob(offset=0))},
    "record as text": {**_marked(), "blob": "x"},
    "depth": b"[" * 100_000,
    "no JSON": b"\xff\xfe",
    "zeros": b"\0" * 40,
}


def _with_line(path: Path, value: Any, *, key: bytes) -> None:
    """Put a line behind the first image's, with the code that the key gives."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    lines = path.read_bytes().splitlines(keepends=True)
    code = store_module._code(key, lines[1][:64].decode(), data)
    path.write_bytes(b"".join([*lines[:2], code.encode() + b" " + data + b"\n", *lines[2:]]))


@pytest.mark.parametrize("by_owner", [False, True])
@pytest.mark.parametrize("name", ODD)
def test_a_line_of_another_form_does_not_count_and_is_said(
    begin: Begin, written: Path, tmp_path: Path, owner: Owner, name: str, by_owner: bool
) -> None:
    """Not even with the owner's own code: no line is believed beyond what it can mean."""
    _with_line(written, ODD[name], key=owner.signing.derive("run") if by_owner else b"")
    found = status_of(tmp_path)
    assert found is not None
    if name not in ("record of no length", "record elsewhere"):  # told by the other file only
        assert (found.marked, found.skipped, found.damaged) == (1, 0, True)
    with closing(begin()) as journal:
        assert journal.lost  # by what lies behind, if not by the line itself
        assert 0 in journal.done
        assert journal.done.keys() <= {0, 1, 2}
        for index in journal.done.keys() - {0}:  # what only a closer look tells ends the run in words
            with pytest.raises(WriteError, match=r"^cannot read the journal: "):
                journal.done[index]


def test_a_line_that_is_changed_while_a_run_is_at_work_is_not_read(begin: Begin, written: Path) -> None:
    with closing(begin()) as journal:
        written.write_bytes(written.read_bytes().replace(b'"file": "ff', b'"file": "00'))
        assert journal.done[1].outcome == outcome(1)
        with pytest.raises(WriteError, match=r"^cannot read the journal: somebody changed it$"):
            journal.done[2]


def test_a_line_of_the_right_form_counts_with_the_right_code_only(
    begin: Begin, written: Path, owner: Owner
) -> None:
    """Else the tests above could not fail."""
    whole = written.read_bytes()
    _with_line(written, _base(), key=b"")
    assert read(begin)[0] == [0]
    written.write_bytes(whole)
    _with_line(written, _base(), key=owner.signing.derive("run"))
    assert read(begin)[0] == [0, 1]


@pytest.mark.parametrize(("began", "goes_on"), [(True, True), (False, False), (False, True)])
def test_the_ledger_may_be_kept_from_now_on(begin: Begin, began: bool, goes_on: bool) -> None:
    begin(ledger=began).close()
    begin(ledger=goes_on).close()


def test_a_run_that_began_with_the_ledger_does_not_go_on_without(begin: Begin) -> None:
    begin(ledger=True).close()
    with pytest.raises(InputError, match=r"holds an unfinished run that began with the owner's ledger$"):
        begin(ledger=False)


# ------------------------------------------------------------------------- where nothing can be written


def test_a_run_killed_before_it_began(begin: Begin, tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    (folder / ".medlocker-tmp-0123").write_bytes(b"half")
    assert not is_unfinished(tmp_path)
    begin().remove()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(begin: Begin, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    user = os.geteuid()
    if user == 0:  # root may write everywhere: be nobody for a moment
        os.seteuid(65534)
    try:
        with pytest.raises(WriteError, match=r"permission denied$"):
            begin()
    finally:
        os.seteuid(user)


def test_a_release_below_a_file(tmp_path: Path, owner: Owner) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(WriteError, match=r"^cannot make the folder \.medlocker-run: not a directory$"):
        Journal(tmp_path / "file", run=RUN, owner=owner)
