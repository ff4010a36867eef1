"""Searches compared on held-out IDRiD photographs: fooling rate, evaluations, time, exhaustive ceiling.

MEDLOCKER_DATA=... python benchmarks/search.py --model .cache/surrogates/idrid-efficientnet_lite0
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from _idrid import Case, cases, data_folder, judged_margin, lesion_boxes
from _tables import share, table
from medlocker.classifiers import Classifier, has_gradients, load_classifier
from medlocker.protect import DEFAULT_MARGIN, PAPER_BUDGET
from medlocker.search import (
    BatchScheduler,
    BheSearch,
    Clock,
    EvolutionSearch,
    Found,
    GradientSearch,
    RandomSearch,
    ScreenedSearch,
    Search,
)


@dataclass(frozen=True)
class Outcome:
    """One strategy on all cases."""

    name: str
    found: list[Found]
    fooled: np.ndarray
    seconds: float
    clock: Clock

    @property
    def evaluations(self) -> np.ndarray:
        return np.array([found.evaluations for found in self.found])


def run(name: str, search: Search, model: Classifier, chosen: Sequence[Case]) -> Outcome:
    """Search all cases and judge the results on the re-read file."""
    driver = BatchScheduler([model], batch=16, in_flight=16)
    started = time.perf_counter()
    tasks = (
        search.run(case.problem, rng=np.random.default_rng([20230309, i])) for i, case in enumerate(chosen)
    )
    results = dict(driver.run(tasks))
    seconds = time.perf_counter() - started
    found = [results[i] for i in range(len(chosen))]
    fooled = np.array(
        [judged_margin(case, model, one.marks) > 0 for case, one in zip(chosen, found, strict=True)]
    )
    return Outcome(name, found, fooled, seconds, driver.clock)


def strategies(model: Classifier, *, with_bhe: bool) -> list[tuple[str, Search]]:
    """Return what is compared; the first is the control."""
    budget = PAPER_BUDGET
    listed: list[tuple[str, Search]] = [
        ("one random placement (control)", RandomSearch(budget=1)),
        ("random", RandomSearch(budget=budget)),
        ("evolution 16 x 12", EvolutionSearch(budget=208)),
        ("screened (default without gradients)", ScreenedSearch(budget=budget, margin=DEFAULT_MARGIN)),
    ]
    first = ScreenedSearch(budget=budget)
    listed.append(("screened, stopping at the first misclassification as bhe does", first))
    if has_gradients(model):
        listed.append(("gradient (default)", GradientSearch(budget=budget, margin=DEFAULT_MARGIN)))
    if with_bhe:
        listed.append(("bhe (Adv-watermark)", BheSearch(budget=3_700)))
    return listed


def adv_watermark(model: Classifier, data: Path, limit: int | None) -> None:
    """Print the comparison under Adv-watermark's conditions."""
    chosen = list(islice(cases(data, model, opacity=(100 / 255, 1.0), regions=None), limit))
    outcomes = [run(name, search, model, chosen) for name, search in strategies(model, with_bhe=True)]
    hard = ~outcomes[0].fooled
    bhe = outcomes[-1]
    print("\n### Adv-watermark's conditions: opacity 0.39 to 1, no regions, logo 0.25\n")
    print(
        f"{len(chosen)} held-out photographs that {model.name} gets right; a random placement leaves "
        f"{hard.sum()} hard ones.\n"
    )
    rows = []
    for one in outcomes:
        mean = one.evaluations[hard].mean() if hard.any() else 0.0
        rows.append(
            [
                one.name,
                share(int(one.fooled.sum()), len(chosen)),
                f"{one.evaluations.mean():.1f}",
                f"{mean:.1f}",
                f"1/{bhe.evaluations[hard].mean() / max(mean, 1e-9):.0f}" if hard.any() else "-",
                f"{one.seconds:.1f}",
                f"{bhe.seconds / one.seconds:.0f}x",
            ]
        )
    print(
        table(
            ["search", "fooled", "evaluations", "on hard images", "of bhe's", "seconds", "faster than bhe"],
            rows,
        )
    )


def strict(model: Classifier, data: Path, limit: int | None) -> None:
    """Print how near searches come to the exhaustive ceiling with lesions kept out."""
    chosen = list(islice(cases(data, model, opacity=(100 / 255, 0.8), regions=lesion_boxes(data)), limit))
    ceiling, tried = exhaustive(model, chosen)
    outcomes = [run(name, search, model, chosen) for name, search in strategies(model, with_bhe=False)]
    print("\n### Opacity at most 0.8, lesion boxes kept out, logo 0.25\n")
    print(
        f"{len(chosen)} held-out photographs that {model.name} gets right. No pixel inside a region changed "
        "in any re-read file.\n"
    )
    rows = [
        ["exhaustive 8-px grid at 0.8", share(int(ceiling.sum()), len(chosen)), f"{tried:.0f}", "100 %", "-"]
    ]
    for one in outcomes:
        reached = int((one.fooled & ceiling).sum())
        rows.append(
            [
                one.name,
                share(int(one.fooled.sum()), len(chosen)),
                f"{one.evaluations.mean():.1f}",
                share(reached, int(ceiling.sum())),
                f"{one.evaluations.mean() / tried:.1%}",
            ]
        )
    print(table(["search", "fooled", "evaluations", "of the ceiling's images", "of its evaluations"], rows))
    where_time_goes(outcomes)


def exhaustive(model: Classifier, chosen: Sequence[Case]) -> tuple[np.ndarray, float]:
    """Try all free placements on a grid of 8 model pixels at full opacity; (fooled, mean evaluations)."""
    fooled, tried = [], 0
    for case in chosen:
        problem = case.problem
        places = problem.thinned(8 * problem.preview.height / model.height)
        tried += len(places)
        best = -np.inf
        for start in range(0, len(places), 16):
            marks = [(problem.mark(int(x), int(y)),) for x, y in places[start : start + 16]]
            canvases = np.empty((len(marks), model.height, model.width, model.channels), np.float32)
            for canvas, one in zip(canvases, marks, strict=True):
                problem.preview.compose(0, one, canvas)
            logits = model.logits(canvases)
            label = problem.labels[0]
            margins = np.delete(logits, label, axis=1).max(axis=1) - logits[:, label]
            if margins.max() > best:
                best, winner = float(margins.max()), marks[int(margins.argmax())]
        fooled.append(best > 0 and judged_margin(case, model, winner) > 0)
    return np.array(fooled), tried / max(len(chosen), 1)


def where_time_goes(outcomes: Sequence[Outcome]) -> None:
    """Print the driving thread's time by what it did."""
    print("\nWhere the search's time goes (of the driving thread):\n")
    rows = [
        [
            one.name,
            f"{one.clock.model / one.clock.total:.0%}",
            f"{one.clock.compose / one.clock.total:.1%}",
            f"{one.clock.think / one.clock.total:.1%}",
            f"{1 - one.clock.model / one.clock.total:.1%}",
        ]
        for one in outcomes
    ]
    print(table(["search", "model", "composing", "thinking", "outside the model"], rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--only", choices=["adv", "strict"])
    parser.add_argument("--limit", type=int, help="only the first photographs")
    arguments = parser.parse_args()
    data, model = data_folder(), load_classifier(arguments.model)
    print(f"## Search against {model.name}")
    if arguments.only != "strict":
        adv_watermark(model, data, arguments.limit)
    if arguments.only != "adv":
        strict(model, data, arguments.limit)


if __name__ == "__main__":
    main()
