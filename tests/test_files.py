from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medlocker.errors import InputError, OutputExistsError, WriteError
from medlocker.files import TEMPORARY_PREFIX, check_relative_name, make_folder, read_limited, write_atomic


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writing_a_new_file(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"data", mode=0o600)
    assert (tmp_path / "a").read_bytes() == b"data"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600
    write_atomic(tmp_path / "empty", b"")
    assert names(tmp_path) == ["a", "empty"]


def test_an_existing_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("a", "link"):
        with pytest.raises(OutputExistsError, match=f"^{name} exists already$"):
            write_atomic(tmp_path / name, b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    write_atomic(tmp_path / "a", b"new", overwrite=True)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert names(tmp_path) == ["a", "link"]


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "lexists", lambda path: os.fspath(path).find(TEMPORARY_PREFIX) >= 0)
    (tmp_path / "a").write_bytes(b"theirs")
    with pytest.raises(OutputExistsError, match=r"^a exists already$"):
        write_atomic(tmp_path / "a", b"ours")
    assert (tmp_path / "a").read_bytes() == b"theirs"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("call", ["open", "fsync", "link", "replace"])
def test_whatever_the_system_refuses_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, refuse)
    name, overwrite = ("b", False) if call == "link" else ("a", True)
    with pytest.raises(WriteError, match=f"^cannot write {name}: no space left on device$"):
        write_atomic(tmp_path / name, b"new", overwrite=overwrite)
    monkeypatch.undo()
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_file_systems_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    write_atomic(tmp_path / "a", b"data")
    assert names(tmp_path) == ["a"]


def test_folders(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").write_text("x")
    with pytest.raises(WriteError, match=r"^cannot make the folder x: not a directory$"):
        make_folder(tmp_path / "file" / "x")
    with pytest.raises(WriteError, match=r"^cannot make the folder file: file exists$"):
        make_folder(tmp_path / "file")
    with pytest.raises(WriteError, match=r"^cannot write x: no such file or directory$"):
        write_atomic(tmp_path / "gone" / "x", b"")


def test_reading(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1234")
    assert read_limited(tmp_path / "a", max_bytes=4, what="thing") == b"1234"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    expected = {
        "a": "thing a: expected at most 3 bytes",
        "gone": "thing gone: no such file or directory",
        "pipe": "thing pipe: expected a regular file",
        "folder": "thing folder: is a directory",
    }
    for name, message in expected.items():
        with pytest.raises(InputError) as caught:
            read_limited(tmp_path / name, max_bytes=3, what="thing")
        assert str(caught.value) == message
    with pytest.raises(InputError, match=r"^thing null: expected a regular file$"):
        read_limited(Path("/dev/null"), max_bytes=3, what="thing")


@pytest.mark.parametrize("name", ["a.png", "a/b c/d.png", "ünï/☂.png", "...", "-x", "a:b"])
def test_plain_names(name: str) -> None:
    assert check_relative_name(name, what="list").as_posix() == name


@pytest.mark.parametrize(
    "name", ["", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\\b", "a\nb", "a\0b", "C:\\a"]
)
def test_names_that_might_leave(name: str) -> None:
    with pytest.raises(InputError) as caught:
        check_relative_name(name, what="list")
    assert str(caught.value) == f"list: expected a plain relative name, got {name!r:.80}"


def test_long_names() -> None:
    assert check_relative_name("é" * 127 + "a", what="list")
    with pytest.raises(InputError, match=r"^list: expected names of at most 255 bytes$"):
        check_relative_name("é" * 128, what="list")


@given(st.text())
def test_what_passes_stays_in_its_folder(name: str) -> None:
    try:
        path = check_relative_name(name, what="list")
    except InputError:
        return
    assert not path.is_absolute()
    assert os.path.normpath(Path("/folder", path)) == f"/folder/{name}"
