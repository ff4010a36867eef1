"""The one file of unfinished work: what counts after a kill, after damage, and after somebody else's hand."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from medlocker import store as store_module
from medlocker.errors import MalformedError, WriteError
from medlocker.store import Blob, Store, blobs_path, read_head, read_unproved
from medlocker.strictjson import from_json

KEY = bytes(range(32))
HEAD = {"whose": "é"}
BLOBS = [b"first", None, b"", b"the fourth"]


def fill(path: Path, key: bytes = KEY) -> None:
    store = Store(path, HEAD, key=key)
    for number, blob in enumerate(BLOBS):
        store.add({"number": number}, blob)
    store.close()


def read(path: Path, key: bytes = KEY) -> tuple[list[tuple[int, bytes | None]], bool]:
    taken: list[tuple[dict[str, Any], int]] = []
    store = Store(path, {}, key=key, take=lambda value, mark: taken.append((value, mark)))
    try:
        found = []
        for value, mark in taken:
            assert store.value(mark) == value
            blob = store.blob(from_json(Blob, value["blob"])) if "blob" in value else None
            found.append((value["number"], blob))
        return found, store.lost
    finally:
        store.close()


WHOLE = list(enumerate(BLOBS))


def test_what_is_added_is_read(tmp_path: Path) -> None:
    path = tmp_path / "work"
    assert read_head(path, key=KEY) is None
    fill(path)
    assert read(path) == (WHOLE, False)
    assert read_head(path, key=KEY) == HEAD
    assert [value.get("number") for value in read_unproved(path)] == [None, 0, 1, 2, 3]


@pytest.mark.parametrize("which", ["lines", "blobs"])
def test_cut_anywhere_it_keeps_its_whole_beginning(tmp_path: Path, which: str) -> None:
    path = tmp_path / "work"
    fill(path)
    files = {one: one.read_bytes() for one in (path, blobs_path(path))}
    cut = path if which == "lines" else blobs_path(path)
    head = path.read_bytes().index(b"\n") + 1
    counts = set()
    for length in range(head if which == "lines" else 0, len(files[cut])):
        for one, data in files.items():
            one.write_bytes(data[:length] if one == cut else data)
        found, lost = read(path)
        assert found == WHOLE[: len(found)]
        # what a kill cannot leave: the bytes of a line are on the disk before it
        assert lost == (which == "blobs")
        counts.add(len(found))
        # and it goes on
        store = Store(path, {}, key=KEY)
        for number in range(len(found), 4):
            store.add({"number": number}, BLOBS[number])
        store.close()
        assert read(path) == (WHOLE, False)
    assert counts == ({0, 1, 2, 3} if which == "lines" else {0, 3})


def test_a_flipped_bit_anywhere_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "work"
    fill(path)
    whole, blobs = path.read_bytes(), blobs_path(path).read_bytes()
    ends = [k + 1 for k, byte in enumerate(whole) if byte == 10]
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        blobs_path(path).write_bytes(blobs)
        if place < ends[0]:
            with pytest.raises(MalformedError, match="was not written with this key, or was changed since"):
                read(path)
            continue
        found, lost = read(path)
        assert found == WHOLE[: sum(place >= end for end in ends) - 1]
        assert lost or place == len(whole) - 1


@pytest.mark.parametrize(
    "move",
    [
        lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
        lambda lines: [lines[0], *lines[2:]],
        lambda lines: [lines[0], lines[1], lines[1], *lines[2:]],
        lambda lines: [*lines[:3], lines[4]],
    ],
)
def test_lines_count_only_where_they_were_written(tmp_path: Path, move: Callable[[Any], Any]) -> None:
    path = tmp_path / "work"
    fill(path)
    lines = path.read_bytes().splitlines(keepends=True)
    moved = move(lines)
    path.write_bytes(b"".join(moved))
    same = sum(1 for one, other in zip(lines, moved, strict=False) if one == other)
    found, lost = read(path)
    assert lost
    assert len(found) < 4
    assert found == WHOLE[: len(found)]
    assert len(found) < same


def test_another_key_proves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "work"
    fill(path, bytes(32))
    for opened in (lambda: read(path), lambda: read_head(path, key=KEY)):
        with pytest.raises(
            MalformedError, match=r"/work was not written with this key, or was changed since$"
        ):
            opened()


def test_changed_bytes_are_not_handed_out(tmp_path: Path) -> None:
    path = tmp_path / "work"
    fill(path)
    blobs_path(path).write_bytes(blobs_path(path).read_bytes().replace(b"fourth", b"f0urth"))
    with pytest.raises(MalformedError, match=r"^work\.blobs: somebody changed it$"):
        read(path)


def test_a_full_disk_leaves_it_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "work"
    fill(path)
    store = Store(path, {}, key=KEY)
    honest = store_module._write_all

    def half(file: Any, data: bytes) -> None:
        honest(file, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    for broken in (1, 2):
        calls = iter([honest] * (broken - 1) + [half])
        monkeypatch.setattr(store_module, "_write_all", lambda file, data: next(calls)(file, data))  # noqa: B023
        with pytest.raises(WriteError, match=r"^cannot write work: no space left on device$"):
            store.add({"number": 9}, b"ninth")
    monkeypatch.setattr(store_module, "_write_all", honest)
    store.add({"number": 4}, b"fifth")
    store.close()
    assert read(path) == ([*WHOLE, (4, b"fifth")], False)


@pytest.mark.parametrize("suffix", ["", ".blobs"])
def test_links_and_pipes_are_refused(tmp_path: Path, suffix: str) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"of somebody else")
    for make in (lambda path: path.symlink_to(precious), os.mkfifo):
        path = tmp_path / make.__name__
        fill(path)
        victim = path.with_name(path.name + suffix)
        victim.unlink()
        make(victim)
        with pytest.raises((WriteError, MalformedError)):
            Store(path, HEAD, key=KEY)
    assert precious.read_bytes() == b"of somebody else"


@dataclass(frozen=True)
class Inner:
    kind: Literal["a", "b"]
    share: float | None


@dataclass(frozen=True)
class Outer:
    name: str
    count: int
    yes: bool
    parts: tuple[Inner, ...]
    named: dict[str, int]


GOOD: dict[str, Any] = {"name": "é\udcff", "count": 3, "yes": True, "parts": [], "named": {"x": 1}}


def test_dataclasses_come_back() -> None:
    value = {**GOOD, "parts": [{"kind": "a", "share": 1}, {"kind": "b", "share": None}]}
    parts = (Inner("a", 1.0), Inner("b", None))
    assert from_json(Outer, value) == Outer("é\udcff", 3, True, parts, {"x": 1})


@pytest.mark.parametrize(
    "change",
    [
        {"name": 1},
        {"name": "\ud800"},
        {"count": "3"},
        {"count": True},
        {"count": 3.0},
        {"count": 2**53},
        {"yes": 1},
        {"parts": {}},
        {"parts": [{"kind": "c", "share": 1}]},
        {"parts": [{"kind": "a"}]},
        {"parts": [{"kind": "a", "share": math.nan}]},
        {"parts": [{"kind": "a", "share": math.inf}]},
        {"parts": [{"kind": "a", "share": 10**400}]},
        {"parts": [{"kind": ["a"], "share": 1}]},
        {"named": []},
        {"named": {"x": None}},
        {"more": 1},
    ],
)
def test_nothing_is_converted(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected|surrogates"):
        from_json(Outer, {**GOOD, **change})


def test_a_type_that_json_cannot_hold_is_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError, match="expected a type that JSON can hold"):
        from_json(bytes, b"")
