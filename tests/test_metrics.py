from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medlocker.metrics import are_grades, wilson_interval


@pytest.mark.parametrize(
    # worked out with the published formula in exact arithmetic
    ("count", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (1, 2, 0.0945, 0.9055), (9, 24, 0.2116, 0.5729), (10, 10, 0.7225, 1.0)],
)
def test_wilson_of_known_values(count: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(count, n) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_ends_are_where_the_score_test_turns(pair: tuple[int, int]) -> None:
    count, n = pair
    low, high = wilson_interval(count, n)
    assert 0 <= low <= count / n <= high <= 1
    for end in (low, high):
        if 0 < end < 1:
            score = abs(count / n - end) / math.sqrt(end * (1 - end) / n)
            assert score == pytest.approx(1.959964, rel=1e-6)


def test_grades_are_three_or_more_numbers() -> None:
    assert are_grades(("0", "1", "2"))
    assert not are_grades(("0", "1"))
    assert not are_grades(("none", "mild", "severe"))
