"""The engine that works in this process: one thread asks the models, others read and write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from medlocker.engines._engine import EngineRequest
from medlocker.protect import Job, Outcome
from medlocker.search import Clock, Task, file_threads


class LocalEngine:
    """Works here."""

    def __init__(self, duty: EngineRequest) -> None:
        common = duty.common
        self._threads = file_threads(common.workers)
        self._protector = common.protector(duty.classifiers, duty.finder, duty.gate)
        self._driver = common.driver(duty.classifiers, self._threads)

    def run(self, jobs: Callable[[], Iterator[Job]]) -> Iterator[tuple[Job, Outcome]]:
        """See :class:`medlocker.engines._engine.Engine`."""
        running: dict[int, Job] = {}

        def start(job: Job) -> Task[Outcome]:
            running[job.index] = job
            return self._protector.task(job)

        while True:
            ready = jobs()
            first = next(ready, None)
            if first is None:
                return
            for _, outcome in self._driver.run(map(start, chain((first,), ready))):
                yield running.pop(outcome.index), outcome

    @property
    def clock(self) -> Clock:
        """Where the time of the driving thread went."""
        return self._driver.clock

    @property
    def facts(self) -> dict[str, Any]:
        """Nothing but its name."""
        return {"name": "local"}

    def close(self) -> None:
        """Wait for the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)
