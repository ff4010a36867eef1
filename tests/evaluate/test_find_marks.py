from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from medlocker.evaluate import Control, find_marks
from medlocker.geometry import Box
from medlocker.logo import Logo, builtin_logo, render
from pictures import make_image


def letters() -> Logo:
    """Three bars with wide gaps: one logo of three parts."""
    rgba = np.zeros((40, 100, 4), np.uint8)
    for left in (0, 40, 80):
        rgba[:, left : left + 20] = (255, 255, 255, 255)
    return Logo(rgba)


LOGOS = {"padlock": builtin_logo(), "letters": letters()}


def stamped(
    shape: tuple[int, int], logo: Logo, size_px: int, places: list[tuple[int, int]]
) -> NDArray[np.bool_]:
    changed = np.zeros(shape, bool)
    support = render(logo, size_px).support
    for x, y in places:
        changed[y : y + support.shape[0], x : x + support.shape[1]] |= support
    return changed


@pytest.mark.parametrize("logo", LOGOS.values(), ids=LOGOS.keys())
@pytest.mark.parametrize("scale", [1, 8])
@pytest.mark.parametrize("places", [[(10, 20)], [(10, 20), (150, 130)], [(0, 0), (140, 0), (60, 140)]])
def test_as_many_windows_as_marks(logo: Logo, scale: int, places: list[tuple[int, int]]) -> None:
    size_px = 60 * scale
    there = [(x * scale, y * scale) for x, y in places]
    found = find_marks(stamped((240 * scale, 256 * scale), logo, size_px, there), logo=logo)
    height, width = render(logo, size_px).support.shape
    assert sorted(found) == sorted(Box(x, y, width, height) for x, y in there)


def test_pixels_that_happen_to_stay_do_not_split_a_mark() -> None:
    changed = stamped((240, 256), builtin_logo(), 60, [(10, 20), (150, 130)])
    changed &= np.random.default_rng(0).random(changed.shape) > 0.1
    assert [max(box.width, box.height) for box in find_marks(changed, logo=builtin_logo())] == [60, 60]


def test_nothing_changed() -> None:
    assert find_marks(np.zeros((50, 60), bool), logo=builtin_logo()) == ()


def test_noise_everywhere_is_no_mark() -> None:
    noise = np.random.default_rng(0).random((384, 384)) > 0.995
    assert find_marks(noise, logo=builtin_logo()) == ()


@given(st.data())
@settings(max_examples=20)
def test_two_marks_drawn_by_the_control_are_found_again(data: st.DataObject) -> None:
    image = make_image(height=200, width=220, noise=True)
    sizes = (data.draw(st.integers(30, 60)),) * 2
    control = Control(builtin_logo(), seed=data.draw(st.integers(0, 1000)))
    marks = control.marks(image, name="a", sizes_px=sizes, boxes=())
    support = render(builtin_logo(), sizes[0]).support
    # nearly touching marks look like one, to everybody
    apart = max(abs(marks[0].x - marks[1].x), abs(marks[0].y - marks[1].y)) > sizes[0] + 6
    changed = stamped((200, 220), builtin_logo(), sizes[0], [(mark.x, mark.y) for mark in marks])
    if apart:
        found = find_marks(changed, logo=builtin_logo())
        assert sorted((box.x, box.y) for box in found) == sorted((mark.x, mark.y) for mark in marks)
        assert control.sizes_px(image, found) == tuple(max(support.shape) for _ in marks)
