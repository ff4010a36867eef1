"""Running many generators at once: their questions share batches, their file work runs in threads."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from medlocker.classifiers import Classifier, has_gradients
from medlocker.errors import InputError, MedlockerError, ModelError
from medlocker.search._questions import Ask, ModelAnswers, margins_of

R = TypeVar("R")


@dataclass(frozen=True)
class BackgroundTask:
    """Something slow that needs no model: reading, blending, encoding, writing.

    Args:
        call: Runs in a thread; its result, or its exception, comes back from the ``yield``.
        stage: Under which name its time is counted.
    """

    call: Callable[[], Any]
    stage: str = "work"

    def timed(self) -> tuple[Any, float]:
        """Return the call's result and its seconds."""
        started = time.perf_counter()
        return self.call(), time.perf_counter() - started


Task: TypeAlias = Generator[Ask | BackgroundTask, Any, R]
"""A generator that yields :class:`Ask` or :class:`BackgroundTask` and returns its result."""


@dataclass
class Clock:
    """Where the time of the driving thread went, seconds, and how often models were asked."""

    model: float = 0.0
    compose: float = 0.0
    think: float = 0.0
    idle: float = 0.0
    evaluations: int = 0
    batches: int = 0
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds of :class:`BackgroundTask` by stage, summed over the threads that did it."""

    @property
    def total(self) -> float:
        """Seconds of the driving thread in all."""
        return self.model + self.compose + self.think + self.idle


@dataclass(eq=False)
class _Running(Generic[R]):
    key: int
    task: Task[R]
    stage: str = ""


@dataclass(eq=False)
class _Pending(Generic[R]):
    running: _Running[R]
    ask: Ask
    done: int = 0
    logits: list[list[NDArray[np.float32]]] = field(default_factory=list)
    gradients: list[list[NDArray[np.float32]]] = field(default_factory=list)

    def forget(self, first: int) -> None:
        """Drop the answers from candidate ``first`` on: their batch failed in a later model."""
        for lists in (self.logits, self.gradients):
            for parts in lists:
                while sum(map(len, parts)) > first:
                    parts.pop()


class BatchScheduler:
    """Batches the questions of many tasks.

    Args:
        classifiers: Asked in this order; an :class:`Ask` has one label for each.
        batch: Most pictures in one call of a model.
        in_flight: Most tasks at once; bounds the memory.
        executor: Runs :class:`BackgroundTask`; None runs it in the driving thread.
    """

    def __init__(
        self,
        classifiers: Sequence[Classifier],
        *,
        batch: int = 16,
        in_flight: int = 16,
        executor: Executor | None = None,
    ) -> None:
        self.classifiers = tuple(classifiers)
        self.batch = batch
        self.in_flight = in_flight
        self.clock = Clock()
        self._executor = executor
        self._buffers = [
            np.empty((batch, model.height, model.width, model.channels), np.float32)
            for model in self.classifiers
        ]

    def run(self, tasks: Iterable[Task[R]]) -> Iterator[tuple[int, R]]:
        """Run tasks and yield (position of the task, its result) as they finish.

        Tasks are taken from the iterable only as places become free. An exception of a task ends the run.
        """
        # the matrices here are small: threads of numpy's would only fight those of the models
        with threadpool_limits(limits=1, user_api="blas"):
            yield from self._run(tasks)

    def _run(self, tasks: Iterable[Task[R]]) -> Iterator[tuple[int, R]]:
        source = enumerate(tasks)
        ready: deque[tuple[_Running[R], Any]] = deque()
        futures: dict[Future[Any], _Running[R]] = {}
        asks: deque[_Pending[R]] = deque()
        running = 0
        exhausted = False
        while True:
            while not exhausted and running < self.in_flight:
                following = next(source, None)
                if following is None:
                    exhausted = True
                    break
                running += 1
                ready.append((_Running(*following), None))
            while ready:
                one, value = ready.popleft()
                started = time.perf_counter()
                try:
                    asked = one.task.throw(value) if isinstance(value, Exception) else one.task.send(value)
                except StopIteration as stop:
                    running -= 1
                    self.clock.think += time.perf_counter() - started
                    yield one.key, stop.value
                    continue
                self.clock.think += time.perf_counter() - started
                if isinstance(asked, BackgroundTask):
                    self._submit(asked, one, ready, futures)
                else:
                    asks.append(_Pending(one, asked))
            if futures:
                self._collect(futures, ready, block=not asks)
            if asks and not ready:
                ready += [(pending.running, answer) for pending, answer in self._step(asks)]
            if exhausted and not (ready or futures or asks):
                return

    def _submit(
        self,
        work: BackgroundTask,
        one: _Running[R],
        ready: deque[tuple[_Running[R], Any]],
        futures: dict[Future[Any], _Running[R]],
    ) -> None:
        one.stage = work.stage
        if self._executor is not None:
            futures[self._executor.submit(work.timed)] = one
            return
        try:
            result, seconds = work.timed()
        except Exception as error:
            ready.append((one, error))
        else:
            self._count(one, seconds)
            ready.append((one, result))

    def _count(self, one: _Running[R], seconds: float) -> None:
        self.clock.stages[one.stage] = self.clock.stages.get(one.stage, 0.0) + seconds

    def _collect(
        self,
        futures: dict[Future[Any], _Running[R]],
        ready: deque[tuple[_Running[R], Any]],
        *,
        block: bool,
    ) -> None:
        started = time.perf_counter()
        done, _ = wait(futures, timeout=None if block else 0, return_when=FIRST_COMPLETED)
        self.clock.idle += time.perf_counter() - started
        for future in sorted(done, key=lambda f: futures[f].key):
            one = futures.pop(future)
            error = future.exception()
            if error is None:
                result, seconds = future.result()
                self._count(one, seconds)
                ready.append((one, result))
            elif isinstance(error, Exception):
                ready.append((one, error))
            else:
                raise error

    def _step(self, asks: deque[_Pending[R]]) -> list[tuple[_Pending[R], ModelAnswers | MedlockerError]]:
        """Run one batch, with gradients if the first question wants them; return what is finished."""
        wants_gradients = asks[0].ask.gradients
        taken: list[tuple[_Pending[R], int, int]] = []
        places = self.batch
        for pending in asks:
            if pending.ask.gradients == wants_gradients and places > 0:
                count = min(pending.ask.count - pending.done, places)
                taken.append((pending, pending.done, count))
                places -= count
        finished: list[tuple[_Pending[R], ModelAnswers | MedlockerError]] = []
        for group in self._asked(taken, gradients=wants_gradients):
            for pending, _, count, error in group:
                pending.done += count
                if error is not None or pending.done == pending.ask.count:
                    asks.remove(pending)
                    finished.append((pending, error or self._answer(pending)))
        return finished

    def _asked(
        self, taken: Sequence[tuple[_Pending[R], int, int]], *, gradients: bool
    ) -> Iterator[list[tuple[_Pending[R], int, int, MedlockerError | None]]]:
        """Ask about a whole batch; if the model fails on it, about each task alone."""
        try:
            for k, model in enumerate(self.classifiers):
                self._run_model(k, model, taken, gradients=gradients)
        except (ModelError, InputError) as error:  # of a model, or of an attack while a picture is made
            if len(taken) == 1:
                yield [(*taken[0], error)]
                return
            for pending, first, _ in taken:
                pending.forget(first)
            for one in taken:
                yield from self._asked([one], gradients=gradients)
            return
        yield [(*one, None) for one in taken]

    def _run_model(
        self,
        k: int,
        model: Classifier,
        taken: Sequence[tuple[_Pending[R], int, int]],
        *,
        gradients: bool,
    ) -> None:
        started = time.perf_counter()
        filled = sum(count for _, _, count in taken)
        buffer = self._buffers[k][:filled]
        labels: list[int] = []
        at = 0
        for pending, first, count in taken:
            for i in range(first, first + count):
                pending.ask.fill(k, i, buffer[at])
                at += 1
            labels += [pending.ask.labels[k]] * count
        composed = time.perf_counter()
        if gradients:
            if not has_gradients(model):
                raise ModelError(f"{model.name}: this model gives no gradients")
            result = model.gradients(buffer, labels)
            logits, slopes = result.logits, result.canvas
        else:
            logits, slopes = model.logits(buffer), None
        self.clock.compose += composed - started
        self.clock.model += time.perf_counter() - composed
        self.clock.evaluations += filled * (2 if gradients else 1)
        self.clock.batches += 1
        at = 0
        for pending, _, count in taken:
            if len(pending.logits) <= k:
                pending.logits.append([])
                pending.gradients.append([])
            pending.logits[k].append(logits[at : at + count])
            if slopes is not None:
                pending.gradients[k].append(slopes[at : at + count])
            at += count

    def _answer(self, pending: _Pending[R]) -> ModelAnswers:
        ask = pending.ask
        whole = [np.concatenate(parts) for parts in pending.logits]
        margins = np.stack([margins_of(z, label) for z, label in zip(whole, ask.labels, strict=True)], axis=1)
        top = np.stack([z.argmax(axis=1) for z in whole], axis=1)
        slopes = tuple(np.concatenate(parts) for parts in pending.gradients) if ask.gradients else ()
        return ModelAnswers(margins, top, slopes, tuple(whole))


def file_threads(workers: int) -> ThreadPoolExecutor:
    """Return the threads for :class:`BackgroundTask`."""
    return ThreadPoolExecutor(max_workers=max(workers, 1), thread_name_prefix="medlocker-files")
