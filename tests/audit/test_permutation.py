"""The p-value of an audit: exact whatever the scores look like, and small when own marks stand out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from medlocker.audit import compare_with_others

Draw = Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]
_NULLS: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "heavy tails": lambda rng, shape: rng.standard_cauchy(size=shape),
    "many ties": lambda rng, shape: rng.integers(0, 3, size=shape).astype(np.float64),
    "images unlike": lambda rng, shape: rng.normal(size=shape) * 10.0 ** rng.uniform(-6, 6, (shape[0], 1)),
}


@pytest.mark.parametrize("name", _NULLS)
def test_of_models_that_know_nothing_few_look_suspicious(name: str) -> None:
    rng = np.random.default_rng(5)
    values = [compare_with_others(_NULLS[name](rng, (12, 5)), seed=k, draws=199).p_value for k in range(600)]
    assert np.mean(np.array(values) <= 0.05) < 0.05 + 3 * (0.05 * 0.95 / 600) ** 0.5
    assert np.mean(np.array(values) <= 0.01) < 0.01 + 3 * (0.01 * 0.99 / 600) ** 0.5
    if name != "many ties":  # where all differ it is not only safe but exact
        assert np.mean(np.array(values) <= 0.5) == pytest.approx(0.5, abs=0.07)


def test_an_own_mark_that_stands_out_is_found() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(40, 5))
    scores[:, 0] += 1
    found = compare_with_others(scores)
    assert found.p_value < 1e-4
    assert found.interval[0] > 0.5
    assert found.gain_interval[0] < found.gain < found.gain_interval[1]
    assert found.gain == pytest.approx(1, abs=0.4)
    mirrored = compare_with_others(-scores)
    assert mirrored.p_value > 0.999
    assert mirrored.surer == pytest.approx(1 - found.surer)


def test_answers_that_never_change_tell_nothing() -> None:
    found = compare_with_others(np.full((30, 5), 7.25))
    assert found.p_value == 1
    assert found.surer == 0.5
    assert found.gain == 0


def test_one_loud_image_hides_no_others() -> None:
    scores = np.random.default_rng(1).normal(size=(40, 5))
    scores[:, 0] += 1
    scores[0] = (-1e6, 0, 0, 0, 0)
    assert compare_with_others(scores).p_value < 1e-4


def test_no_p_value_is_smaller_than_its_draws_can_tell() -> None:
    scores = np.zeros((40, 5))
    scores[:, 0] = 1
    assert compare_with_others(scores, draws=999).p_value == 1 / 1000


def test_the_same_seed_gives_the_same_value() -> None:
    scores = np.random.default_rng(2).normal(size=(30, 5))
    assert compare_with_others(scores, seed=3) == compare_with_others(scores, seed=3)
