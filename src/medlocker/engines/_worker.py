"""One process of a run of several: opens the models once, then marks the images it is given.

It does not know how it is reached, and holds nothing of the owner's: no key, no release secret, no ledger.
What the pipeline asks of the run (:class:`medlocker.engines._engine.RunCoordinator`) it asks the driver,
waiting for
the answer in one of the threads that read and write. All it leaves on the storage are temporary files; only
the driver renames them, so a worker that was given up for lost and lives on can do no harm.
"""

from __future__ import annotations

import copy
import itertools
import os
import platform
import queue
import secrets
import threading
import traceback
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import cv2

from medlocker.classifiers import (
    Classifier,
    has_gradients,
    is_feature_extractor,
    load_classifier,
    with_gradients,
)
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
from medlocker.errors import InputError, MedlockerError, ModelError, WriteError
from medlocker.files import TEMPORARY_PREFIX, read_limited, write_atomic
from medlocker.machine import peak_rss_mb, wanted_threads
from medlocker.protect import Job, Marked, Outcome, Protector, make_finder
from medlocker.regions import Finder, WithAnatomy, load_segmenter
from medlocker.search import BatchScheduler, Task, file_threads
from medlocker.version import __version__

_REMEMBERED = 1024
"""Answers kept; far more than there are images at one worker."""
_MAX_PROBE_BYTES = 1024
_WAITING = 2
"""Threads besides those that read and write: some always wait for an answer."""


class Worker:
    """Its methods are called from several threads at once."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._queue: queue.SimpleQueue[ImageTask] = queue.SimpleQueue()
        self._news = threading.Condition()
        self._questions: list[Question] = []
        self._ended: list[Outcome] = []
        self._broken: Told | None = None
        self._tickets = itertools.count()
        self._waiting: dict[int, Future[Verdict]] = {}
        self._verdicts: OrderedDict[str, Verdict] = OrderedDict()
        self._driver: BatchScheduler

    def open(self) -> WorkerReady:
        """Check the shared storage, open the models, and begin to wait for images."""
        host, pid = platform.node(), os.getpid()
        try:
            reply = self._check_storage()
            if threads := wanted_threads():
                cv2.setNumThreads(threads)
            classifiers = [_open_model(recipe, self._setup) for recipe in self._setup.models]
            finder = _open_finder(self._setup.finder, classifiers)
        except MedlockerError as error:
            return WorkerReady(host, pid, refused=Told.of(error))
        common = self._setup.common
        self._driver = common.driver(classifiers, file_threads(common.workers + _WAITING))
        protector = common.protector(classifiers, finder, self)
        threading.Thread(target=self._work, args=(protector,), daemon=True).start()
        return WorkerReady(host, pid, reply)

    def give(self, tasks: Sequence[ImageTask]) -> None:
        """Take images to mark."""
        for task in tasks:
            self._queue.put(task)

    def answer(self, verdicts: Sequence[tuple[int, Verdict]]) -> None:
        """Take answers to questions."""
        for ticket, verdict in verdicts:
            self._waiting.pop(ticket).set_result(verdict)

    def report(self, *, timeout_s: float) -> Report:
        """Wait until there is something to tell, or the time is over, and tell it."""
        with self._news:
            self._news.wait_for(lambda: self._questions or self._ended or self._broken, timeout_s)
            questions, self._questions = tuple(self._questions), []
            ended, self._ended = tuple(self._ended), []
            return Report(questions, ended, copy.deepcopy(self._driver.clock), peak_rss_mb(), self._broken)

    def admit(self, original_digest: str) -> None:
        """Ask the driver's ledger.

        Raises:
            AlreadyMarkedError: If it refuses.
        """
        self._allowed(original_digest)

    def randomness(self, purpose: str, original_digest: str) -> bytes:
        """Return what the driver gave when it admitted this original."""
        return self._allowed(original_digest).seeds[purpose]

    def commit(self, marked: Marked, outcome: Outcome) -> None:
        """Let the driver seal and rename.

        Raises:
            InputError: If it refuses.
        """
        # the original's bytes lie on the shared storage: they need not travel
        bare = replace(marked, original=None)
        verdict = self._ask(Question(next(self._tickets), marked.original_pixels, bare, outcome))
        if verdict.refused is not None:
            raise verdict.refused.error()

    def _allowed(self, original: str) -> Verdict:
        with self._news:
            verdict = self._verdicts.get(original)
        if verdict is None:
            verdict = self._ask(Question(next(self._tickets), original))
            self._remember(original, verdict)
        if verdict.refused is not None:
            raise verdict.refused.error()
        return verdict

    def _remember(self, original: str, verdict: Verdict) -> None:
        with self._news:
            self._verdicts[original] = verdict
            if len(self._verdicts) > _REMEMBERED:
                self._verdicts.popitem(last=False)

    def _ask(self, question: Question) -> Verdict:
        answer: Future[Verdict] = Future()
        self._waiting[question.ticket] = answer
        with self._news:
            self._questions.append(question)
            self._news.notify()
        return answer.result()

    def _work(self, protector: Protector) -> None:
        try:
            while True:
                first = self._queue.get()
                for _, outcome in self._driver.run(self._tasks(protector, first)):
                    with self._news:
                        self._ended.append(outcome)
                        self._news.notify()
        except MedlockerError as error:
            broken = Told.of(error)
        except BaseException as error:
            broken = Told("MedlockerError", "".join(traceback.format_exception(error)))
        with self._news:
            self._broken = broken
            self._news.notify()

    def _tasks(self, protector: Protector, first: ImageTask) -> Iterator[Task[Outcome]]:
        """Yield what there is now: the driving thread must not wait here while images are in its workers."""
        task = first
        while True:
            series = task.job.series
            if series is not None and task.series is not None:
                self._remember(series.digest, task.series)
            yield protector.task(task.job)
            try:
                task = self._queue.get_nowait()
            except queue.Empty:
                return

    def _check_storage(self) -> str:
        """Read what the driver wrote, and write what it will read.

        Raises:
            InputError: If this machine has another program, or another file system.
        """
        setup = self._setup
        if setup.version != __version__:
            raise InputError(f"expected medlocker {setup.version} as at the driver, got {__version__}")
        hint = "mount the same folders on every machine, under the same paths and for the same user"
        try:
            found = read_limited(setup.images / setup.probe, max_bytes=_MAX_PROBE_BYTES, what="probe")
        except InputError as error:
            raise InputError(
                "expected the release on shared storage, its folder is not there", hint=hint
            ) from error
        if found != setup.token.encode("ascii"):
            raise InputError("expected the release on shared storage, got another folder", hint=hint)
        reply = TEMPORARY_PREFIX + secrets.token_hex(8)
        try:
            write_atomic(setup.images / reply, found)
        except WriteError as error:
            raise InputError("expected to write to the release on shared storage", hint=hint) from error
        return reply


def _open_model(recipe: ModelRecipe, setup: Setup) -> Classifier:
    """Open a surrogate and make sure that it is the driver's.

    Raises:
        ModelError: If it is not there, or another one.
    """
    model = load_classifier(recipe.path, features=True)
    if setup.common.settings.wants_gradients:
        model = with_gradients(model, recipe.path)
    if model.fingerprint != recipe.fingerprint:
        raise ModelError(
            f"model {recipe.name}: expected the driver's, got a file with other weights", subject=recipe.name
        )
    if has_gradients(model) != recipe.has_gradients:
        raise ModelError(
            f"model {recipe.name}: expected gradients as at the driver, there or missing on both",
            subject=recipe.name,
            hint="install the same extras on every machine",
        )
    if recipe.prototypes is not None and is_feature_extractor(model):
        model = model.clustered(recipe.prototypes, note="")
    return model


def _open_finder(recipe: FinderRecipe, classifiers: Sequence[Classifier]) -> Finder | None:
    finder: Finder | None
    if recipe.segmenter is not None:
        finder = load_segmenter(recipe.segmenter)
    else:
        finder = make_finder(recipe.lesions, classifiers)
    if recipe.anatomy:
        finder = WithAnatomy(finder)
    found = finder.fingerprint if finder is not None else None
    if found != recipe.fingerprint:
        raise ModelError("expected what finds regions to be the same as at the driver")
    return finder


def with_absolute_paths(job: Job) -> Job:
    """Return a job as it goes to another machine: absolute paths, and of its series only what it needs."""
    series = job.series
    if series is not None:
        names = series.members if job.lead is None else (job.name,)
        members = {name: Path(os.path.abspath(series.members[name])) for name in names}
        found = {name: series.findings[name] for name in names if name in series.findings}
        series = replace(series, members=members, findings=found)
    source, target = (Path(os.path.abspath(path)) for path in (job.source, job.target))
    return replace(job, source=source, target=target, series=series)
