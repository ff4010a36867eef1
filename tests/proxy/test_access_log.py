"""Who saw what: written before it is shown, and nothing is shown that cannot be written."""

from __future__ import annotations

import importlib
import json
import os
import stat
from pathlib import Path

import proxied as helpers
import pytest
from proxied import SERIES, Proxied, World, uid_of

from fake_server import STUDY
from medlocker.errors import InputError, WriteError
from medlocker.proxy import AccessLog

world, store, proxy = helpers.world, helpers.store, helpers.proxy
"""Fixtures."""
Seen = importlib.import_module("medlocker.proxy._log").Seen
Member = importlib.import_module("medlocker.proxy._members").Member


def test_what_cannot_be_written_down_is_not_shown(
    proxy: Proxied, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    uid = uid_of(world.marked[0])
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        for path in (
            *(
                "/studies",
                f"/studies/{STUDY}",
                f"/studies/{STUDY}/instances",
                f"/studies/{STUDY}/series/{SERIES[0]}/metadata",
            ),
            *(f"/studies/{STUDY}/series/{SERIES[0]}/instances/{uid}{rest}" for rest in ("", "/frames/1")),
        ):
            answer = proxy.get(path)
            assert (answer.status_code, answer.json()["error"]) == (503, "log log: no space left on device")
    assert proxy.instance(uid).status_code == 200


def test_it_is_private_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for name in ("alice", "bob"):
        log = AccessLog(path)
        log.write(name, "frames", [Seen("restored", Member("ab", 3))])
        log.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [json.loads(line)["who"] for line in path.read_text().splitlines()] == ["alice", "bob"]


def test_it_stays_where_people_look_for_it(tmp_path: Path) -> None:
    path, kept = tmp_path / "log", tmp_path / "log.1"
    log = AccessLog(path)
    for who, away in (("alice", None), ("bob", lambda: path.rename(kept)), ("carol", path.unlink)):
        if away is not None:
            away()
        log.write(who, "frames", [Seen("restored", Member("ab", 3))])
        assert [json.loads(line)["who"] for line in path.read_text().splitlines()] == [who]
    assert json.loads(kept.read_text())["who"] == "alice"
    path.unlink()
    path.mkdir()
    with pytest.raises(WriteError):
        log.write("dave", "frames", [Seen("restored", Member("ab", 3))])
    path.rmdir()
    path.symlink_to(kept)
    with pytest.raises(WriteError):
        log.write("dave", "frames", [Seen("restored", Member("ab", 3))])
    log.close()
    assert "dave" not in kept.read_text()


def test_what_a_kill_left_of_a_line_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"time": "2026')
    path.chmod(0o600)
    log = AccessLog(path)
    log.write("alice", "frames", [Seen("restored", Member("ab", 3))])
    torn, whole = path.read_text().splitlines()
    assert torn == '{"time": "2026'
    assert json.loads(whole)["image"] == 3


def test_a_line_that_was_cut_by_a_full_disk_is_not_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, write = AccessLog(tmp_path / "log"), os.write
    rest = [5]

    def nearly_full(descriptor: int, data: bytes) -> int:
        if not rest:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[: rest.pop()])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", nearly_full)
        with pytest.raises(WriteError, match="no space left"):
            log.write("alice", "frames", [Seen("restored", Member("ab", 3))])
    log.write("alice", "frames", [Seen("restored", Member("ab", 4))])
    assert json.loads((tmp_path / "log").read_text().splitlines()[1])["image"] == 4


@pytest.mark.parametrize("kind", ["shared", "folder", "link", "pipe"])
def test_other_places_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "log"
    if kind == "shared":
        path.write_text("")
        path.chmod(0o644)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(path, 0o600)
    with pytest.raises((InputError, WriteError), match="log log: "):
        AccessLog(path)
    assert not (tmp_path / "elsewhere").exists()
