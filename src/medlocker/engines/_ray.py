"""Workers on a Ray cluster: one a CPU (or GPU)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medlocker.engines._engine import EngineMaker, EngineRequest
from medlocker.engines._messages import ImageTask, Report, Setup, Verdict, WorkerReady
from medlocker.engines._pool import PoolEngine
from medlocker.engines._raycluster import check_ray, cluster_places, connect
from medlocker.engines._worker import Worker
from medlocker.engines._workerprotocols import REPORT_S, WorkerHandle
from medlocker.protect import Lesions

_CALLS_AT_ONCE = 4


def ray_engine(
    models: Sequence[Path], *, segmenter: Path | None = None, lesions: Lesions = "none"
) -> EngineMaker:
    """Return what makes the engine, for :class:`medlocker.release.Run`.

    Args:
        models: Where workers find the run's classifiers, in the same order.
        segmenter: Where they find its segmenter, or None.
        lesions: Which candidates its finder looks for without a segmenter.

    Raises:
        MissingExtraError: If Ray is not installed.
    """
    check_ray()

    def make(duty: EngineRequest) -> PoolEngine:
        return PoolEngine(duty, RayPool(), models=models, segmenter=segmenter, lesions=lesions)

    return make


@dataclass(eq=False)
class _Actor:
    """A worker, and the call to it that is under way."""

    actor: Any
    call: Any

    def give(self, tasks: Sequence[ImageTask]) -> None:
        """See :class:`medlocker.engines._workerprotocols.WorkerHandle`."""
        self.actor.give.remote(tasks)

    def answer(self, verdicts: Sequence[tuple[int, Verdict]]) -> None:
        """See :class:`medlocker.engines._workerprotocols.WorkerHandle`."""
        self.actor.answer.remote(verdicts)

    def end(self) -> None:
        """See :class:`medlocker.engines._workerprotocols.WorkerHandle`."""
        import ray  # optional library

        with suppress(Exception):  # the cluster itself may be gone
            ray.kill(self.actor)


class RayPool:
    """See :class:`medlocker.engines._workerprotocols.WorkerPool`."""

    name = "ray"

    def __init__(self) -> None:
        self._leave: Callable[[], None] | None = None
        self._demand: dict[str, int] = {}
        self._class: Any = None
        self._setup: Any = None

    def start(self, setup: Setup) -> None:
        """Join the cluster, or start one here.

        Raises:
            InputError: If there is none.
        """
        self._leave = connect()
        import ray  # optional library

        self._class = ray.remote(Worker)
        self._setup = ray.put(setup)

    def places(self) -> int:
        """See :class:`medlocker.engines._workerprotocols.WorkerPool`."""
        count, self._demand = cluster_places()
        return count

    def start_worker(self) -> WorkerHandle:
        """See :class:`medlocker.engines._workerprotocols.WorkerPool`."""
        actor = self._class.options(
            **self._demand, max_concurrency=_CALLS_AT_ONCE, max_restarts=0, scheduling_strategy="SPREAD"
        ).remote(self._setup)
        return _Actor(actor, actor.open.remote())

    def news(
        self, workers: Sequence[WorkerHandle], *, timeout_s: float
    ) -> list[tuple[WorkerHandle, WorkerReady | Report | None]]:
        """See :class:`medlocker.engines._workerprotocols.WorkerPool`."""
        import ray  # optional library

        calls = {worker.call: worker for worker in workers if isinstance(worker, _Actor)}
        ended, _ = ray.wait(list(calls), num_returns=1, timeout=timeout_s)
        if ended:
            ended, _ = ray.wait(list(calls), num_returns=len(calls), timeout=0)
        found: list[tuple[WorkerHandle, WorkerReady | Report | None]] = []
        for call in ended:
            worker = calls[call]
            try:
                found.append((worker, ray.get(call)))
            except ray.exceptions.RayTaskError:
                raise  # an error in this program
            except ray.exceptions.RayError:
                found.append((worker, None))
            else:
                worker.call = worker.actor.report.remote(timeout_s=REPORT_S)
        return found

    def leave(self) -> None:
        """See :class:`medlocker.engines._workerprotocols.WorkerPool`."""
        if self._leave is not None:
            self._leave()
            self._leave = None
