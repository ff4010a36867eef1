from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medlocker.demo import GRADES, synthesise
from medlocker.demo.anatomy import plan_eye
from medlocker.demo.lesions import plan_lesions
from medlocker.errors import InputError

EYE = plan_eye(np.random.default_rng(0))


def test_same_arguments_give_the_same_pixels() -> None:
    first, second = (synthesise(5, grade="severe", width=256, height=256) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.mask, second.mask)
    assert first.quiet == second.quiet


def test_another_seed_gives_another_eye() -> None:
    first, second = (synthesise(seed, grade="none", width=256, height=256).image for seed in (5, 6))
    assert np.abs(first.astype(int) - second).mean() > 5


@pytest.mark.parametrize(("width", "height"), [(512, 512), (640, 420), (96, 200)])
def test_shapes_and_dtypes(width: int, height: int) -> None:
    sample = synthesise(1, grade="mild", width=width, height=height)
    assert sample.image.shape == (height, width, 3)
    assert sample.mask.shape == (height, width)
    assert sample.image.dtype == sample.mask.dtype == np.uint8
    assert set(np.unique(sample.mask)) <= {0, 255}
    assert sample.grade == "mild"
    assert len(sample.quiet) == 2


@pytest.mark.parametrize("grade", ["mild", "severe"])
@pytest.mark.parametrize("seed", [3, 4])
def test_the_mask_is_what_was_painted(grade: str, seed: int) -> None:
    with_lesions, without = synthesise(seed, grade=grade), synthesise(seed, grade="none")
    changed = np.abs(with_lesions.image.astype(int) - without.image).max(axis=2)
    inside = with_lesions.mask > 0
    assert changed[~inside].max() <= 12  # soft edges only
    assert (changed[inside] > 8).mean() > 0.7
    assert changed[inside].mean() > 15


def test_a_healthy_eye_has_an_empty_mask() -> None:
    assert not synthesise(8, grade="none").mask.any()


def test_the_graver_grade_has_more_lesions() -> None:
    area = {
        grade: [(synthesise(seed, grade=grade, width=256, height=256).mask > 0).sum() for seed in range(5)]
        for grade in GRADES
    }
    assert max(area["none"]) == 0
    assert min(area["mild"]) > 0
    assert np.mean(area["severe"]) > 2 * np.mean(area["mild"])


def test_quiet_windows_are_free_of_lesions_and_inside() -> None:
    for seed in range(6):
        sample = synthesise(seed, grade="severe", width=384, height=384)
        for box in sample.quiet:
            assert not sample.mask[box.y : box.bottom, box.x : box.right].any()
            assert min(box.x, box.y) >= 0
            assert box.right <= 384
            assert box.bottom <= 384
            assert min(box.width, box.height) >= 384 // 4  # a quarter-side logo fits


@given(st.integers(0, 2**32))
@settings(max_examples=50)
def test_no_planned_lesion_reaches_into_a_quiet_window(seed: int) -> None:
    findings = plan_lesions(np.random.default_rng(seed), EYE, grade="severe")
    assert findings.lesions
    for x, y in findings.quiet_centres:
        for lesion in findings.lesions:
            away = np.abs(lesion.outline - [x, y]).max(axis=1)
            assert away.min() > findings.quiet_half_side + 0.02  # room for the soft edge


def test_the_surround_is_dark_and_the_eye_is_not() -> None:
    image = synthesise(2, grade="none").image
    assert image[:20, :20].max() < 20
    assert image[200:300, 200:300, 0].mean() > 60


def test_left_and_right_eyes_occur() -> None:
    sides = [plan_eye(np.random.default_rng(seed)).disc[0] > 0 for seed in range(20)]
    assert 4 < sum(sides) < 16


@pytest.mark.parametrize(
    ("seed", "grade", "width", "message"),
    [
        (0, "moderate", 512, "expected a grade of none, mild, severe, got 'moderate'"),
        (-1, "none", 512, "expected a seed of at least 0, got -1"),
        (0, "none", 63, "expected at least 64 pixels a side, got 63 x 512"),
    ],
)
def test_wrong_arguments_are_refused(seed: int, grade: str, width: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        synthesise(seed, grade=grade, width=width)
    assert str(caught.value) == message
