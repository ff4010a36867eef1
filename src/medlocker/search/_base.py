"""The template of every search: counts evaluations, keeps the best, stops in time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import InputError, MedlockerError
from medlocker.mark import Mark
from medlocker.plugins import raised
from medlocker.search._problem import Candidate, Problem
from medlocker.search._questions import ModelAnswers

Floats = NDArray[np.float32]
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Proposal:
    """Candidates to try next.

    Args:
        candidates: At least one.
        gradients: Also ask for the gradients at them.
    """

    candidates: Sequence[Candidate]
    gradients: bool = False


@dataclass(frozen=True)
class Scored:
    """What a proposal got.

    Args:
        values: (n,) float64, see :meth:`Search.worth`; with one look the smallest margin over the models.
        gradients: Per model (n * looks, h, w, c), if asked for; a candidate's looks lie together.
        margins: (n, looks * models) float64, first all models' of the first look.
    """

    values: NDArray[np.float64]
    gradients: tuple[Floats, ...] = ()
    margins: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))


@dataclass(frozen=True)
class Found:
    """The outcome of a search.

    Args:
        margin: Its smallest margin over the models.
        evaluations: What the search cost.
        reached: Whether the wanted margin was reached.
    """

    marks: Candidate
    margin: float
    evaluations: int
    reached: bool


Steps: TypeAlias = Generator[Proposal, Scored, None]
Judge: TypeAlias = Callable[[Candidate], Generator[Any, Any, F64]]
"""From a candidate to the (looks * models,) margins of the real, written file."""


class Search(ABC):
    """A strategy that chooses a mark.

    Args:
        budget: Most evaluations for one image (one image through one model once; a backward pass counts 2).
        margin: Stop as soon as every model's margin is at least this, in logits.

    Raises:
        InputError: If the budget is below 1.
    """

    name: ClassVar[str]
    needs_gradients: ClassVar[bool] = False

    def __init__(self, *, budget: int, margin: float = 0.0) -> None:
        if budget < 1:
            raise InputError(f"expected a budget of at least 1 evaluation, got {budget}")
        self.budget = budget
        self.margin = margin

    @abstractmethod
    def steps(self, problem: Problem, rng: np.random.Generator) -> Steps:
        """Yield proposals and receive their scores, until there is nothing more to try."""

    def run(
        self, problem: Problem, *, rng: np.random.Generator, judge: Judge | None = None
    ) -> Generator[Any, Any, Found]:
        """Search one image.

        Args:
            judge: Called with a candidate that reaches the margin; a generator that returns the margins of
                the real, written image. If any is not above 0 the search goes on with what is left.

        Returns:
            The best candidate found. At least one candidate is always tried, even when the budget is too
            small for every model.
        """
        tally = _Progress()
        steps = self._guarded(problem, rng)
        proposal = next(steps, None)
        while proposal is not None:
            price = len(problem.labels) * problem.looks * (2 if proposal.gradients else 1)
            affordable = max((self.budget - tally.spent) // price, 0 if tally.best else 1)
            candidates = list(proposal.candidates)[:affordable]
            if not candidates:
                break
            ask = problem.ask(candidates, gradients=proposal.gradients)
            answer: ModelAnswers = yield ask
            tally.spent += ask.cost
            # equal decisions whatever else shared the batch: libraries may differ in the last bits
            margins = np.asarray(np.round(answer.margins, 4), np.float64).reshape(len(candidates), -1)
            values = self.worth(margins, looks=problem.looks)
            tally.add(candidates, values)
            if tally.reaches(self.margin):
                if judge is None:
                    break
                real = yield from judge(tally.best)
                tally.spent += len(real)
                tally.judged = float(real.min())
                judged = float(self.worth(real[None], looks=problem.looks)[0])
                if tally.judged > 0 or tally.refusals >= _MOST_REFUSALS:
                    tally.value = judged
                    break
                values = tally.refuse(candidates, values, judged)
            try:
                proposal = steps.send(Scored(values, answer.gradients, margins))
            except StopIteration:
                break
        steps.close()
        reached = tally.reaches(max(self.margin, 0.0)) if judge is None else tally.judged > 0
        return Found(tally.best, tally.value, tally.spent, reached)

    def _guarded(self, problem: Problem, rng: np.random.Generator) -> Steps:
        """Pass on the strategy's proposals, checked; what it raises costs this image only.

        Raises:
            InputError: If the strategy, which may be anybody's, fails or proposes what is not allowed.
        """
        steps: Steps | None = None
        scored: Scored | None = None
        try:
            while True:
                try:
                    steps = steps or self.steps(problem, rng)
                    proposal = next(steps) if scored is None else steps.send(scored)
                except StopIteration:
                    return
                except (MedlockerError, MemoryError):
                    raise
                except Exception as error:
                    raise InputError(f"search {self.name}: {raised(error)}") from error
                self._check(proposal, problem)
                scored = yield proposal
        finally:
            if isinstance(steps, Generator):
                steps.close()

    def _check(self, proposal: Proposal, problem: Problem) -> None:
        if not isinstance(proposal, Proposal):
            raise InputError(f"search {self.name}: expected a Proposal, got {type(proposal).__name__}")
        for candidate in proposal.candidates:
            if not isinstance(candidate, tuple) or not all(isinstance(mark, Mark) for mark in candidate):
                raise InputError(f"search {self.name}: expected candidates that are tuples of marks")
            if strange := problem.not_allowed(candidate):
                raise InputError(f"search {self.name}: {strange}")
        if proposal.gradients and not self.needs_gradients:
            raise InputError(
                f"search {self.name}: expected needs_gradients = True where gradients are asked for"
            )

    def worth(self, margins: F64, *, looks: int) -> F64:
        """Say how good candidates are.

        With one look, by the smallest margin over the models. With several, what the plain look has counts
        half and the attacks share the rest, each only up to the wanted margin: so an attack that cannot be
        withstood does not hide what can, and the value reaches the wanted margin only if every look does.

        Args:
            margins: (n, looks * models) float64, first all models' of the plain look.
            looks: At least 1.

        Returns:
            (n,) float64, logits.
        """
        least = margins.reshape(len(margins), looks, -1).min(axis=2)
        if looks == 1:
            return np.asarray(least[:, 0])
        least = np.minimum(least, self.margin)
        return np.asarray(least[:, 0] / 2 + least[:, 1:].mean(axis=1) / 2)


_MOST_REFUSALS = 3


@dataclass
class _Progress:
    """The running account of one search."""

    best: Candidate = ()
    value: float = -np.inf
    spent: int = 0
    refusals: int = 0
    judged: float = -np.inf

    def add(self, candidates: Sequence[Candidate], values: NDArray[np.float64]) -> None:
        for candidate, value in zip(candidates, values, strict=True):
            if not candidate:
                continue
            if not self.best or value > self.value:
                self.best, self.value = candidate, float(value)

    def reaches(self, margin: float) -> bool:
        return bool(self.best) and self.value >= margin - 1e-9

    def refuse(
        self, candidates: Sequence[Candidate], values: NDArray[np.float64], judged: float
    ) -> NDArray[np.float64]:
        """Note that the best candidate failed on the written file; return what the strategy should learn."""
        self.refusals += 1
        refused = np.array([candidate == self.best for candidate in candidates])
        self.value = judged
        return np.where(refused, judged, values)
