from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medlocker.errors import InputError
from medlocker.geometry import Box

BOXES = st.builds(Box, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 9), st.integers(1, 9))


def pixels(box: Box) -> set[tuple[int, int]]:
    return {(x, y) for x in range(box.x, box.right) for y in range(box.y, box.bottom)}


@given(BOXES, BOXES)
def test_boxes_overlap_if_they_share_a_pixel(one: Box, other: Box) -> None:
    assert one.overlaps(other) == bool(pixels(one) & pixels(other)) == other.overlaps(one)


@given(BOXES, st.integers(0, 4))
def test_growing_adds_the_margin_and_clips(box: Box, margin: int) -> None:
    image = pixels(Box(0, 0, 8, 6))
    spread = range(-margin, margin + 1)
    expected = {(x + dx, y + dy) for x, y in pixels(box) for dx in spread for dy in spread} & image
    if expected:
        assert pixels(box.grown(margin, within=(8, 6))) == expected
    else:
        with pytest.raises(InputError, match="expected a box inside 8 x 6 pixels, got Box"):
            box.grown(margin, within=(8, 6))


def test_empty_boxes_are_refused() -> None:
    with pytest.raises(InputError, match="expected a box of at least 1 x 1 pixels, got 0 x 3"):
        Box(1, 2, 0, 3)
