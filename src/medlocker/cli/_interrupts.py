"""Interrupts while modules are imported: one word and the exit code, whatever a library makes of them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible_imports() -> Iterator[None]:
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
