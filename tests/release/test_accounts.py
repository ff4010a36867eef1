from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import pytest

from medlocker.errors import WriteError
from medlocker.protect import Outcome
from medlocker.release._accounts import Accounts, Done, from_line, read_lines, to_line
from medlocker.release._inputs import find_inputs
from medlocker.release._journal import Journal


def done(index: int, **options: str) -> Done:
    outcome = Outcome(
        index, f"é{index}.png", "marked", clean_correct=(True, False), fooled=(False, True), notes=("a",)
    )
    return Done(outcome, {"name": f"{index}", "file": "f" * 64, "pixels": "p" * 64}, 7 * index, 7, **options)


def write(path: Path, count: int) -> Accounts[int]:
    accounts: Accounts[int] = Accounts(path)
    with path.open("wb") as stream:
        for index in range(count):
            accounts.note(index, stream.tell())
            stream.write(to_line(done(index, stamp="1 2", series="s")))
    return accounts


def test_a_line_says_all() -> None:
    assert from_line(to_line(done(3, stamp="1 2", series="s"))) == done(3, stamp="1 2", series="s")


def test_lines_are_found_again(tmp_path: Path) -> None:
    accounts = write(tmp_path / "lines", 5)
    assert dict(accounts) == {index: done(index, stamp="1 2", series="s") for index in range(5)}
    accounts.forget(2)
    accounts.forget(9)
    assert (list(accounts), 2 in accounts, len(accounts)) == ([0, 1, 3, 4], False, 4)
    with pytest.raises(KeyError):
        accounts[2]
    assert [one for _, one in read_lines(tmp_path / "lines")][4] == accounts[4]


def test_what_cannot_be_read_any_more_is_a_clear_error(tmp_path: Path) -> None:
    accounts = write(tmp_path / "lines", 5)
    (tmp_path / "lines").write_bytes(b"\n" * 2000)
    with pytest.raises(WriteError, match=r"^cannot read the journal: somebody changed it$"):
        accounts[3]
    (tmp_path / "lines").unlink()
    with pytest.raises(WriteError, match=r"^cannot read the journal: no such file or directory$"):
        accounts[3]


def test_an_image_more_needs_little_memory(tmp_path: Path) -> None:
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
        journal = Journal(tmp_path, run={})
        for index, item in enumerate(inputs.items):
            one = done(index)
            journal.add(Outcome(index, item.name, "marked"), entry=one.entry)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    journal.close()
    assert len(journal.done) == count
    assert (listed - before) / count < 450
    assert (after - listed) / count < 200
