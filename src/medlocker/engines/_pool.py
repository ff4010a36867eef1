"""The engine of several processes, here or on a Ray cluster: each has the models opened once.

Who does what, and why:

- A worker reads, searches, marks, writes a temporary file beside the target on shared storage, and judges it.
  That is the same code as in a local run; only :class:`medlocker.engines._engine.RunCoordinator` is another
  one.
- The driver keeps the release secret, the owner's keys, the ledger and the journal. Workers ask it twice
  about an image: *admit* (before the search; it asks the ledger and gives the randomness of this image) and
  *commit* (afterwards; it seals, notes, renames, journals, by the very code of a local run). Sealing takes
  about a millisecond, a search a second, so one driver serves hundreds of workers.
- So locking, resuming and the index are those of any run, and an image is committed at most once: whatever a
  lost worker still does only makes a temporary file that nobody renames.

Images are dealt one by one, not in blocks: a worker holds a few more than it works on, and fewer towards the
end, so that no machine waits for another one's block. The leader of a series is searched by one worker, whose
findings in the other members come back with it; the members may then go to any worker.

A worker that is lost is replaced, and its images are dealt again. An image that was lost twice goes to a
worker alone; if that is lost too, the image is to blame and fails.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from medlocker.classifiers import has_gradients, is_named, prototypes_of
from medlocker.engines._engine import IN_FLIGHT, EngineRequest
from medlocker.engines._messages import (
    FinderRecipe,
    ImageTask,
    ModelRecipe,
    Question,
    Report,
    Setup,
    Told,
    Verdict,
    WorkerReady,
)
from medlocker.engines._worker import with_absolute_paths
from medlocker.engines._workerprotocols import WorkerHandle, WorkerPool
from medlocker.errors import Code, Failure, InputError, MedlockerError, WriteError
from medlocker.files import TEMPORARY_PREFIX, read_limited, sweep_temporaries, write_atomic
from medlocker.images import LIMITS
from medlocker.protect import Job, Lesions, Outcome
from medlocker.regions import WithAnatomy
from medlocker.search import Clock, file_threads
from medlocker.version import __version__

WINDOW = IN_FLIGHT + 4
"""Most images at one worker: what it works on, and what it goes on with while the driver is busy."""
MOST_LOSSES = 3
"""Workers that an image may cost, and starts that a worker may need."""
_PURPOSES = ("search", "harden", "veil")
_LOOK_S = 5.0
_ANSWERING = 4
"""Threads that seal."""


@dataclass(eq=False)
class _WorkerSlot:
    """A place for a worker, and the worker that has it now."""

    worker: WorkerHandle
    starts: int = 1
    is_open: bool = False
    is_alone: bool = False
    jobs: dict[int, Job] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)


class PoolEngine:
    """Works through a pool.

    Args:
        models: Where workers find the run's classifiers, in the same order.
        segmenter: Where they find its segmenter, or None.
        lesions: Which candidates its finder looks for without a segmenter.
    """

    def __init__(
        self,
        duty: EngineRequest,
        pool: WorkerPool,
        *,
        models: Sequence[Path],
        segmenter: Path | None,
        lesions: Lesions,
    ) -> None:
        self._duty = duty
        self._workers = pool
        self._gate = duty.gate
        self._token = secrets.token_hex(16)
        self._setup = Setup(
            version=__version__,
            common=duty.common,
            models=tuple(
                ModelRecipe(
                    path if is_named(path) else _absolute(path),
                    one.name,
                    one.fingerprint,
                    has_gradients(one),
                    prototypes_of(one),
                )
                for path, one in zip(models, duty.classifiers, strict=True)
            ),
            finder=FinderRecipe(
                None if segmenter is None else _absolute(segmenter),
                lesions,
                None if duty.finder is None else duty.finder.fingerprint,
                anatomy=isinstance(duty.finder, WithAnatomy),
            ),
            images=_absolute(duty.images),
            probe=TEMPORARY_PREFIX + self._token,
            token=self._token,
        )
        self._left = duty.count
        self._slots: list[_WorkerSlot] = []
        self._given_up = 0
        self._again: deque[Job] = deque()
        self._suspects: deque[Job] = deque()
        self._losses: dict[int, int] = {}
        self._spent: list[Clock] = []
        self._peak_rss_mb = 0.0
        self._lost = 0
        self._looked = 0.0
        self._threads = file_threads(_ANSWERING)
        self._is_started = False

    def run(self, jobs: Callable[[], Iterator[Job]]) -> Iterator[tuple[Job, Outcome]]:
        """See :class:`medlocker.engines._engine.Engine`.

        Raises:
            InputError: If there is no place to work at, or the storage is not shared.
            ModelError: If a worker cannot open what the driver has opened.
            WriteError: If the system refuses, or no worker stays alive; the run can be resumed.
        """
        ready = jobs()
        first = next(ready, None)
        if first is None:
            return
        self._again.append(first)
        self._start()
        while True:
            self._grow()
            if self._deal(ready):
                ready = jobs()
            if not (self._again or self._suspects or any(slot.jobs for slot in self._slots)):
                first = next(ready, None)
                if first is None:
                    return
                self._again.append(first)
                continue
            for job, outcome in self._listen():
                self._left -= 1
                self._losses.pop(job.index, None)
                yield job, outcome

    @property
    def clock(self) -> Clock:
        """The clocks of all workers, summed."""
        return _summed([*self._spent, *(slot.clock for slot in self._slots)])

    @property
    def facts(self) -> dict[str, Any]:
        """How many workers there were, how many were lost, and the most memory that one of them had."""
        return {
            "name": self._workers.name,
            "workers": len(self._slots) + self._given_up,
            "lost": self._lost,
            "worker_peak_rss_mb": round(self._peak_rss_mb, 1),
        }

    def close(self) -> None:
        """End the workers."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        if not self._is_started:
            return
        for slot in self._slots:
            slot.worker.end()
        self._workers.leave()
        self._is_started = False
        sweep_temporaries(self._duty.images)

    def _start(self) -> None:
        write_atomic(self._setup.images / self._setup.probe, self._token.encode("ascii"))
        self._is_started = True
        self._workers.start(self._setup)

    def _grow(self) -> None:
        """Use all places that there are now: machines may join a cluster while a run is on."""
        if time.monotonic() - self._looked < _LOOK_S:
            return
        self._looked = time.monotonic()
        count = min(self._workers.places(), self._left) - self._given_up
        while len(self._slots) < max(count, 1 - self._given_up):
            self._slots.append(_WorkerSlot(self._workers.start_worker()))

    def _deal(self, ready: Iterator[Job]) -> bool:
        """Give images to workers that have room; tell whether no more were ready."""
        gifts: dict[_WorkerSlot, list[Job]] = {}

        def give(slot: _WorkerSlot, job: Job) -> None:
            slot.jobs[job.index] = job
            gifts.setdefault(slot, []).append(job)

        usable = sorted((slot for slot in self._slots if slot.is_open), key=lambda slot: len(slot.jobs))
        reserved = usable[: min(len(self._suspects), -(-len(usable) // 2))]
        for slot in reserved:
            if not slot.jobs:
                give(slot, self._suspects.popleft())
                slot.is_alone = True
        usable = [slot for slot in usable if slot not in reserved and not slot.is_alone]
        # towards the end everybody gets its share
        most = max(1, min(WINDOW, -(-self._left // len(self._slots))))
        dry = False
        while usable:
            slot = min(usable, key=lambda slot: len(slot.jobs))
            if len(slot.jobs) >= most:
                break
            job = self._again.popleft() if self._again else next(ready, None)
            if job is None:
                dry = True
                break
            give(slot, job)
        for slot, some in gifts.items():
            slot.worker.give([self._task_of(job) for job in some])
        return dry

    def _task_of(self, job: Job) -> ImageTask:
        if job.series is None or job.lead is not None:
            return ImageTask(with_absolute_paths(job))
        return ImageTask(with_absolute_paths(job), self._verdict(job.series.digest))

    def _listen(self) -> Iterator[tuple[Job, Outcome]]:
        """Hear from the workers, answer their questions, and yield what ended."""
        slots = {slot.worker: slot for slot in self._slots}
        reports: list[tuple[_WorkerSlot, Report]] = []
        lost: list[_WorkerSlot] = []
        for worker, found in self._workers.news(list(slots), timeout_s=_LOOK_S):
            if found is None:
                lost.append(slots[worker])
            elif isinstance(found, WorkerReady):
                self._opened(slots[worker], found)
            else:
                reports.append((slots[worker], found))
        yield from self._settle(reports)
        for slot in lost:
            yield from self._replace(slot)

    def _opened(self, slot: _WorkerSlot, opened: WorkerReady) -> None:
        where = f"worker on {opened.host}: "
        if opened.refused is not None:
            raise opened.refused.error(where)
        reply = self._setup.images / opened.reply
        try:
            found = read_limited(reply, max_bytes=1024, what="probe")
        except InputError:
            found = b""
        if found != self._token.encode("ascii"):
            raise InputError(
                f"{where}expected the release on shared storage, but files of the worker do not arrive",
                hint="mount the same folders on every machine, under the same paths and for the same user",
            )
        with suppress(OSError):
            os.unlink(reply)
        slot.is_open = True

    def _settle(self, reports: Sequence[tuple[_WorkerSlot, Report]]) -> Iterator[tuple[Job, Outcome]]:
        asked = [(slot, question) for slot, report in reports for question in report.questions]
        # sealed side by side; all are answered before any worker's loss is looked at
        verdicts = list(self._threads.map(lambda one: self._decide(*one), asked))
        answers: dict[_WorkerSlot, list[tuple[int, Verdict]]] = {}
        for (slot, question), verdict in zip(asked, verdicts, strict=True):
            answers.setdefault(slot, []).append((question.ticket, verdict))
        for slot, some in answers.items():
            slot.worker.answer(some)
        for (slot, question), verdict in zip(asked, verdicts, strict=True):
            if question.outcome is not None and verdict.refused is None:
                yield slot.jobs.pop(question.outcome.index), question.outcome
        for slot, report in reports:
            slot.clock = report.clock
            self._peak_rss_mb = max(self._peak_rss_mb, report.peak_rss_mb)
            if report.broken is not None:
                raise report.broken.error()
            for outcome in report.ended:
                job = slot.jobs.pop(outcome.index, None)
                if job is not None:  # else it was committed
                    yield job, outcome
            slot.is_alone = slot.is_alone and bool(slot.jobs)

    def _decide(self, slot: _WorkerSlot, question: Question) -> Verdict:
        if question.marked is None or question.outcome is None:
            return self._verdict(question.original)
        job = slot.jobs[question.outcome.index]
        if job.series is not None and question.marked.job.series is not None:
            job.series.findings.update(question.marked.job.series.findings)
        try:
            original = self._original(job, question.marked.original_file)
            self._gate.commit(replace(question.marked, job=job, original=original), question.outcome)
        except WriteError:
            raise
        except MedlockerError as error:
            return Verdict(Told.of(error))
        return Verdict()

    def _verdict(self, original: str) -> Verdict:
        try:
            self._gate.admit(original)
        except WriteError:
            raise
        except MedlockerError as error:
            return Verdict(Told.of(error))
        return Verdict(seeds={purpose: self._gate.randomness(purpose, original) for purpose in _PURPOSES})

    def _original(self, job: Job, sha256: str) -> bytes | None:
        """Read the original that is to be sealed too; originals never travel between processes."""
        if not self._duty.common.settings.keep_original:
            return None
        data = read_limited(job.source, max_bytes=LIMITS.max_file_bytes, what="image")
        if hashlib.sha256(data).hexdigest() != sha256:
            raise InputError(
                f"image {job.source.name}: it was changed while it was worked on", subject=job.source.name
            )
        return data

    def _replace(self, slot: _WorkerSlot) -> Iterator[tuple[Job, Outcome]]:
        """Start another worker, and deal the images of the lost one again."""
        self._lost += 1
        slot.worker.end()  # it may only seem lost
        self._spent.append(slot.clock)
        slot.clock = Clock()
        jobs, slot.jobs = list(slot.jobs.values()), {}
        for job in jobs:
            losses = self._losses[job.index] = self._losses.get(job.index, 0) + 1
            if losses < MOST_LOSSES - 1:
                self._again.append(job)
            elif losses < MOST_LOSSES:
                self._suspects.append(job)
            else:
                reason = f"the process that worked on it ended without an answer {losses} times"
                failure = Failure(job.name, reason, Code.WORKER_LOST)
                yield job, Outcome.left_out(job.index, "failed", failure)
        if slot.is_open:
            slot.starts = 0
        if slot.starts < MOST_LOSSES:
            slot.starts += 1
            slot.is_open = slot.is_alone = False
            slot.worker = self._workers.start_worker()
            return
        self._slots.remove(slot)
        self._given_up += 1
        if not self._slots:
            raise WriteError(
                f"every worker ended before it had opened the models, {self._lost} have ended",
                hint="usually for lack of memory (see the logs of Ray); repeat the command to continue",
            )


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


def _summed(clocks: Sequence[Clock]) -> Clock:
    total = Clock()
    for clock in clocks:
        for item in fields(Clock):
            if item.name != "stages":
                setattr(total, item.name, getattr(total, item.name) + getattr(clock, item.name))
        for stage, seconds in clock.stages.items():
            total.stages[stage] = total.stages.get(stage, 0.0) + seconds
    return total
