"""Output that cannot be written never ends a run: a closed or full terminal says nothing about the images."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any, TextIO


def open_missing() -> None:
    """Open what a caller has closed of the three standard streams.

    Else the next file or socket would get the number of one, and whatever a library prints would go there.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def let_go(stream: TextIO) -> None:
    """Send what else is written to a stream nowhere: what is still in its buffer cannot be written either."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


class ForgivingStream:
    """A text stream that lets go of what it is written to when that fails.

    Args:
        stream: All else is its own.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str, /) -> int:
        """Write, if it can be written."""
        try:
            return self._stream.write(text)
        except OSError:
            let_go(self._stream)
        return len(text)

    def flush(self) -> None:
        """Flush, if it can be flushed."""
        try:
            self._stream.flush()
        except OSError:
            let_go(self._stream)
