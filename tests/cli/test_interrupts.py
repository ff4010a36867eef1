"""Ctrl-C at any moment: one word, exit code 130, no traceback; during imports too."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from patience import HANGS_S
from runs import LISTEN, environment


def interrupted(
    code: str, *arguments: object, after_s: float | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run code in a process of its own; interrupt it after a while, or let it do so itself."""
    process = subprocess.Popen(
        [sys.executable, "-c", LISTEN + code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    if after_s is not None:
        assert process.stdout is not None
        process.stdout.readline()  # it listens now
        time.sleep(after_s)
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=HANGS_S)
    return subprocess.CompletedProcess([], process.returncode, out, err)


@pytest.mark.parametrize("module", ["typer", "rich.console", "medlocker.cli.protect"])
def test_during_imports(module: str) -> None:
    """The signal comes when a library is about to be imported."""
    code = f"""
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Watch())
from medlocker.cli import main
main()
"""
    done = interrupted(code, "protect", "--help")
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"interrupted\n")


def test_in_a_command() -> None:
    code = """
import medlocker.cli.status as status, os
from medlocker.cli import main
import medlocker.release as release
release.status_of = lambda path: os.kill(os.getpid(), signal.SIGINT)
main()
"""
    done = interrupted(code, "status", "x")
    assert (done.returncode, done.stdout) == (130, b"")
    assert b"Traceback" not in done.stderr


def test_whoever_ignores_interrupts_goes_on() -> None:
    code = """
signal.signal(signal.SIGINT, signal.SIG_IGN)
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Watch())
from medlocker.cli import main
main()
"""
    done = interrupted(code, "--version")
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.slow
@pytest.mark.parametrize("tenths", range(1, 30, 2))
def test_at_any_moment(tmp_path: Path, tenths: int) -> None:
    code = "from medlocker.cli import main; print(flush=True); main()"
    done = interrupted(code, "demo", "--out", tmp_path / "out", after_s=tenths / 10)
    assert done.returncode == 130, done.stderr.decode()
    assert b"Traceback" not in done.stderr
