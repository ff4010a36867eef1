from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from medlocker.errors import InputError, NoRoomError
from medlocker.geometry import Box
from medlocker.placements import FreePlacements

Case = tuple[tuple[int, int], NDArray[np.bool_], list[Box]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    width, height = draw(st.integers(1, 14)), draw(st.integers(1, 14))
    w, h = draw(st.integers(1, width)), draw(st.integers(1, height))
    bits = draw(st.lists(st.booleans(), min_size=w * h, max_size=w * h))
    box = st.builds(Box, st.integers(-6, 16), st.integers(-6, 16), st.integers(1, 8), st.integers(1, 8))
    return (width, height), np.array(bits, np.bool_).reshape(h, w), draw(st.lists(box, max_size=5))


def brute(case: Case) -> NDArray[np.bool_]:
    (width, height), support, boxes = case
    blocked = np.zeros((height, width), np.bool_)
    for box in boxes:
        blocked[max(box.y, 0) : max(box.bottom, 0), max(box.x, 0) : max(box.right, 0)] = True
    h, w = support.shape
    free = np.zeros((height - h + 1, width - w + 1), np.bool_)
    for y, x in np.ndindex(*free.shape):
        free[y, x] = not (blocked[y : y + h, x : x + w] & support).any()
    return free


def make(case: Case) -> FreePlacements:
    return FreePlacements(image=case[0], support=case[1], boxes=case[2])


@given(cases(), st.integers(1, 5), st.sampled_from([1, 3, 256]))
def test_grid_and_count_agree_with_brute_force(case: Case, step: int, tile: int) -> None:
    expected = brute(case)
    placements = make(case)
    with patch("medlocker.placements._TILE_PX", tile):  # large boxes are cut into such tiles
        placements.grid(step)
    np.testing.assert_array_equal(placements.grid(step), expected[::step, ::step])
    assert placements.count == int(expected.sum())
    np.testing.assert_array_equal(placements.grid(step), expected[::step, ::step])  # from the kept grid
    assert (placements.bounds.height, placements.bounds.width) == expected.shape


@given(cases(), st.booleans())
def test_contains_agrees_with_brute_force_inside_and_outside(case: Case, grid_first: bool) -> None:
    expected = np.pad(brute(case), 3)
    placements = make(case)
    if grid_first:
        placements.grid()
    at = np.indices(expected.shape) - 3
    np.testing.assert_array_equal(placements.contains(at[1], at[0]), expected)


@given(cases(), st.integers(-9, 25), st.integers(-9, 25), st.booleans())
def test_nearest_agrees_with_brute_force(case: Case, x: int, y: int, grid_first: bool) -> None:
    rows, cols = np.nonzero(brute(case))
    placements = make(case)
    if grid_first:
        placements.grid()
    if len(rows) == 0:
        with pytest.raises(NoRoomError, match="leave no room"):
            placements.nearest(x, y)
        return
    squared = (cols - x) ** 2 + (rows - y) ** 2
    best = int(np.argmin(squared))
    assert placements.nearest(x, y) == (int(cols[best]), int(rows[best]))


@given(cases(), st.integers(0, 40), st.integers(0, 9))
@settings(max_examples=60)
def test_samples_are_free_and_do_not_depend_on_earlier_calls(case: Case, n: int, seed: int) -> None:
    expected = brute(case)
    placements = make(case)
    if not expected.any():
        if n:
            with pytest.raises(NoRoomError, match="leave no room"):
                placements.sample(np.random.default_rng(seed), n)
        return
    drawn = placements.sample(np.random.default_rng(seed), n)
    assert drawn.shape == (n, 2)
    assert drawn.dtype == np.int64
    assert expected[drawn[:, 1], drawn[:, 0]].all()
    placements.grid()
    np.testing.assert_array_equal(placements.sample(np.random.default_rng(seed), n), drawn)


@pytest.mark.parametrize("blocked", [0.3, 0.999])
def test_samples_are_uniform(blocked: float) -> None:
    rng = np.random.default_rng(3)
    # 0.999: nearly every dart misses, so that the draw by rank is what is tested
    side = 8 if blocked < 0.5 else 120
    holes = rng.random((side, side)) < blocked
    boxes = [Box(int(x), int(y), 1, 1) for y, x in np.argwhere(holes)]
    placements = FreePlacements(image=(side, side), support=np.ones((1, 1), np.bool_), boxes=boxes)
    per_place = 400
    drawn = placements.sample(rng, placements.count * per_place)
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(counts) == placements.count == int((~holes).sum())
    assert abs(counts - per_place).max() < 5 * np.sqrt(per_place)


def test_a_far_nearest_placement_is_found_across_windows() -> None:
    support = np.ones((4, 4), np.bool_)
    placements = FreePlacements(image=(400, 300), support=support, boxes=[Box(0, 0, 396, 300)])
    assert placements.nearest(0, 150) == (396, 150)
    assert placements.nearest(-1000, -1000) == (396, 0)


def test_a_place_in_the_corner_of_the_first_window_does_not_beat_a_nearer_one_beside_it() -> None:
    everything_but = [Box(0, 0, 99, 20), Box(0, 20, 53, 1), Box(54, 20, 45, 1), Box(0, 21, 99, 29)]
    everything_but += [Box(0, 50, 50, 1), Box(51, 50, 48, 1), Box(0, 51, 99, 48)]
    placements = FreePlacements(image=(99, 99), support=np.ones((1, 1), np.bool_), boxes=everything_but)
    assert placements.nearest(20, 20) == (53, 20)
    assert placements.nearest(40, 49) == (50, 50)


def test_a_box_may_lie_in_a_hole_of_the_logo() -> None:
    support = np.ones((9, 9), np.bool_)
    support[3:6, 3:6] = False
    placements = FreePlacements(image=(9, 9), support=support, boxes=[Box(3, 3, 3, 3)])
    assert placements.count == 1
    assert FreePlacements(image=(9, 9), support=support, boxes=[Box(3, 3, 3, 4)]).count == 0


def test_a_logo_larger_than_the_image_is_refused_in_a_sentence() -> None:
    expected = "expected a logo that fits into the image of 9 x 8 pixels, got a logo of 4 x 10"
    with pytest.raises(NoRoomError, match=expected):
        FreePlacements(image=(9, 8), support=np.ones((10, 4), np.bool_))


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InputError, match=r"expected a support of \(h, w\) bool, got \(0, 3\) bool"):
        FreePlacements(image=(9, 8), support=np.ones((0, 3), np.bool_))
    with pytest.raises(InputError, match=r"expected a support of \(h, w\) bool, got \(2, 3\) float64"):
        FreePlacements(image=(9, 8), support=np.ones((2, 3)))  # type: ignore[arg-type]
    placements = FreePlacements(image=(9, 8), support=np.ones((2, 3), np.bool_))
    with pytest.raises(InputError, match="expected a step of at least 1 px, got 0"):
        placements.grid(0)
    with pytest.raises(InputError, match="expected a number of placements of at least 0, got -1"):
        placements.sample(np.random.default_rng(0), -1)
    with pytest.raises(InputError, match="expected integer coordinates, got float64 and int64"):
        placements.contains(np.array([0.5]), np.array([1]))
    with pytest.raises(InputError, match="expected coordinates of at most 1073741824"):
        placements.nearest(2**31, 0)


def test_changing_a_returned_grid_changes_nothing() -> None:
    placements = FreePlacements(image=(9, 8), support=np.ones((2, 3), np.bool_))
    placements.grid()[:] = False
    assert placements.count == 49
