from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medlocker.metrics import (
    are_grades,
    auc_permutation_interval,
    cohen_kappa,
    kappa_interval,
    kappa_weighting,
    mean_auc,
    measure,
    wilson_interval,
)


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


@pytest.mark.parametrize(
    ("classes", "weighting"),
    [
        (("0", "1", "2"), "quadratic"),
        (("1", "2", "3", "4"), "quadratic"),
        (("0", "1", "3"), "plain"),
        (("2", "1", "0"), "plain"),
        (("0", "1"), "plain"),
        (("none", "mild", "severe"), "plain"),
    ],
)
def test_numbers_that_follow_each_other_are_weighted(classes: tuple[str, ...], weighting: str) -> None:
    assert kappa_weighting(classes) == weighting


def test_kappa_of_known_tables() -> None:
    # Cohen 1960's example of two raters who agree on 35 of 50: 20, 5, 10, 15
    assert cohen_kappa(np.array([[20, 5], [10, 15]]), weighting="plain") == pytest.approx(0.4)
    assert cohen_kappa(np.array([[20, 5], [10, 15]]), weighting="quadratic") == pytest.approx(0.4)
    far, near = np.array([[3, 0, 2], [0, 5, 0], [0, 0, 5]]), np.array([[3, 2, 0], [0, 5, 0], [0, 0, 5]])
    plain = [cohen_kappa(table, weighting="plain") for table in (far, near)]
    assert plain == pytest.approx([0.8, 0.8])
    weighted = [cohen_kappa(table, weighting="quadratic") for table in (far, near)]
    assert weighted[0] < plain[0] < weighted[1]


@pytest.mark.parametrize(
    ("table", "kappa", "high"),
    [
        ([[30, 0], [0, 30]], 1.0, 1.0),
        # drawn anew, one class may be more frequent than the other
        ([[0, 30], [30, 0]], -1.0, -0.75),
        ([[30, 0], [30, 0]], 0.0, 0.0),
        ([[30, 0], [0, 0]], 0.0, 0.0),
    ],
)
def test_kappa_of_answers_that_need_no_luck(table: list[list[int]], kappa: float, high: float) -> None:
    confusion = np.array(table)
    assert cohen_kappa(confusion, weighting="plain") == kappa
    interval = kappa_interval(confusion, weighting="plain")
    assert kappa - 1e-9 <= interval[0] <= interval[1] <= high


def test_the_interval_of_kappa_is_about_that_of_the_normal_approximation() -> None:
    confusion = np.array([[200, 50], [100, 150]])
    low, high = kappa_interval(confusion, weighting="plain")
    # 0.4 with a standard error of sqrt(0.7 * 0.3 / 500) / 0.5
    assert (low, high) == pytest.approx((0.4 - 1.96 * 0.041, 0.4 + 1.96 * 0.041), abs=0.01)
    assert kappa_interval(confusion, weighting="plain") == (low, high)


def test_many_classes_cost_no_square_of_memory() -> None:
    confusion = np.zeros((3000, 3000), np.int64)
    confusion[np.arange(20), np.arange(20) + 7] = 1
    assert kappa_interval(confusion, weighting="quadratic")[1] < 1


def test_auc_of_several_classes_is_the_mean_of_each_against_the_others() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(30, 3)).astype(np.float32)
    labels = np.arange(30) % 3
    shares = []
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for k in range(3):
        ill, well = probabilities[labels == k, k], probabilities[labels != k, k]
        shares.append(np.mean([[a > b for b in well] for a in ill]))
    assert mean_auc(logits, labels) == pytest.approx(np.mean(shares))
    # the third class does not occur: its column is no question
    assert mean_auc(logits[:2], np.array([0, 0])) is None
    two = np.array([[0, 1], [0, -1], [0, 2]], np.float32)
    assert mean_auc(two, np.array([1, 0, 0])) == measure(two, np.array([1, 0, 0])).auc == 0.5


@pytest.mark.parametrize("classes", [2, 5])
def test_auc_by_chance_is_where_dealt_labels_lie(classes: int) -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(80, classes)).astype(np.float32)
    labels = np.arange(80) % classes
    found = auc_permutation_interval(logits, labels)
    assert found is not None
    areas = [mean_auc(logits, rng.permutation(labels)) or 0.0 for _ in range(600)]
    assert found == pytest.approx(tuple(np.quantile(areas, [0.025, 0.975])), abs=0.02)
    assert auc_permutation_interval(logits, labels) == found
    assert auc_permutation_interval(logits, np.zeros(80, np.int64)) is None
    same = np.zeros((80, classes), np.float32)
    assert auc_permutation_interval(same, labels) == (0.5, 0.5)
    assert mean_auc(same, labels) == 0.5
