"""How the engine of several processes reaches its workers, wherever they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from medlocker.engines._messages import ImageTask, Report, Setup, Verdict, WorkerReady

REPORT_S = 10.0
"""A worker tells of itself at least so often."""


class WorkerHandle(Protocol):
    """One worker, as the engine reaches it; nothing here waits for an answer."""

    def give(self, tasks: Sequence[ImageTask]) -> None:
        """See :meth:`medlocker.engines._worker.Worker.give`."""

    def answer(self, verdicts: Sequence[tuple[int, Verdict]]) -> None:
        """See :meth:`medlocker.engines._worker.Worker.answer`."""

    def end(self) -> None:
        """Kill it, if it still lives."""


class WorkerPool(Protocol):
    """Starts workers somewhere and hears from them."""

    name: str

    def start(self, setup: Setup) -> None:
        """Prepare to hire.

        Raises:
            InputError: If there is no place to work at.
        """

    def places(self) -> int:
        """Return how many workers there can be now."""

    def start_worker(self) -> WorkerHandle:
        """Start a worker; it says when it is open."""

    def news(
        self, workers: Sequence[WorkerHandle], *, timeout_s: float
    ) -> list[tuple[WorkerHandle, WorkerReady | Report | None]]:
        """Wait for something from some workers; None of one that is lost."""

    def leave(self) -> None:
        """End what :meth:`start` began; the workers are ended already."""
