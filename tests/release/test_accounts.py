from __future__ import annotations

import gc
import json
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest

from medlocker.certificates import IndexEntry, Owner
from medlocker.errors import WriteError
from medlocker.protect import Outcome
from medlocker.release._inputs import find_inputs
from medlocker.release._journal import Journal, lines_path
from medlocker.release._journalindex import Done, JournalIndex
from medlocker.store import Blob


def done(index: int) -> Done:
    outcome = Outcome(
        index, f"é{index}.png", "marked", clean_correct=(True, False), fooled=(False, True), notes=("a",)
    )
    entry = IndexEntry(index, f"{index}.png", "f" * 64, "a" * 64)
    return Done(outcome, entry, "1 2", "s", Blob(7 * index, 7, "b" * 64))


def test_a_line_says_all_but_where_its_record_lies() -> None:
    value = {**done(3).to_json(), "blob": {"offset": 21, "length": 7, "sha256": "b" * 64}}
    assert Done.from_json(json.loads(json.dumps(value)), images=4) == done(3)
    skipped = Done(Outcome(0, "a.png", "skipped", "no room"))
    assert Done.from_json(json.loads(json.dumps(skipped.to_json())), images=1) == skipped


def test_accounts_are_read_when_asked_for() -> None:
    accounts: JournalIndex[str] = JournalIndex(done)
    for index in range(5):
        accounts.note(str(index), index)
    assert dict(accounts) == {str(index): done(index) for index in range(5)}
    accounts.forget("2")
    accounts.forget("9")
    assert (list(accounts), "2" in accounts, len(accounts)) == (["0", "1", "3", "4"], False, 4)
    with pytest.raises(KeyError):
        accounts["2"]


def test_what_cannot_be_read_any_more_is_a_clear_error(tmp_path: Path, owner: Owner) -> None:
    journal = Journal(tmp_path, run={"images": 5}, owner=owner)
    with closing(journal):
        for index in range(5):
            journal.add(done(index).outcome, entry=done(index).entry, record=b"x")
        lines_path(tmp_path).write_bytes(b"\n" * 5000)
        with pytest.raises(WriteError, match=r"^cannot read the journal: somebody changed it$"):
            journal.done[3]
        lines_path(tmp_path).unlink()
        with pytest.raises(WriteError, match=r"^cannot write the journal: no such file or directory$"):
            journal.done[3]


def test_an_image_more_needs_little_memory(tmp_path: Path, owner: Owner) -> None:
    """100,000 images are less than the pixels of two of them."""
    folder, count = tmp_path / "in", 1000
    folder.mkdir()
    for k in range(count):
        (folder / f"photograph_{k:06d}.png").touch()
    find_inputs(folder)  # what is made once
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        inputs = find_inputs(folder)
        listed, _ = tracemalloc.get_traced_memory()
        journal = Journal(tmp_path, run={"images": count}, owner=owner)
        for index, item in enumerate(inputs.items):
            one = done(index)
            journal.add(Outcome(index, item.name, "marked"), entry=one.entry, record=b"")
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    journal.close()
    assert len(journal.done) == count
    assert (listed - before) / count < 450
    assert (after - listed) / count < 200
