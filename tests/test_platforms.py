"""Systems without POSIX's modules: everything can be imported, and a run is protected from a second one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from medlocker import files
from medlocker.certificates import Owner
from medlocker.errors import InputError
from medlocker.files import check_relative_name
from patience import HANGS_S
from runs import check_release, environment, fill, tiny_model

_BLOCKED = """
import errno, os, sys, types

ABSENT = {"fcntl", "resource", "pwd", "grp", "termios", "syslog"}

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"no module {name}", name=name)

for name in ABSENT:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Blocker())
"""
_LOCKS = """
import subprocess  # it takes the module's presence for Windows

held = {}

def locking(descriptor, mode, count):
    status = os.fstat(descriptor)
    place = status.st_dev, status.st_ino
    if mode == 0:
        del held[place]
    elif place in held and os.path.sameopenfile(held[place], descriptor):
        raise OSError(errno.EACCES, "permission denied")
    else:
        held[place] = descriptor

sys.modules["msvcrt"] = types.SimpleNamespace(LK_UNLCK=0, LK_NBLCK=2, locking=locking)
"""
"""Windows' module, as far as it is used: a lock is gone when its descriptor is closed."""


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program in a process that has none of POSIX's modules."""
    return subprocess.run(
        [sys.executable, "-c", _BLOCKED + program, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=HANGS_S,
        check=False,
    )


def test_every_module_can_be_imported() -> None:
    program = """
import importlib
from pathlib import Path
ABSENT |= {"torch", "ray"}  # they take seconds; what imports them has imported the standard library before
import medlocker
from medlocker.errors import MissingExtraError
root = Path(medlocker.__file__).parent
names = [path.relative_to(root.parent).with_suffix("").parts for path in root.rglob("*.py")]
for name in names:
    try:
        importlib.import_module(".".join(name).removesuffix(".__init__"))
    except (ModuleNotFoundError, MissingExtraError) as error:
        if "torch" not in str(error) and "ray" not in str(error):
            raise
print(len(names))
"""
    done = run(program)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 200


def test_a_run_is_protected_from_a_second_one(tmp_path: Path, owner: Owner, owner_name: Path) -> None:
    program = """
from pathlib import Path
from medlocker.release import _journal, _run
from medlocker.release._startmarker import start_marker
def check_target(release):
    with start_marker(release):
        pass
finish = _run._finish
def during(run, *more):
    assert _journal.is_held(run.release)
    facts = {"images": 1}
    begin = lambda: _journal.Journal(run.release, run=facts, owner=run.owner)
    for again in (begin, lambda: check_target(run.release)):
        try:
            again()
        except Exception as error:
            print(error, file=sys.stderr)
    finish(run, *more)
_run._finish = during
from medlocker.cli import main
main()
"""
    source, out = fill(tmp_path / "in", 2), tmp_path / "out"
    words = ["protect", source, "--model", tiny_model(tmp_path), "--owner", owner_name, "--no-ledger"]
    done = run(_LOCKS + program, *words, "--budget", 6, "--seed", 1, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("another run is writing to out\n") == 2
    check_release(source, out, owner, tmp_path / "restored")
    done = run(_LOCKS + program, *words, "--out", out)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: out is a finished release\n")


def test_a_system_without_locks_is_told(tmp_path: Path, owner_name: Path) -> None:
    words = ["protect", fill(tmp_path / "in", 1), "--owner", owner_name, "--out", tmp_path / "out"]
    done = run("from medlocker.cli import main; main()", *words, "--model", tiny_model(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: this system has no locks for files, so runs could not be kept apart\n"


@pytest.mark.parametrize("name", ["C:a.png", "a/b:stream.png", "nul", "a/COM1.png", "aux .x", "lpt9"])
def test_names_that_windows_takes_for_something_else(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_relative_name(name, what="index").as_posix() == name
    monkeypatch.setattr(files, "_WINDOWS", True)
    with pytest.raises(InputError, match=r"^index: expected a name that Windows allows, got "):
        check_relative_name(name, what="index")
    for sound in ("a/b.png", "console.png", "com.png", "null"):
        assert check_relative_name(sound, what="index").as_posix() == sound
