"""The battery as a whole: rows, controls, the best attacker, resuming, and the verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from removal_samples import LOGO, QuadrantClassifier, items

from medlocker.errors import InputError, ModelError
from medlocker.evaluate.removal import (
    BatteryObserver,
    BatteryResult,
    Best,
    Item,
    Row,
    make_battery,
    run_battery,
    verdict,
)
from medlocker.store import Store, read_unproved
from medlocker.testing import LinearClassifier

FEW = ("filled, harmonic", "blur 1", "double masking")


@pytest.fixture(scope="module")
def whole() -> BatteryResult:
    return run_battery(items(6), [QuadrantClassifier()], logo=LOGO, level="standard", seed=1)


def test_standard_has_a_row_of_every_attack_and_full_of_all() -> None:
    numbers = {level: {kind.number for kind in make_battery(level).kinds} for level in ("standard", "full")}
    assert numbers["full"] == set(range(1, 19))
    assert numbers["full"] - numbers["standard"] == {10, 13, 14, 15}
    names = [kind.name for kind in make_battery("full").kinds]
    assert len(names) == len(set(names))


def test_plain_marks_on_gentle_pictures_fall_to_inversion_and_filling(whole: BatteryResult) -> None:
    none = whole.row("none", "quadrants")
    assert (none.n, none.right, none.control) == (6, 0, 1.0)
    for name in ("logo inverted", "filled, harmonic", "warp fitted", "masked majority", "double masking"):
        assert whole.row(name, "quadrants").left == 1.0, name
    inverted = whole.row("logo inverted", "quadrants")
    assert inverted.psnr_region is not None
    assert inverted.psnr_region > 40
    assert inverted.ssim_region is not None
    assert inverted.ssim_region > 0.95
    assert none.psnr_region is not None
    assert none.psnr_region < 20
    assert whole.row("flip", "quadrants").psnr_region is None


def test_the_json_is_what_the_contract_says(whole: BatteryResult) -> None:
    rows = json.loads(json.dumps(whole.to_json()))
    on_marks = [one for one in make_battery().facts if one.applies_to(is_veil=False)]
    assert len(rows) == sum(len(one.variants) for one in on_marks)
    fields = {"attack", "knows", "target", "left", "interval", "n", "control", "psnr_region", "ssim_region"}
    assert all(row.keys() >= fields | {"seconds", "number"} for row in rows)
    assert rows[0]["attack"] == "none"
    assert rows[0]["interval"][0] == 0.0


def test_the_best_attacker_is_right_wherever_any_attack_is(whole: BatteryResult) -> None:
    (best,) = whole.best
    assert (best.n, best.right) == (6, 6)
    assert best.single_right == 6
    text = verdict(whole)
    assert "upper bound" not in text
    assert "gets at most 100% (6 of 6)" in text
    assert "restores the marked pixels almost perfectly" in text
    assert "--harden" in text


def test_only_named_attacks_run_and_nothing_is_always_among_them() -> None:
    result = run_battery(items(2), [QuadrantClassifier()], logo=LOGO, names=["filled, mean"])
    assert [row.attack for row in result.rows] == [
        "none",
        "filled, mean",
        "filled, harmonic",
        "filled, Telea",
        "filled, biharmonic",
    ]


def test_full_merges_versions_and_notes_what_cannot_be_trained() -> None:
    names = ["two versions merged", "classifier retrained"]
    result = run_battery(items(4), [QuadrantClassifier()], logo=LOGO, level="full", names=names)
    assert result.row("two versions merged", "quadrants").left == 1.0
    assert [row.attack for row in result.rows] == ["none", "two versions merged"]
    assert result.notes == (
        "model quadrants: not retrained: that needs a torch network and eight labelled images",
    )
    assert result.best[0].right == 0  # a second version is nothing that a release gives away


# ------------------------------------------------------------------------------------------- resuming


class Counting(QuadrantClassifier):
    """Counts what it is asked."""

    asked = 0

    def answer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        self.asked += len(batch)
        return super().answer(batch)


def run(folder: Path, target: Any, count: int = 3, **more: Any) -> BatteryResult:
    return run_battery(items(count), [target], logo=LOGO, names=FEW, state_dir=folder, **more)


def images_in(lines: bytes) -> list[str]:
    values = [json.loads(line.partition(b" ")[2]) for line in lines.splitlines() if line.endswith(b"}")]
    return [value["image"] for value in values if "image" in value]


def rows_of(result: BatteryResult) -> list[Row]:
    return [replace(row, seconds=0.0) for row in result.rows]


def test_a_finished_battery_asks_nothing_again(tmp_path: Path) -> None:
    first = run(tmp_path / "state", Counting())
    again = Counting()
    second = run(tmp_path / "state", again)
    assert again.asked == 0
    assert rows_of(first) == rows_of(second)


@pytest.mark.parametrize("torn", [1, 9])
def test_a_torn_line_does_not_count_and_the_rest_is_kept(tmp_path: Path, torn: int) -> None:
    first = run(tmp_path / "state", Counting())
    path = tmp_path / "state" / "removal"
    data = path.read_bytes()
    path.write_bytes(data[:-torn])
    again = Counting()
    second = run(tmp_path / "state", again)
    assert rows_of(first) == rows_of(second)
    assert 0 < again.asked < 200
    assert sorted(images_in(path.read_bytes())) == sorted(images_in(data))


def test_an_interrupted_battery_goes_on(tmp_path: Path) -> None:
    class Failing(QuadrantClassifier):
        left = 60

        def answer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
            self.left -= len(batch)
            if self.left < 0:
                raise ModelError("quadrants: out of memory")
            return super().answer(batch)

    with pytest.raises(ModelError, match="out of memory"):
        run(tmp_path / "state", Failing(), workers=1)
    done = (tmp_path / "state" / "removal").read_bytes().count(b"\n") - 2
    assert 0 < done < 3 * 6
    resumed = run(tmp_path / "state", QuadrantClassifier())
    assert rows_of(resumed) == rows_of(run(tmp_path / "other", QuadrantClassifier()))


def test_changed_pixels_are_attacked_again(tmp_path: Path) -> None:
    run(tmp_path / "state", Counting())
    again = Counting()
    changed = [replace(one, clean=one.clean + np.uint8(1)) for one in items(3)]
    run_battery(changed, [again], logo=LOGO, names=FEW, state_dir=tmp_path / "state")
    assert again.asked > 0


def test_another_battery_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "state", QuadrantClassifier())
    with pytest.raises(InputError, match="state holds another battery of removal attacks"):
        run(tmp_path / "state", QuadrantClassifier(), seed=5)


def test_cells_of_another_form_are_made_again(tmp_path: Path) -> None:
    first = run(tmp_path / "state", Counting())
    path = tmp_path / "state" / "removal"
    values = list(read_unproved(path))
    assert all(
        cell["outputs"] or name == "double masking"
        for one in values[2:]
        for name, cell in one["cells"].items()
    )
    for cell in values[3]["cells"].values():
        del cell["outputs"]
    path.unlink()
    with closing(Store(path, values[0])) as store:
        for value in values[1:]:
            store.add(value)
    again = Counting()
    second = run(tmp_path / "state", again)
    assert again.asked > 0
    assert rows_of(first) == rows_of(second)


class Telling(LinearClassifier):
    """Answers the same class always, and tells the truth by how sure it is."""

    classes: tuple[str, ...] = ("0", "1")

    def logits(self, canvases: NDArray[np.float32]) -> NDArray[np.float32]:
        bright = canvases.mean(axis=(1, 2, 3)) > 128
        return np.stack([5 + bright, np.zeros(len(bright))], axis=1).astype(np.float32)


def test_information_is_left_after_attacks_though_every_answer_is_the_same() -> None:
    pictures = []
    for number in range(12):
        label = number % 2
        clean = np.full((48, 48, 3), 90 + 90 * label, np.uint8)
        marked = clean.copy()
        marked[8:20, 8:20] = 100 + number
        pictures.append(Item(f"{number}.png", clean, marked, (label,)))
    result = run_battery(pictures, [Telling()], logo=None, names=["blur 1", "double masking"])
    blurred = result.row("blur 1", "linear0")
    assert blurred.left == 1.0  # of those of class 0, which alone are right when clean
    assert blurred.information is not None
    assert (blurred.information.n, blurred.information.plain.left) == (12, 0.5)
    voted = result.row("double masking", "linear0")  # only answers: they tell nothing
    assert voted.information is not None
    assert voted.information.plain.left <= 0
    row = json.loads(json.dumps(blurred.to_json()))
    assert (row["information_left"], row["information_n"]) == (0.5, 12)
    assert row["information_interval"][0] > 0


def test_information_of_a_few_images_is_not_measured(whole: BatteryResult) -> None:
    row = whole.row("none", "quadrants")
    assert row.information is None
    assert (row.to_json()["information_left"], row.to_json()["information_n"]) == (None, 0)


def test_workers_change_nothing() -> None:
    names = (*FEW, "logo inverted")
    one, two = (
        run_battery(items(3), [QuadrantClassifier()], logo=LOGO, names=names, workers=n) for n in (1, 3)
    )
    assert rows_of(one) == rows_of(two)


# -------------------------------------------------------------------------------------------- refusals


def test_a_one_time_iterator_is_refused() -> None:
    with pytest.raises(InputError, match="can be gone through several times, got an iterator"):
        run_battery(iter(items(1)), [QuadrantClassifier()], logo=LOGO)


def test_no_images_are_refused() -> None:
    with pytest.raises(InputError, match="expected at least one marked image"):
        run_battery([], [QuadrantClassifier()], logo=LOGO)


def test_the_same_image_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"image 0.png: expected every image once"):
        run_battery(items(1) * 2, [QuadrantClassifier()], logo=LOGO, names=["none"])


def test_unknown_attacks_are_named() -> None:
    with pytest.raises(InputError, match="expected attacks of the level standard, got 'magic'"):
        make_battery(names=["magic"])
    with pytest.raises(InputError, match="expected standard or full, got 'none'"):
        make_battery("none")  # type: ignore[arg-type]


def test_pictures_of_different_shapes_are_refused() -> None:
    one = items(1)[0]
    with pytest.raises(InputError, match="expected a marked image of 96 x 96, got 96 x 95"):
        replace(one, marked=one.marked[:95])


# ------------------------------------------------------------------------------------ items and verdicts


def test_items_are_streamed_and_seen_by_every_target() -> None:
    class Stream:
        passes = 0

        def __iter__(self) -> Iterator[Item]:
            self.passes += 1
            yield from items(3, targets=2)

    class Watch(BatteryObserver):
        def __init__(self) -> None:
            self.names: list[str] = []

        def attacked(self, name: str) -> None:
            self.names.append(name)

    stream, watch = Stream(), Watch()
    targets = [QuadrantClassifier(), LinearClassifier(size=24, classes=5)]
    result = run_battery(stream, targets, logo=LOGO, names=["matting"], observer=watch)
    assert watch.names == ["0.png", "1.png", "2.png"]
    assert stream.passes == 2  # one to study, one to attack
    assert {row.target for row in result.rows} == {"quadrants", "linear0"}


def row(attack: str, number: int, right: int, *, psnr: float | None = None, n: int = 20) -> Row:
    return Row(attack, number, f"knowledge {number}", "m", n, right, 1.0, psnr, psnr, None, 0.1, number < 13)


def test_the_verdict_names_who_trains_and_who_merges() -> None:
    rows = (row("none", 1, 0), row("classifier prepared", 15, 15), row("two versions merged", 14, 20))
    text = verdict(BatteryResult(25, rows, (Best("m", 20, 0, 0.5, "none", 0),), (), 1.0))
    assert (
        "Who expects such marks and trains the classifier on clean images, painted on with random ones, gets "
        "75% (53% to 89%): he needs no marked image."
    ) in text
    assert "merges the two and gets 100%" in text


def test_the_verdict_on_marks_that_hold() -> None:
    rows = (row("none", 1, 0), row("logo inverted", 6, 1, psnr=20.0), row("classifier retrained", 13, 19))
    best = Best("m", 20, 3, 0.5, "logo inverted", 1)
    text = verdict(BatteryResult(25, rows, (best,), (), 1.0))
    assert text == (
        "On m, which is right on 20 of 25 clean images, somebody who does nothing gets 0% (0% to 16%) of "
        "them right. Who knows knowledge 6 gets most by 'logo inverted': 5% (1% to 24%). Somebody who tries "
        "everything and is told which attempt was right gets at most 15% (3 of 20); by luck alone that many "
        "attempts reach any other given class on 50%. These marks hold against all that was tried. Undoing "
        "the blend gives at best 20 dB in the marked pixels, which is no restoration. Who has labels and "
        "trains the classifier on half of the images gets 95% (76% to 99%): no mark prevents that."
    )


def test_marks_that_hold_on_few_images_are_not_praised() -> None:
    rows = (row("none", 1, 0), row("logo inverted", 6, 0, psnr=20.0))
    text = verdict(BatteryResult(25, rows, (Best("m", 19, 0, 0.5, "logo inverted", 0),), (), 1.0))
    assert "On so few images that says little." in text
    assert "hold" not in text


def test_the_verdict_without_any_clean_correct_image() -> None:
    text = verdict(BatteryResult(5, (), (Best("m", 0, 0, 0.0, "none", 0),), (), 1.0))
    assert text == "No target is right on any of these images when they are clean, so removal tells nothing."


@pytest.mark.parametrize("error", [cv2.error("no such picture"), InputError("no such size")])
def test_an_attack_that_breaks_down_costs_only_itself(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    names = ("filled, Telea", "blur 1")

    def broken(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(cv2, "inpaint", broken)
    result = run_battery(items(2), [QuadrantClassifier()], logo=LOGO, names=names, seed=1)
    rows = {row.attack for row in result.rows}
    assert "blur 1" in rows
    assert "filled, Telea" not in rows
    assert any("broke down 2 times" in note for note in result.notes)


class Fussy(QuadrantClassifier):
    """Cannot bear pictures with much white."""

    def logits(self, canvases: NDArray[np.float32]) -> NDArray[np.float32]:
        if ((canvases > 254).all(axis=3).mean(axis=(1, 2)) > 0.005).any():
            raise ModelError("model fussy: it answered with NaN")
        return super().logits(canvases)


def test_a_picture_that_a_model_cannot_bear_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def white(picture: Any, *_: Any) -> Any:
        return np.full_like(picture, 255)

    monkeypatch.setattr(cv2, "inpaint", white)
    names = ("filled, Telea", "filled, harmonic", "blur 1", "vote over crops")
    result = run_battery(items(2), [Fussy()], logo=LOGO, names=names, seed=1)
    usual = run_battery(items(2), [QuadrantClassifier()], logo=LOGO, names=names, seed=1)
    for name in ("none", "blur 1", "filled, harmonic", "vote over crops"):
        assert replace(result.row(name, "quadrants"), seconds=0) == replace(
            usual.row(name, "quadrants"), seconds=0
        )
    assert "filled, Telea" not in {row.attack for row in result.rows}
    assert "attack filled, Telea: broke down 2 times" in result.notes


def test_a_model_that_cannot_bear_the_clean_picture_is_told() -> None:
    white = Item("white", np.full((48, 48, 3), 255, np.uint8), np.zeros((48, 48, 3), np.uint8), (0,))
    with pytest.raises(ModelError, match=r"^model fussy: it answered with NaN$"):
        run_battery([white], [Fussy()], logo=LOGO, names=("blur 1",), seed=1)


def test_a_single_changed_pixel_breaks_nothing() -> None:
    clean = np.full((48, 48, 3), 90, np.uint8)
    marked = clean.copy()
    marked[20, 20] = 250
    item = Item("dot", clean, marked, (0,))
    result = run_battery([item], [QuadrantClassifier()], logo=LOGO, seed=1)
    assert result.row("none", "quadrants").attack == "none"
