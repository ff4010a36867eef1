"""Predicting labels from numbers: found where they tell, 0.5 within the interval where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from medlocker.evaluate._probe import delong, linear_probe
from medlocker.metrics import auc_permutation_interval

RNG = np.random.default_rng(7)
GRADES = [str(k) for k in RNG.choice(5, 90)]
NOISE = RNG.normal(size=(90, 30))


def test_numbers_that_tell_grades_are_found() -> None:
    inputs = NOISE.copy()
    inputs[:, 4] += 6 * np.array([int(grade) for grade in GRADES])
    found = linear_probe(inputs, GRADES)
    assert found is not None
    assert found.question == "2, 3, 4 against 0, 1"
    assert found.auc > 0.95
    assert found.mean_auc > 0.7
    assert found.kappa > 0.7
    assert found.is_shown
    assert found.interval[0] <= found.auc <= found.interval[1] <= 1


def test_noise_tells_nothing_and_the_same_seed_tells_the_same() -> None:
    found = linear_probe(NOISE, GRADES)
    assert found is not None
    assert found.interval[0] < 0.5 < found.interval[1]
    assert not found.is_shown
    assert found == linear_probe(NOISE, GRADES)
    assert found != linear_probe(NOISE, GRADES, seed=1)


def test_by_chance_the_interval_seldom_misses_a_half() -> None:
    missed = 0
    for k in range(40):
        rng = np.random.default_rng([11, k])
        labels = [("well", "ill")[v] for v in rng.choice(2, 60)]
        found = linear_probe(rng.normal(size=(60, 12)), labels, seed=k)
        assert found is not None
        missed += not found.interval[0] <= 0.5 <= found.interval[1]
    assert missed <= 5


def test_two_classes_and_others() -> None:
    labels = ["naevus"] * 30 + ["melanoma"] * 30
    two = linear_probe(np.arange(60.0)[:, None], labels)
    assert two is not None
    assert two.question == "naevus against melanoma"
    assert two.auc == two.mean_auc == 1.0
    several = linear_probe(np.arange(90.0)[:, None], [*labels, *["keratosis"] * 30])
    assert several is not None
    assert several.question == "keratosis against all others"


@pytest.mark.parametrize("labels", [["0"] * 40, ["0"] * 37 + ["1"] * 3, ["0", "1"] * 9])
def test_too_few_of_a_side_are_not_measured(labels: list[str]) -> None:
    assert linear_probe(NOISE[: len(labels)], labels) is None


def test_constant_numbers_are_no_trouble() -> None:
    found = linear_probe(np.zeros((40, 3)), ["0", "1"] * 20)
    assert found is not None
    assert found.auc == pytest.approx(0.5, abs=0.1)
    assert not found.is_shown


def test_a_class_of_one_image_is_no_trouble() -> None:
    assert linear_probe(NOISE, [*GRADES[:-1], "7"]) is not None


def test_delong_s_interval_is_as_wide_as_drawing_anew_makes_it() -> None:
    rng = np.random.default_rng(3)
    upper, lower = rng.normal(0.8, 1, 70), rng.normal(0, 1, 50)
    area, (low, high) = delong(upper, lower)
    pairs = upper[:, None] > lower[None]
    assert area == pytest.approx(pairs.mean())
    drawn = [delong(rng.choice(upper, len(upper)), rng.choice(lower, len(lower)))[0] for _ in range(800)]
    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx([low, high], abs=0.02)


def test_delong_agrees_with_the_width_by_chance() -> None:
    rng = np.random.default_rng(5)
    scores = rng.normal(size=120).astype(np.float32)
    labels = np.repeat([0, 1], 60)
    chance = auc_permutation_interval(np.stack([np.zeros_like(scores), scores], axis=1), labels)
    _, (low, high) = delong(scores[60:].astype(np.float64), scores[:60].astype(np.float64))
    assert chance is not None
    assert high - low == pytest.approx(chance[1] - chance[0], rel=0.15)
