from __future__ import annotations

import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from medlocker.errors import ModelError
from medlocker.search import Ask, BackgroundTask, BatchScheduler, ModelAnswers, margins_of
from medlocker.testing import LinearClassifier


class Watched(LinearClassifier):
    """Remembers the sizes of its batches; refuses those that hold a canvas of 255."""

    def __init__(self, **options: Any) -> None:
        super().__init__(size=4, **options)
        self.sizes: list[int] = []

    def logits(self, canvases: NDArray[np.float32]) -> NDArray[np.float32]:
        self.sizes.append(len(canvases))
        if (canvases[:, 0, 0, 0] == 255).any():
            raise ModelError("watched: no white")
        return super().logits(canvases)


def canvas(value: float) -> NDArray[np.float32]:
    rng = np.random.default_rng(int(value))
    made = rng.integers(0, 255, (4, 4, 3)).astype(np.float32)
    made[0, 0, 0] = value
    return made


def ask(values: list[float], *, label: int = 0, models: int = 1, gradients: bool = False) -> Ask:
    def fill(model: int, i: int, out: NDArray[np.float32]) -> None:
        out[...] = canvas(values[i])

    return Ask(len(values), fill, (label,) * models, gradients)


def asking(*questions: Ask) -> Generator[Any, Any, list[ModelAnswers]]:
    answers = []
    for question in questions:
        answers.append((yield question))
    return answers


def wanted(model: LinearClassifier, values: list[float], label: int) -> NDArray[np.float32]:
    return margins_of(LinearClassifier.logits(model, np.stack([canvas(v) for v in values])), label)


def test_margins() -> None:
    logits = np.array([[1, 5, 3], [4, 2, 2]], np.float32)
    assert margins_of(logits, 1).tolist() == [-2, 2]
    assert margins_of(logits, 0).tolist() == [4, -2]


def test_tasks_share_batches_and_get_their_own_answers() -> None:
    model = Watched()
    driver = BatchScheduler([model], batch=8, in_flight=5)
    tasks = [asking(ask([k, k + 10], label=k % 3), ask([k + 20], label=1)) for k in range(5)]
    results = dict(driver.run(tasks))
    assert sorted(results) == list(range(5))
    for k, (first, second) in results.items():
        np.testing.assert_allclose(first.margins[:, 0], wanted(model, [k, k + 10], k % 3), rtol=1e-5)
        np.testing.assert_allclose(second.margins[:, 0], wanted(model, [k + 20], 1), rtol=1e-5)
        assert first.top.shape == (2, 1)
    assert sum(model.sizes) == 15
    assert max(model.sizes) == 8
    assert len(model.sizes) <= 4
    assert driver.clock.evaluations == 15
    assert driver.clock.batches == len(model.sizes)


def test_a_question_larger_than_a_batch() -> None:
    models = [Watched(), Watched(seed=1)]
    driver = BatchScheduler(models, batch=3)
    values = [float(k) for k in range(10)]
    (answer,) = next(driver.run([asking(ask(values, models=2, label=2))]))[1]
    for k, model in enumerate(models):
        np.testing.assert_allclose(answer.margins[:, k], wanted(model, values, 2), rtol=1e-5)
    assert models[0].sizes == [3, 3, 3, 1]


def test_gradients_come_back_in_order_and_count_twice() -> None:
    models = [Watched(), Watched(seed=1)]
    driver = BatchScheduler(models, batch=3)
    question = ask([1, 2, 3, 4], models=2, label=1, gradients=True)
    assert question.cost == 16
    tasks = [asking(question), asking(ask([5], models=2))]
    results = dict(driver.run(tasks))
    (answer,) = results[0]
    for k, model in enumerate(models):
        exact = model.gradients(np.stack([canvas(v) for v in (1, 2, 3, 4)]), [1] * 4)
        np.testing.assert_array_equal(answer.gradients[k], exact.canvas)
    assert results[1][0].gradients == ()
    assert driver.clock.evaluations == 18


def test_a_model_that_fails_on_one_picture_costs_only_that_task() -> None:
    models = [Watched(), Watched(seed=1)]

    def careful(values: list[float]) -> Generator[Any, Any, object]:
        try:
            answer = yield ask(values, models=2)
        except ModelError as error:
            return str(error)
        return answer

    results = dict(BatchScheduler(models, batch=8).run([careful([1, 2]), careful([3, 255]), careful([4])]))
    assert results[1] == "watched: no white"
    for k, values in ((0, [1.0, 2.0]), (2, [4.0])):
        answer = results[k]
        assert isinstance(answer, ModelAnswers)
        for m, model in enumerate(models):
            np.testing.assert_allclose(answer.margins[:, m], wanted(model, values, 0), rtol=1e-5)


@pytest.mark.parametrize("threads", [0, 3])
def test_work_runs_in_threads_and_its_exception_is_the_tasks_own(threads: int) -> None:
    here = threading.get_ident()
    seen: list[int] = []

    def call(value: int) -> int:
        seen.append(threading.get_ident())
        if value == 2:
            raise ValueError("two")
        return value * 10

    def working(value: int) -> Generator[Any, Any, object]:
        try:
            result = yield BackgroundTask(lambda: call(value), "read")
        except ValueError as error:
            return str(error)
        (answer,) = yield from asking(ask([result]))
        return answer.margins.shape

    executor = ThreadPoolExecutor(threads) if threads else None
    driver = BatchScheduler([Watched()], executor=executor)
    results = dict(driver.run(working(k) for k in range(4)))
    assert results == {0: (1, 1), 1: (1, 1), 2: "two", 3: (1, 1)}
    assert len(seen) == 4
    assert (here in seen) == (not threads)
    assert driver.clock.stages["read"] > 0
    if executor:
        executor.shutdown()


def test_only_so_many_tasks_are_in_flight() -> None:
    alive = [0, 0]

    def counting() -> Generator[Any, Any, None]:
        alive[0] += 1
        alive[1] = max(alive)
        yield ask([1])
        yield ask([2])
        alive[0] -= 1

    assert len(list(BatchScheduler([Watched()], in_flight=3).run(counting() for _ in range(10)))) == 10
    assert alive == [0, 3]


def test_an_error_that_no_task_catches_ends_the_run() -> None:
    def failing() -> Generator[Any, Any, None]:
        yield ask([1])
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match=r"^a bug$"):
        list(BatchScheduler([Watched()]).run([failing(), asking(ask([1]))]))


def test_no_tasks() -> None:
    assert list(BatchScheduler([Watched()]).run([])) == []
