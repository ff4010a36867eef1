"""Output that cannot be written: told where it can be, and never the end of a run."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from medlocker.cli._streams import ForgivingStream, open_missing
from patience import HANGS_S
from runs import COMMAND, environment, fill, images_of, tiny_model

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="the system has no device that is always full")
_NO_SPACE = "error: no space left on device\n"


def command(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run it with streams of the caller's."""
    words = [*COMMAND, *map(str, arguments)]
    return subprocess.run(words, env=environment(), timeout=HANGS_S, check=False, text=True, **options)


@needs_full
@pytest.mark.parametrize("arguments", [("nowhere",), ("nowhere", "--json"), ("--help",)])
def test_full_standard_output(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with FULL.open("w") as full:
        done = command(
            "status", *arguments, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, errors="strict"
        )
    first = "error: nowhere: expected a release" if "nowhere" in arguments else _NO_SPACE.strip()
    assert done.returncode == 2
    assert done.stderr.startswith(first)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def protecting(folder: Path, owner_name: Path) -> list[object]:
    fill(folder / "in", 2)
    words: list[object] = ["protect", folder / "in", "--model", tiny_model(folder), "--owner", owner_name]
    return [*words, "--no-ledger", "--budget", 6, "--seed", 1, "--out", folder / "out", "--json"]


@needs_full
def test_a_result_that_cannot_be_written(tmp_path: Path, owner_name: Path) -> None:
    arguments = protecting(tmp_path, owner_name)
    with FULL.open("w") as full:
        done = command(*arguments, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.endswith(_NO_SPACE)
    assert len(images_of(tmp_path / "out")) == 2
    assert (tmp_path / "out" / "certificate" / "statement.dsse.json").exists()


@needs_full
def test_messages_that_cannot_be_written_end_no_run(tmp_path: Path, owner_name: Path) -> None:
    arguments = protecting(tmp_path, owner_name)
    with FULL.open("w") as full:
        done = command(*arguments, stdout=subprocess.PIPE, stderr=full)
    assert (done.returncode, json.loads(done.stdout)["marked"]) == (0, 2)
    with FULL.open("w") as full:
        done = command("status", "nowhere", "--json", cwd=tmp_path, stdout=subprocess.PIPE, stderr=full)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"].startswith("nowhere: expected a release")


def test_closed_streams(tmp_path: Path, owner_name: Path) -> None:
    """Nothing that the run opens takes their numbers."""
    arguments = [*protecting(tmp_path, owner_name), "--workers", 2]
    done = command(*arguments, preexec_fn=lambda: os.closerange(0, 2), stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert len(images_of(tmp_path / "out")) == 2


def test_what_is_open_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {number: os.fstat(number) for number in range(3)}
    open_missing()
    assert {number: os.fstat(number) for number in range(3)} == before


@needs_full
def test_a_stream_that_breaks_is_let_go(tmp_path: Path) -> None:
    with FULL.open("w", buffering=1) as full:
        stream = ForgivingStream(full)
        assert stream.write("one\n") == 4
        assert os.readlink(f"/proc/self/fd/{full.fileno()}") == "/dev/null"
        assert stream.write("two\n") == 4
        stream.flush()
        assert stream.encoding == full.encoding
