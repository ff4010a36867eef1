"""The one progress bar: images done, images a second, time left; on stderr.

Where stderr is a file or a pipe nobody sees a bar move: a line now and then says the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

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

_WINDOW_S = 30.0
_FIRST_LINE_S, _NEXT_LINES_S = 1.0, 30.0
"""What is done sooner needs no line."""


class _RateColumn(ProgressColumn):
    """Images per second, or seconds per image where that is more.

    Args:
        unit: What is counted, in the singular.
    """

    def __init__(self, unit: str = "image") -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text(f"- {self._unit}s/s")
        return Text(f"{speed:.1f} {self._unit}s/s" if speed >= 1 else f"{1 / speed:.1f} s/{self._unit}")


class _Bar(Progress):
    """A bar on a terminal, lines elsewhere."""

    _ended: Event | None = None

    def start(self) -> None:
        """Begin to show or to tell."""
        super().start()
        if not self.console.is_terminal and self._ended is None:
            self._ended = Event()
            Thread(target=self._tell, args=(self._ended,), daemon=True).start()

    def stop(self) -> None:
        """Show or tell nothing more, but for the last state."""
        if self._ended is not None:
            self._ended.set()
            self._ended = None
        super().stop()

    def _tell(self, ended: Event) -> None:
        pause = _FIRST_LINE_S
        with suppress(OSError, ValueError):  # nobody reads stderr any more: the work goes on
            while not ended.wait(pause):
                pause = _NEXT_LINES_S
                for task in self.tasks:
                    if not task.finished:
                        # not by the console: where a reader has gone, that ends the program
                        print(shown(self._line(task)), file=self.console.file, flush=True)

    def _line(self, task: Task) -> str:
        parts = [column(task) for column in self.columns if not isinstance(column, BarColumn | str)]
        return " ".join(part.plain if isinstance(part, Text) else str(part) for part in parts)


class ImageProgress:
    """Counts images on a bar.

    Args:
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
def image_progress(
    title: str, total: int, *, window_s: float = _WINDOW_S, unit: str = "image"
) -> Iterator[ImageProgress]:
    """Show a bar while images are worked on.

    Args:
        title: What is being done: ``"restoring"``.
        total: How many images there are.
        window_s: Seconds over which the speed is taken; longer than one image takes.
        unit: What is counted, in the singular.
    """
    with image_bar(window_s, unit) as bar:
        yield ImageProgress(bar, title, total)


def image_bar(window_s: float = _WINDOW_S, unit: str = "image") -> Progress:
    """Return an empty bar for several tasks one after the other; see :func:`image_progress`."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(unit),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return _Bar(*columns, console=stderr, speed_estimate_period=window_s)
