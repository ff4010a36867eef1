"""Workers on this machine: processes of their own, so that searches run side by side.

Each is a new interpreter, not a fork: model libraries have threads, which a fork would lose. They are reached
through a socket. When it closes, whoever is at its other end has ended: a worker then ends too, so that
nothing is left behind by a command that was killed.
"""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from medlocker.engines._engine import EngineMaker, EngineRequest
from medlocker.engines._messages import ImageTask, Report, Setup, Verdict, WorkerReady
from medlocker.engines._pool import PoolEngine
from medlocker.engines._workerprotocols import WorkerHandle
from medlocker.errors import InputError
from medlocker.machine import usable_cores, wanted_threads
from medlocker.protect import Lesions

PROGRAM = "from medlocker.engines._child import main; main()"


def process_engine(
    models: Sequence[Path], *, workers: int, segmenter: Path | None = None, lesions: Lesions = "none"
) -> EngineMaker:
    """Return what makes the engine, for :class:`medlocker.release.Run`.

    Args:
        models: Where workers find the run's classifiers, in the same order.
        workers: How many; they share the cores.
        segmenter: Where they find its segmenter, or None.
        lesions: Which candidates its finder looks for without a segmenter.

    Raises:
        InputError: On a system where processes cannot inherit a socket.
    """
    if os.name != "posix":
        raise InputError("expected --workers 1 on this system", hint="--engine ray uses all cores")

    def make(duty: EngineRequest) -> PoolEngine:
        pool = ProcessPool(workers)
        return PoolEngine(duty, pool, models=models, segmenter=segmenter, lesions=lesions)

    return make


@dataclass(eq=False)
class _Process:
    """A worker and the way to it."""

    process: subprocess.Popen[bytes]
    line: Connection[Any, Any]

    def give(self, tasks: Sequence[ImageTask]) -> None:
        """See :class:`medlocker.engines._workerprotocols.WorkerHandle`."""
        self._tell("give", tasks)

    def answer(self, verdicts: Sequence[tuple[int, Verdict]]) -> None:
        """See :class:`medlocker.engines._workerprotocols.WorkerHandle`."""
        self._tell("answer", verdicts)

    def _tell(self, what: str, value: object) -> None:
        with suppress(OSError):  # that it has ended is heard when it is listened to
            self.line.send((what, value))

    def end(self) -> None:
        """See :class:`medlocker.engines._workerprotocols.WorkerHandle`."""
        self.process.kill()
        self.process.wait()
        self.line.close()


class ProcessPool:
    """See :class:`medlocker.engines._workerprotocols.WorkerPool`."""

    name = "local"

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._setup = b""

    def start(self, setup: Setup) -> None:
        """See :class:`medlocker.engines._workerprotocols.WorkerPool`."""
        self._setup = pickle.dumps(setup)

    def places(self) -> int:
        """See :class:`medlocker.engines._workerprotocols.WorkerPool`."""
        return self._workers

    def start_worker(self) -> WorkerHandle:
        """See :class:`medlocker.engines._workerprotocols.WorkerPool`."""
        here, there = socket.socketpair()
        threads = wanted_threads() or max(usable_cores() // self._workers, 1)
        with there:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(there.fileno())],
                pass_fds=[there.fileno()],
                env=os.environ | {"OMP_NUM_THREADS": str(threads)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # it is the command's own
                start_new_session=True,  # Ctrl-C is for the command alone, which ends its workers
            )
        line: Connection[Any, Any] = Connection(here.detach())
        with suppress(OSError):
            line.send_bytes(self._setup)
        return _Process(process, line)

    def news(
        self, workers: Sequence[WorkerHandle], *, timeout_s: float
    ) -> list[tuple[WorkerHandle, WorkerReady | Report | None]]:
        """See :class:`medlocker.engines._workerprotocols.WorkerPool`."""
        lines = {worker.line: worker for worker in workers if isinstance(worker, _Process)}
        found: list[tuple[WorkerHandle, WorkerReady | Report | None]] = []
        for line in wait(list(lines), timeout_s):
            if not isinstance(line, Connection):
                continue
            try:
                found.append((lines[line], line.recv()))
            except (EOFError, OSError):
                found.append((lines[line], None))
        return found

    def leave(self) -> None:
        """See :class:`medlocker.engines._workerprotocols.WorkerPool`."""
