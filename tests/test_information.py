"""Answers made up so that what they tell is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from medlocker.information import FEWEST, measure_information
from medlocker.logistic import _minimise

Labels = NDArray[np.int64]
TWO: Labels = np.arange(100) % 2
FIVE: Labels = np.repeat(np.arange(5), [34, 5, 32, 19, 13])


def saying(answers: Labels, count: int) -> NDArray[np.float32]:
    """Logits that answer so, all equally sure."""
    return np.asarray(4 * np.eye(count, dtype=np.float32)[answers])


@pytest.mark.parametrize("labels", [TWO, FIVE], ids=["two classes", "five"])
def test_always_right_and_always_wrong_tell_everything(labels: Labels) -> None:
    count = int(labels.max()) + 1
    for turn in range(count):
        found = measure_information(saying((labels + turn) % count, count), labels)
        assert found is not None
        assert (found.plain.accuracy, found.balanced.accuracy) == (1, 1)
        assert found.plain.left == pytest.approx(1 - np.bincount(labels).max() / len(labels))
        assert found.balanced.left == pytest.approx(1 - 1 / count)
        assert found.is_shown


@pytest.mark.parametrize("labels", [TWO, FIVE], ids=["two classes", "five"])
def test_a_constant_tells_nothing(labels: Labels) -> None:
    count = int(labels.max()) + 1
    for answer in range(count):
        found = measure_information(saying(np.full(len(labels), answer), count), labels)
        assert found is not None
        assert (found.plain.left, found.plain.learner) == (0, "table")
        assert found.balanced.left == pytest.approx(0)
        low, high = found.plain.interval
        assert low == pytest.approx(-high)
        assert 0 < high < 0.05
        assert not found.is_shown


def test_chance_is_within_its_interval() -> None:
    shown, left = 0, []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        found = measure_information(rng.normal(size=(len(FIVE), 5)).astype(np.float32), FIVE)
        assert found is not None
        shown += found.is_shown
        left.append(found.plain.left)
        low, high = found.plain.interval
        assert low <= 0 <= high
    assert shown <= 6
    assert -0.05 < np.mean(left) < 0.02


def test_outputs_tell_what_answers_do_not() -> None:
    """All answers are class 0; how sure the model is of class 1 still tells."""
    rng = np.random.default_rng(1)
    logits = np.stack([np.full(100, 9.0), TWO + rng.normal(0, 0.3, 100)], axis=1).astype(np.float32)
    found = measure_information(logits, TWO)
    assert found is not None
    assert (found.plain.learner, found.plain.table) == ("regression", 0.5)
    assert found.plain.left > 0.4
    assert found.is_shown


def test_a_frequent_class_hides_what_the_balanced_count_shows() -> None:
    rng = np.random.default_rng(2)
    labels = (np.arange(300) % 10 == 0).astype(np.int64)
    logits = np.stack([np.zeros(300), labels + rng.normal(0, 0.8, 300)], axis=1).astype(np.float32)
    found = measure_information(logits, labels)
    assert found is not None
    assert found.plain.left < 0.05
    assert found.balanced.left > 0.15
    assert found.is_shown


def test_what_differs_by_rounding_alone_tells_nothing() -> None:
    logits = np.full((100, 2), 1000, np.float32)
    logits[:, 1] = np.nextafter(logits[:, 1], logits[:, 1] + TWO.astype(np.float32))
    found = measure_information(logits[:, [1, 0]], TWO)
    assert found is not None
    assert found.plain.regression == 0.5


def test_labels_may_be_any_numbers_and_order_does_not_matter_much() -> None:
    found = measure_information(saying(TWO, 9), np.where(TWO > 0, 700, 3))
    assert found is not None
    assert found.plain.accuracy == 1


def test_the_same_answers_give_the_same_numbers() -> None:
    logits = np.random.default_rng(3).normal(size=(len(FIVE), 5)).astype(np.float32)
    assert measure_information(logits, FIVE) == measure_information(logits, FIVE)


def test_too_few_images_or_classes_tell_nothing() -> None:
    assert measure_information(saying(TWO[: FEWEST - 1], 2), TWO[: FEWEST - 1]) is None
    assert measure_information(saying(TWO[:FEWEST], 2), TWO[:FEWEST]) is not None
    assert measure_information(saying(TWO, 2), np.zeros(100, np.int64)) is None


def test_a_class_of_one_image_is_only_guessed_wrong() -> None:
    labels = FIVE.copy()
    labels[0] = 7
    found = measure_information(saying(FIVE, 5), labels)
    assert found is not None
    assert found.plain.accuracy == pytest.approx(1 - 1 / len(labels))


@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0])
def test_the_regression_is_at_its_least_loss(spread: float) -> None:
    rng = np.random.default_rng(4)
    design = np.hstack([rng.normal(0, 1, (60, 4)) * [1, spread, 1, 1], np.ones((60, 1))])
    wanted = np.eye(3)[rng.integers(0, 3, 60)]
    weights = rng.random(60) + 0.5
    found = _minimise(design, wanted, weights, 1.0)
    odds = np.exp(design @ found)
    slope = design.T @ (weights[:, None] * (odds / odds.sum(axis=1, keepdims=True) - wanted))
    slope[:-1] += found[:-1]
    assert np.abs(slope).max() < 0.03
