"""Who is told what happens during long work: nobody, a callback, or the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

Advance: TypeAlias = Callable[[str, int, int], None]
"""From what is counted, how many more are done, and how many there are in all."""
Callback: TypeAlias = Callable[[str, int, int], None]
"""From what is counted, how many are done, and how many there are in all."""


class Listener:
    """Keeps what is said; counts for a callback.

    Args:
        progress: Called as work goes on, or None.

    Attributes:
        notes: What was said, in order.
    """

    def __init__(self, progress: Callback | None = None) -> None:
        self._progress = progress
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Take something that is neither result nor error."""
        self.notes.append(text)

    def warn(self, text: str) -> None:
        """Take something that deserves attention."""
        self.notes.append(text)

    @contextmanager
    def steps(self, unit: str = "image", *, slow: bool = False) -> Iterator[Advance]:
        """Count what is done meanwhile.

        Args:
            unit: What is counted, in the singular.
            slow: One of them may take many seconds.
        """
        done: dict[str, int] = {}

        def advance(what: str, steps: int, total: int) -> None:
            done[what] = done.get(what, 0) + steps
            if self._progress is not None:
                self._progress(what, done[what], total)

        yield advance


def as_listener(progress: Callback | Listener | None) -> Listener:
    """Return a listener for a callback, or the one that was given."""
    return progress if isinstance(progress, Listener) else Listener(progress)
