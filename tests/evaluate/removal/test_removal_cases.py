"""The worst and the best case: chosen by what was restored, and attacked once more."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from removal_samples import LOGO, QuadrantClassifier, items

from medlocker.errors import InputError
from medlocker.evaluate._attacked_state import check_state, claim_state, finished_cells, forget_state
from medlocker.evaluate._cases import Case, find_cases
from medlocker.evaluate.removal import Item, make_battery, psnr, run_battery
from medlocker.evaluate.removal._fill import FillAttack
from medlocker.evaluate.removal._item import ScaledImage


def cases_of(
    folder: Path, name: str, *, count: int = 3, pictures: list[Item] | None = None
) -> tuple[Case, ...]:
    made = pictures or items(count)
    target = QuadrantClassifier()
    run_battery(made, [target], logo=LOGO, names=[name], state_dir=folder)
    cells = finished_cells(folder, [item.name for item in made])
    return find_cases(cells, made, battery=make_battery(names=[name]), logo=LOGO, models=[target], seed=0)


@pytest.mark.parametrize("name", ["logo inverted", "matting"])
def test_the_picture_is_the_one_that_the_number_was_measured_on(tmp_path: Path, name: str) -> None:
    """Also of attackers who have to learn again first; the samples are smaller than a report's pictures."""
    by_name = {item.name: ScaledImage(item, LOGO) for item in items(3)}
    worst, best = cases_of(tmp_path / "state", name)
    assert (worst.is_worst, best.is_worst) == (True, False)
    tried = finished_cells(tmp_path / "state", list(by_name)).values()
    reached = [max(cell.psnr or 0.0 for row, cell in cells.items() if row != "none") for cells in tried]
    assert (worst.psnr, best.psnr) == (max(reached), min(reached))
    for case in (worst, best):
        clean, marked, after = case.pictures
        exhibit = by_name[case.image]
        assert np.array_equal(clean, exhibit.clean)
        assert np.array_equal(marked, exhibit.marked)
        assert psnr(after, exhibit.clean, exhibit.mask) == pytest.approx(case.psnr)
        (answer,) = case.answers
        assert (answer.target, answer.clean, answer.marked) == ("quadrants", "0", "1")


def test_one_image_is_one_case(tmp_path: Path) -> None:
    (case,) = cases_of(tmp_path / "state", "filled, mean", count=1)
    assert case.is_worst
    assert case.image == "0.png"


def test_attacks_that_cannot_be_compared_make_no_case(tmp_path: Path) -> None:
    assert cases_of(tmp_path / "state", "vote over crops", count=1) == ()


def test_an_attack_that_breaks_costs_only_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = items(1)
    run_battery(made, [QuadrantClassifier()], logo=LOGO, names=["filled, mean"], state_dir=tmp_path)

    def broken(*arguments: object) -> None:
        raise cv2.error("no")

    monkeypatch.setattr(FillAttack, "restore", broken)
    (case,) = cases_of(tmp_path, "filled, mean", pictures=made)
    assert case.pictures == ()
    assert case.psnr is not None
    assert case.psnr > 20


def test_cells_of_former_pixels_and_of_other_images_do_not_count(tmp_path: Path) -> None:
    first, second = items(2)
    changed = Item(first.name, second.clean, second.marked, first.labels)
    for made in ([first], [second], [changed]):
        run_battery(made, [QuadrantClassifier()], logo=LOGO, names=["filled, mean"], state_dir=tmp_path)
    (key,) = finished_cells(tmp_path, [first.name])
    assert key == ScaledImage(changed, LOGO).key


def test_a_state_is_claimed_once_and_forgotten_with_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "state"
    check_state(folder, {"seed": 1})
    claim_state(folder, {"seed": 1})
    claim_state(folder, {"seed": 1})
    with pytest.raises(InputError, match=r"^state holds unfinished removal attacks with other targets or"):
        claim_state(folder, {"seed": 2})
    with pytest.raises(
        InputError, match=r"^state holds unfinished removal attacks of another version of medl"
    ):
        claim_state(folder, {"seed": 1, "version": 2})
    (folder / "mine.txt").write_text("precious")
    forget_state(folder)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    (folder / "mine.txt").unlink()
    forget_state(folder)
    assert not folder.exists()
    forget_state(folder)


def test_of_each_attack_the_image_that_gave_most_and_the_one_that_gave_least(tmp_path: Path) -> None:
    made = items(4)
    target = QuadrantClassifier()
    names = ["filled, mean", "blur 1"]
    result = run_battery(made, [target], logo=LOGO, names=names, state_dir=tmp_path)
    cells = finished_cells(tmp_path, [item.name for item in made])
    labels = {item.name: item.labels for item in made}
    cases = find_cases(
        cells,
        made,
        battery=make_battery(names=names),
        logo=LOGO,
        models=[target],
        seed=0,
        labels=labels,
        rows=names,
    )
    assert [case.number for case in cases] == [None, None, 3, 3, 8, 8]
    assert {row.attack for row in result.rows} >= {case.attack for case in cases}
    for most, least in (cases[2:4], cases[4:6]):
        assert (most.is_worst, least.is_worst) == (True, False)
        assert most.attack == least.attack
        got = {
            key.partition("\0")[0]: (
                one[most.attack].answers[0] == labels[key.partition("\0")[0]][0],
                one[most.attack].psnr or 0.0,
            )
            for key, one in cells.items()
        }
        assert got[least.image] == min(got.values())
        assert got[most.image][0] == max(got.values())[0]
        assert len(most.pictures) == len(least.pictures) == 3
        assert max(most.pictures[0].shape) <= 240
