"""Calls in processes of their own, which may be killed.

They are forked from one that has done the imports, so that a kill costs no second of start-up, and that has
no threads of other tests: a fork takes their locks along, but not the threads that would let go of them.
"""

from __future__ import annotations

import faulthandler
import itertools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from patience import HANGS_S

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        *(f"medlocker.cli.{name}" for name in ("_main", "protect", "push", "restore", "status", "verify")),
        *("medlocker.api.evaluate", "medlocker.api.protect", "medlocker.evaluate.report"),
        *("onnxruntime", "runs"),
    ]
)
_CHANGES = {"open", "os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"}


def kill_at(moment: int, folder: Path, *, by: int = signal.SIGKILL) -> None:
    """Send a signal to this process at its n-th change of a folder."""
    changes = itertools.count(1)  # one step that threads cannot tear apart

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _CHANGES and arguments and isinstance(arguments[0], str | os.PathLike):
            if not os.fspath(arguments[0]).startswith(os.fspath(folder)):
                return
            if next(changes) == moment:
                os.kill(os.getpid(), by)

    sys.addaudithook(hook)


def in_child(call: Callable[..., object], *args: Any, **options: Any) -> int:
    """Call in a process of its own.

    Args:
        call: A function of a module; what it is called with goes through pickle.

    Returns:
        The exit code: 0 if it came to its end, ``-signal.SIGKILL`` if it was killed, 1 if it hung.
    """
    process = FORKS.Process(target=_watched, args=(call, args, options))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def killed_child(moment: int, out: Path, call: Callable[..., object], *args: Any, **options: Any) -> int:
    """Call in a process that is killed at its n-th change of a folder; see :func:`in_child`."""
    return in_child(_until, moment, out, call, args, options)


def _watched(call: Callable[..., object], args: tuple[Any, ...], options: dict[str, Any]) -> None:
    faulthandler.dump_traceback_later(HANGS_S, exit=True)  # should it hang, the test fails and says where
    call(*args, **options)


def _until(
    moment: int, out: Path, call: Callable[..., object], args: tuple[Any, ...], options: dict[str, Any]
) -> None:
    kill_at(moment, out)
    call(*args, **options)
