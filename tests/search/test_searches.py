from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from medlocker.errors import InputError
from medlocker.geometry import Box
from medlocker.logo import builtin_logo, render
from medlocker.mark import Mark
from medlocker.placements import FreePlacements
from medlocker.search import (
    Ask,
    BatchScheduler,
    BheSearch,
    Candidate,
    EvolutionSearch,
    Found,
    GradientSearch,
    ModelAnswers,
    Preview,
    Problem,
    Proposal,
    RandomSearch,
    ScreenedSearch,
    Search,
)
from medlocker.testing import LinearClassifier
from pictures import make_image

BOXES = (Box(10, 5, 20, 18), Box(40, 30, 9, 25))


@dataclass(frozen=True, eq=False)
class Recorded(Problem):
    """Notes every candidate that is asked about."""

    asked: list[Candidate] = field(default_factory=list)

    def ask(self, candidates: Sequence[Candidate], *, gradients: bool = False) -> Ask:
        self.asked.extend(candidates)
        return super().ask(candidates, gradients=gradients)


def make_problem(
    models: Sequence[LinearClassifier], *, seed: int = 0, size: tuple[int, int] = (64, 80)
) -> Recorded:
    image = make_image(height=size[0], width=size[1], seed=seed)
    preview = Preview(image, models, logo=builtin_logo())
    labels = tuple(
        int(m.logits(c[None])[0].argmax()) for m, c in zip(models, preview.clean_canvases, strict=True)
    )
    placements = FreePlacements(image=size[::-1], support=render(builtin_logo(), 16).support, boxes=BOXES)
    return Recorded(preview, labels, placements, 16, 20000, 50000)


def run(
    search: Search,
    problem: Problem,
    models: Sequence[LinearClassifier],
    *,
    seed: int = 0,
    judge: Any = None,
    driver: BatchScheduler | None = None,
) -> Found:
    task = search.run(problem, rng=np.random.default_rng(seed), judge=judge)
    ((_, found),) = (driver or BatchScheduler(models)).run([task])
    return found


NEVER = 1e6
TABLE: dict[str, Callable[[int, float], Search]] = {
    "random": lambda budget, margin: RandomSearch(budget=budget, margin=margin),
    "evolution": lambda budget, margin: EvolutionSearch(budget=budget, margin=margin),
    "bhe": lambda budget, margin: BheSearch(budget=budget, margin=margin, population=10),
    "screened": lambda budget, margin: ScreenedSearch(budget=budget, margin=margin),
    "gradient": lambda budget, margin: GradientSearch(budget=budget, margin=margin),
}


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize(
    "models", [[LinearClassifier()], [LinearClassifier(), LinearClassifier(seed=1, size=24)]]
)
def test_every_strategy_keeps_the_rules(name: str, models: list[LinearClassifier]) -> None:
    if name == "bhe":
        pytest.importorskip("scipy")
    budget = 61
    problem = make_problem(models)
    driver = BatchScheduler(models)
    found = run(TABLE[name](budget, NEVER), problem, models, driver=driver)
    assert found.evaluations == driver.clock.evaluations <= budget
    assert found.evaluations > budget - 4 * len(models) * 2
    assert not found.reached
    marks = [mark for candidate in (*problem.asked, found.marks) for mark in candidate]
    assert all(problem.placements.contains(mark.x, mark.y) for mark in marks)
    assert all(20000 <= mark.opacity <= 50000 and mark.size_px == 16 for mark in marks)
    # the best is what was asked and is as good as it says
    assert found.marks in problem.asked
    values = []
    for k, model in enumerate(models):
        out = np.empty((model.height, model.width, 3), np.float32)
        problem.preview.compose(k, found.marks, out)
        logits = model.logits(out[None])[0]
        label = problem.labels[k]
        values.append(float(np.delete(logits, label).max() - logits[label]))
    assert found.margin == pytest.approx(min(values), abs=2e-4)
    again = run(TABLE[name](budget, NEVER), make_problem(models), models)
    assert again == found


@pytest.mark.parametrize("name", TABLE)
def test_every_strategy_stops_at_the_margin(name: str) -> None:
    if name == "bhe":
        pytest.importorskip("scipy")
    models = [LinearClassifier()]
    problem = make_problem(models)
    found = run(TABLE[name](60, -NEVER), problem, models)
    assert found.evaluations <= 16
    assert found.evaluations < 60
    assert not found.reached or found.margin >= 0


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("budget", [1, 2, 3])
def test_every_strategy_tries_one_candidate_at_least(name: str, budget: int) -> None:
    if name == "bhe":
        pytest.importorskip("scipy")
    models = [LinearClassifier()]
    found = run(TABLE[name](budget, NEVER), make_problem(models), models)
    assert len(found.marks) == 1
    assert found.evaluations <= max(budget, 3)


@pytest.mark.parametrize("name", ["screened", "gradient"])
def test_guided_searches_are_better_than_chance(name: str) -> None:
    models = [LinearClassifier()]
    means = {}
    for one in ("random", name):
        margins = [run(TABLE[one](24, NEVER), make_problem(models, seed=s), models).margin for s in range(8)]
        means[one] = float(np.mean(margins))
    assert means[name] > means["random"] + 0.05


def test_a_problem_keeps_marks_inside_its_ranges() -> None:
    problem = make_problem([LinearClassifier()])
    assert [problem.mark(1, 2, opacity).opacity for opacity in (0, 30000.4, 65535)] == [20000, 30000, 50000]
    assert problem.mark(1, 2).opacity == 50000
    x, y = problem.nearest(15, 10)  # in the middle of a box
    assert problem.placements.contains(x, y)


def test_budgets_out_of_range() -> None:
    with pytest.raises(InputError, match=r"^expected a budget of at least 1 evaluation, got 0$"):
        RandomSearch(budget=0)


# -------------------------------------------------------------------------------------------- the template


class Scripted(Search):
    """Proposes what it is told and keeps what it learns."""

    name = "scripted"
    needs_gradients = True

    def __init__(self, script: list[tuple[int, bool]], *, budget: int, margin: float = 0.0) -> None:
        super().__init__(budget=budget, margin=margin)
        self._script = script
        self.learned: list[list[float]] = []
        self.closed = False

    def steps(self, problem: Problem, rng: np.random.Generator) -> Any:
        at = 0
        try:
            for count, gradients in self._script:
                marks = [(Mark(x=at + i, y=0, size_px=16, opacity=30000),) for i in range(count)]
                at += count
                scored = yield Proposal(marks, gradients)
                self.learned.append(scored.values.tolist())
        finally:
            self.closed = True


class _Stub:
    """A problem that only knows its labels."""

    labels = (0, 1)
    looks = 1

    def not_allowed(self, candidate: Candidate) -> str:
        return ""

    def ask(self, candidates: Sequence[Candidate], *, gradients: bool = False) -> Ask:
        return Ask(len(candidates), lambda *_: None, self.labels, gradients)


def converse(
    search: Search, margins: Callable[[int], Sequence[float]], *, judged: Sequence[float] = ()
) -> tuple[Found, list[int], list[Candidate]]:
    """Play the models: margins of the n-th candidate, per model; returns costs and what was judged."""
    stub: Any = _Stub()
    verdicts, shown = iter(judged), []

    def judge(candidate: Candidate) -> Generator[Any, Any, NDArray[np.float64]]:
        shown.append(candidate)
        yield from ()
        return np.full(len(stub.labels) * stub.looks, next(verdicts))

    task = search.run(stub, rng=np.random.default_rng(0), judge=judge if judged else None)
    costs: list[int] = []
    at, answer = 0, None
    while True:
        try:
            ask = task.send(answer)
        except StopIteration as stop:
            return stop.value, costs, shown
        costs.append(ask.cost)
        values = np.array([margins(at + i) for i in range(ask.count)], np.float32)
        at += ask.count
        answer = ModelAnswers(values, np.zeros((ask.count, 2), np.int64))


def test_evaluations_are_counted_exactly() -> None:
    search = Scripted([(1, False), (3, False), (1, True), (2, False)], budget=100)
    found, costs, _ = converse(search, lambda i: (-5.0 - i, -1.0))
    assert costs == [2, 6, 4, 4]
    assert found.evaluations == 16
    assert search.learned == [[-5.0], [-6.0, -7.0, -8.0], [-9.0], [-10.0, -11.0]]
    assert (found.margin, found.reached) == (-5.0, False)
    assert found.marks[0].x == 0


def test_a_batch_is_cut_to_the_budget() -> None:
    search = Scripted([(1, False), (4, False), (4, False)], budget=9)
    found, costs, _ = converse(search, lambda i: (-1.0, -1.0 - i))
    assert costs == [2, 6]  # three of four: 7 left, 2 each; then 1 is left
    assert (found.evaluations, search.closed) == (8, True)


def test_one_candidate_is_tried_whatever_the_budget() -> None:
    found, costs, _ = converse(Scripted([(3, False)], budget=1), lambda i: (-1.0, -1.0))
    assert (costs, found.evaluations, found.marks[0].x) == ([2], 2, 0)


def test_it_stops_when_every_model_has_the_margin() -> None:
    search = Scripted([(2, False), (2, False), (2, False)], budget=100, margin=0.5)
    margins = [(9.0, -1.0), (0.4, 9.0), (0.6, 0.5), (3.0, 0.1), (9.0, 9.0), (9.0, 9.0)]
    found, costs, _ = converse(search, lambda i: margins[i])
    assert len(costs) == 2
    assert (found.marks[0].x, found.margin, found.reached) == (2, 0.5, True)
    assert search.closed


def test_a_refused_candidate_does_not_end_the_search() -> None:
    search = Scripted([(1, False), (2, False), (2, False)], budget=100, margin=0.5)
    margins = [(0.7, 0.7), (0.6, 0.6), (0.1, 0.1), (0.9, 0.9), (0.2, 0.2)]
    found, _, judged = converse(search, lambda i: margins[i], judged=[-0.3, -0.2, 0.8])
    assert [candidate[0].x for candidate in judged] == [0, 1, 3]
    assert search.learned[0] == [-0.3]
    assert search.learned[1] == pytest.approx([-0.2, 0.1])
    assert (found.marks[0].x, found.margin, found.reached) == (3, 0.8, True)
    assert found.evaluations == 10 + 3 * 2


def test_after_some_refusals_it_gives_up() -> None:
    search = Scripted([(1, False)] * 9, budget=100, margin=0.5)
    found, costs, judged = converse(search, lambda i: (1.0, 1.0), judged=[-0.1] * 9)
    assert len(judged) < 9
    assert len(costs) == len(judged)
    assert (found.reached, found.margin) == (False, -0.1)


def test_the_unmarked_image_is_never_the_answer() -> None:
    class Clean(Search):
        name = "clean"

        def steps(self, problem: Problem, rng: np.random.Generator) -> Any:
            yield Proposal([()])
            yield Proposal([(Mark(x=7, y=0, size_px=16, opacity=1),)])

    found, _, _ = converse(Clean(budget=50, margin=0.0), lambda i: ((9.0, 9.0), (-3.0, -3.0))[i])
    assert (found.marks[0].x, found.margin, found.reached) == (7, -3.0, False)


# ---------------------------------------------------------------------------------------------- several looks


def test_what_several_looks_are_worth() -> None:
    search = Scripted([], budget=10, margin=2.0)
    plain_only = np.array([[5.0, 6.0, -9.0, 1.0, 0.0, 3.0]])  # two models, three looks
    # the plain look's least margin, cut at 2, counts half; the attacks' least ones share the rest
    assert search.worth(plain_only, looks=3) == pytest.approx([2.0 / 2 + (-9.0 + 0.0) / 2 / 2])
    assert search.worth(plain_only[:, :2], looks=1) == pytest.approx([5.0])
    reached = np.array([[2.0, 9.0, 2.0, 2.0], [2.0, 9.0, 2.0, 1.9]])
    worth = search.worth(reached, looks=2)
    assert worth[0] == 2.0
    assert worth[1] < 2.0


def test_a_hopeless_attack_does_not_hide_what_can_be_won() -> None:
    search = Scripted([], budget=10, margin=2.0)
    misled, not_misled = [3.0, -8.0], [-1.0, -8.0]
    better, worse = search.worth(np.array([misled, not_misled]), looks=2)
    assert better > worse
