"""The command line: one file per command, one place that catches errors."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit: 0 done, 1 some image failed, 2 wrong usage, 3 trust failed."""
    with _interruptible_imports():
        from medlocker.cli._main import run  # here, so that an interrupt of this second is answered too
    run()


@contextmanager
def _interruptible_imports() -> Iterator[None]:
    """End at once on an interrupt: libraries turn one that hits their imports into errors of all kinds."""
    found = signal.getsignal(signal.SIGINT)
    # whoever ignores interrupts, or has a handler of his own, keeps it
    if found is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, found)


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, b"interrupted\n")
    os._exit(130)
