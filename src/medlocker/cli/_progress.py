"""The one progress bar: images done, images a second, time left; on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from medlocker.cli._console import shown, stderr


class _RateColumn(ProgressColumn):
    """Images per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} images/s" if speed else "- images/s")


class ImageProgress:
    """Counts images on a bar.

    Args:
        bar: Where to draw.
        title: What is being done.
        total: How many images there are.
    """

    def __init__(self, bar: Progress, title: str, total: int) -> None:
        self._bar = bar
        self._task = bar.add_task(title, total=total)

    def advance(self) -> None:
        """Count one image."""
        self._bar.advance(self._task)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(shown(text), markup=False)


@contextmanager
def image_progress(title: str, total: int) -> Iterator[ImageProgress]:
    """Show a bar while images are worked on.

    Args:
        title: What is being done: ``"restoring"``.
        total: How many images there are.
    """
    with image_bar() as bar:
        yield ImageProgress(bar, title, total)


def image_bar() -> Progress:
    """Return an empty bar for several tasks one after the other."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=stderr)
