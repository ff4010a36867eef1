"""The best attack by itself is the one whose answers tell most, even if all of them are wrong."""

from __future__ import annotations

import pytest

from medlocker.evaluate import worst_first
from medlocker.evaluate.removal._result import VariantInfo, summarise
from medlocker.evaluate.removal._state import VariantResult


def cell(answer: int, truth: int) -> VariantResult:
    return VariantResult((answer,), (truth,), None, None, 0.1)


def test_the_best_attack_is_the_one_that_tells_most() -> None:
    labels = {str(k): (k % 2,) for k in range(20)}
    cells = {
        image: {
            "none": cell(0, truth),
            "constant": cell(1, truth),
            "turned": cell(1 - truth, truth),
            "beyond": cell(truth, truth),
        }
        for image, (truth,) in labels.items()
    }
    kinds = [VariantInfo(name, k, "nothing", name != "beyond") for k, name in enumerate(cells["0"])]
    rows, (best,) = summarise(cells, labels, kinds, [("model", ("a", "b"))])
    by_name = {row.attack: row for row in rows}
    assert (by_name["constant"].right, by_name["turned"].right) == (10, 0)
    assert (best.single, best.single_right) == ("turned", 0)
    assert [row.attack for row in worst_first(rows)][0::3] == ["turned", "beyond"]
    turned = by_name["turned"].agreement
    assert turned is not None
    assert (turned.n, turned.right) == (20, 0)
    assert turned.kappa == pytest.approx(-1)
    control = by_name["turned"].control_agreement
    assert control is not None
    assert control.accuracy == 1
    assert control.kappa == pytest.approx(1)


def test_of_few_images_only_right_answers_are_counted() -> None:
    labels = {str(k): (k % 2,) for k in range(4)}
    cells = {
        image: {"none": cell(0, truth), "turned": cell(1 - truth, truth)}
        for image, (truth,) in labels.items()
    }
    kinds = [VariantInfo(name, k, "nothing", True) for k, name in enumerate(cells["0"])]
    rows, (best,) = summarise(cells, labels, kinds, [("model", ("a", "b"))])
    assert [row.told for row in rows] == [None, None]
    assert best.single == "none"
