"""Runs that are killed, interrupted, or out of room, and then repeated by the same command."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from killed import kill_at, killed_child
from medlocker.certificates import Owner
from medlocker.errors import OutputExistsError
from medlocker.release._journal import is_unfinished
from runs import (
    Answer,
    check_release,
    fill,
    images_of,
    medlocker,
    picture,
    protect,
    tiny_model,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, owner: Owner) -> tuple[Path, dict[str, bytes]]:
    """A data set and what an uninterrupted run makes of it."""
    folder = tmp_path_factory.mktemp("whole")
    source = fill(folder / "in", 3)
    (source / "tiny.png").write_bytes(picture(size=12))  # is skipped
    protect(source, folder / "out", owner)
    return source, images_of(folder / "out")


@pytest.mark.parametrize(
    "first", [2, 5, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 3, 4, 6, 7, 8))]
)
def test_killed_at_many_moments(
    tmp_path: Path, owner: Owner, whole: tuple[Path, dict[str, bytes]], first: int
) -> None:
    source, images = whole
    moment, finished = first, False
    while not finished:
        out = tmp_path / f"out{moment}"
        code = killed_child(moment, out, protect, source, out, owner, workers=1)
        finished = code == 0
        assert finished or code == -signal.SIGKILL
        if not finished and moment % 16 == first:  # and killed once more while it resumes
            killed_child(5, out, protect, source, out, owner, workers=1)
        if is_unfinished(out) or not (out / "certificate" / "statement.dsse.json").exists():
            protect(source, out, owner)
        else:  # killed after it was complete
            with pytest.raises(OutputExistsError, match=f"^{out.name} is a finished release$"):
                protect(source, out, owner)
        assert check_release(source, out, owner, tmp_path / f"r{moment}") == images
        moment += 8
    assert moment > 24  # there are enough moments


# ---------------------------------------------------------------------------------- the real command


class Command:
    """Arguments of one `protect`."""

    def __init__(self, folder: Path, owner_name: Path, count: int = 6) -> None:
        self.source = fill(folder / "in", count)
        self.out = folder / "out"
        model = tiny_model(folder)
        self.arguments: list[object] = ["protect", self.source, "--model", model, "--owner", owner_name]
        self.arguments += ["--no-ledger", "--preset", "paper", "--budget", 6, "--seed", 1, "--out"]

    def run(self, out: Path | None = None, *more: object, **options: Any) -> Answer:
        return medlocker(*self.arguments, out or self.out, *more, **options)

    def signalled(self, moment: int, by: int) -> Answer:
        """Run it in a process that gets a signal at its n-th change of the output."""
        return self.run(first=partial(_listen_and_kill, moment, self.out, by=by))


def _listen_and_kill(moment: int, folder: Path, *, by: int) -> None:
    """A shell's background jobs ignore interrupts, and so do their children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    kill_at(moment, folder, by=by)


def test_killed_as_a_process(tmp_path: Path, owner: Owner, owner_name: Path) -> None:
    command = Command(tmp_path, owner_name)
    assert command.run(tmp_path / "whole").code == 0
    assert command.signalled(40, signal.SIGKILL).code == -signal.SIGKILL
    assert not (command.out / "certificate" / "statement.dsse.json").exists()
    answer = command.run(None, "--budget", 7)
    assert (answer.code, answer.out) == (2, "")
    assert "error: out holds an unfinished run with other inputs or options\n" in answer.err
    answer = command.run(None, "--json")
    assert (answer.code, answer.json["marked"]) == (0, 6)
    assert check_release(command.source, command.out, owner, tmp_path / "r") == images_of(tmp_path / "whole")
    answer = command.run()
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: out is a finished release\n")


@pytest.mark.parametrize("moment", [25, pytest.param(3, marks=pytest.mark.slow)])
def test_interrupted_by_the_keyboard(tmp_path: Path, owner: Owner, owner_name: Path, moment: int) -> None:
    command = Command(tmp_path, owner_name)
    done = command.signalled(moment, signal.SIGINT)
    assert (done.code, done.out) == (130, ""), done.err
    leftovers = list(command.out.rglob(".medlocker-tmp*"))
    assert not leftovers
    assert not (command.out / "certificate" / "statement.dsse.json").exists()
    assert command.run().code == 0
    check_release(command.source, command.out, owner, tmp_path / "r")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    done = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=128k", "none", str(disk)], check=False, capture_output=True
    )
    if not done or done.returncode:
        pytest.skip("mounting needs more rights")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk(tmp_path: Path, owner: Owner, owner_name: Path, small_disk: Path) -> None:
    command = Command(tmp_path, owner_name, count=12)
    command.out = small_disk / "out"
    answer = command.run(None, "--json")
    assert answer.code == 1
    assert "no space left on device\n" in answer.err
    assert answer.json["error"].endswith("no space left on device")
    assert not (command.out / "certificate" / "statement.dsse.json").exists()
    assert not list(command.out.rglob(".medlocker-tmp*"))
    images = images_of(command.out)
    assert images
    again = command.run()
    assert (again.code, again.out) == (1, "")
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert command.run().code == 0
    final = check_release(command.source, command.out, owner, tmp_path / "r")
    assert images.items() <= final.items()
    command.run(tmp_path / "whole")
    assert final == images_of(tmp_path / "whole")


@pytest.mark.parametrize("limit", [6000, pytest.param(100, marks=pytest.mark.slow)])
def test_files_that_may_not_grow(tmp_path: Path, owner: Owner, owner_name: Path, limit: int) -> None:
    command = Command(tmp_path, owner_name, count=3)
    answer = command.run(first=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit)))
    assert (answer.code, answer.out) == (1, "")
    assert ": file too large\n" in answer.err
    assert not list(command.out.rglob(".medlocker-tmp*"))
    assert not (command.out / "certificate" / "statement.dsse.json").exists()
    assert command.run().code == 0
    check_release(command.source, command.out, owner, tmp_path / "r")
