from __future__ import annotations

import numpy as np
import pytest

from medlocker.metrics import Weighting, cohen_kappa
from medlocker.prepare._losses import dominant_class, loss, probabilities, remaining_probability, soft_kappa

ANSWERS = np.array([0, 1, 2, 0, 1, 2, 0, 0])


def sure(answers: list[int], classes: int = 3) -> np.ndarray:
    return np.eye(classes)[answers]


@pytest.mark.parametrize("weighting", ["plain", "quadratic"])
def test_of_sure_answers_soft_kappa_is_kappa(weighting: Weighting) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        veiled = rng.integers(0, 3, len(ANSWERS))
        confusion = np.zeros((3, 3), np.int64)
        np.add.at(confusion, (ANSWERS, veiled), 1)
        found = soft_kappa(ANSWERS, sure(veiled.tolist()), weighting=weighting)
        assert found == pytest.approx(cohen_kappa(confusion, weighting=weighting))


def test_kappa_is_nothing_where_all_answers_are_alike() -> None:
    assert soft_kappa(np.zeros(4, np.int64), sure([0] * 4), weighting="plain") == 0
    assert soft_kappa(ANSWERS, np.full((8, 3), 1 / 3), weighting="quadratic") == pytest.approx(0)


def test_left_is_the_probability_of_the_old_answer() -> None:
    veiled = probabilities(np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]], np.float32)))
    assert remaining_probability(np.array([0, 1]), veiled) == pytest.approx(0.3, abs=1e-6)


def test_the_aim_same_wants_one_answer_and_a_rare_one() -> None:
    one = {k: loss(ANSWERS, sure([k] * 8), aim="same", weighting="plain") for k in range(3)}
    assert one[1] == one[2] < one[0]  # half of the originals' answers are 0
    spread = loss(ANSWERS, sure([1, 2, 0, 2, 0, 1, 1, 2]), aim="same", weighting="plain")
    unchanged = loss(ANSWERS, sure(ANSWERS.tolist()), aim="same", weighting="plain")
    assert one[2] < spread < unchanged


def test_the_aim_key_wants_spread_answers_and_the_aim_wrong_only_others() -> None:
    even = np.full((8, 3), 1 / 3)
    assert loss(ANSWERS, even, aim="key", weighting="plain") < loss(
        ANSWERS, sure([0] * 8), aim="key", weighting="plain"
    )
    always_wrong = sure(((ANSWERS + 1) % 3).tolist())
    assert loss(ANSWERS, always_wrong, aim="wrong", weighting="plain") == 0
    assert loss(ANSWERS, always_wrong, aim="same", weighting="plain") > 0.5  # it tells everything


def test_the_class_that_answers_gather_on_is_that_of_all_models_together() -> None:
    assert dominant_class([sure([0, 0, 1]), sure([1, 1, 1])]) == 1
