"""What both trainings show while they run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.progress import TaskID

from medlocker.cli._console import note, warn


class TrainingBar:
    """The part of an observer that both trainings share; no optional library is needed for it.

    Args:
        bar: From :func:`medlocker.cli._progress.image_bar`.
    """

    task: TaskID

    def __init__(self, bar: Any) -> None:
        self.bar = bar

    def reading(self, total: int) -> None:
        """Begin a bar."""
        self.task = self.bar.add_task("reading", total=total)

    def read(self) -> None:
        """Count an image."""
        self.bar.advance(self.task)

    def unreadable(self, name: str, reason: str) -> None:
        """Warn."""
        warn(f"skipped {name}: {reason}")

    def training(self, total: int) -> None:
        """Begin the next bar."""
        self.bar.remove_task(self.task)
        self.task = self.bar.add_task("training", total=total)

    def trained(self, count: int) -> None:
        """Count views or crops."""
        self.bar.advance(self.task, count)

    def writing(self, text: str) -> None:
        """End the bar."""
        self.bar.remove_task(self.task)
        note(text)


def say_found(text: str, excluded: tuple[str, ...], strange: Iterable[tuple[tuple[str, ...], str]]) -> None:
    """Tell what is learned from, what is left out as asked, and which names do not fit together."""
    note(text)
    if excluded:
        note(f"left out by --exclude: {len(excluded)} images")
    for names, warning in strange:
        if names:
            warn(warning.format(names[0] if len(names) == 1 else f"{len(names)} files ({names[0]}, ...)"))
