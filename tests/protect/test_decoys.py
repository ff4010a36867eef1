"""Decoys: drawn by key alone, inside the image, until holes cover the share that was drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medlocker.geometry import Box
from medlocker.protect._decoys import _HOLES, MOST_DECOYS, draw_decoys
from medlocker.regions._scale import covered

KEYS = st.binary(min_size=1, max_size=32)
SIDES = st.integers(32, 2000)


def share(boxes: tuple[Box, ...], width: int, height: int) -> float:
    return float(covered(boxes, width=width, height=height).mean())


@given(width=SIDES, height=SIDES, key=KEYS)
@settings(max_examples=60)
def test_decoys_lie_inside_and_come_from_the_key(width: int, height: int, key: bytes) -> None:
    drawn = draw_decoys((), width=width, height=height, key=key)
    assert drawn == draw_decoys((), width=width, height=height, key=key)
    assert 1 <= len(drawn) <= MOST_DECOYS
    for box in drawn:
        assert box.x >= 0
        assert box.y >= 0
        assert box.right <= width
        assert box.bottom <= height


@pytest.mark.parametrize(("width", "height"), [(448, 448), (640, 480), (2000, 3000)])
def test_holes_cover_the_share_that_was_drawn(width: int, height: int) -> None:
    low, high = _HOLES
    found = [
        share(draw_decoys((), width=width, height=height, key=bytes([k])), width, height) for k in range(60)
    ]
    # a cell counts as a whole, so a little less is covered than was drawn, and the last decoy is over it
    assert min(found) > 0.5 * low
    assert max(found) < high + 0.02
    assert np.mean(found) == pytest.approx((low + high) / 2, rel=0.3)
    assert np.std(found) > 0.1 * (high - low)  # drawn anew for every image


def test_lesions_count_among_the_holes() -> None:
    none = draw_decoys((), width=400, height=400, key=b"k")
    some = draw_decoys((Box(100, 100, 60, 50),), width=400, height=400, key=b"k")
    assert 0 < len(some) < len(none)
    assert none[: len(some)] == some  # what is drawn does not tell where the lesions are


@given(key=KEYS, width=SIDES, height=SIDES)
def test_no_decoys_where_lesions_are_more_than_any_share(key: bytes, width: int, height: int) -> None:
    large = Box(0, 0, width // 2, max(height // 3, 1))
    assert draw_decoys((large,), width=width, height=height, key=key) == ()


def test_boxes_that_reach_beyond_the_image_are_taken() -> None:
    beyond = (Box(-20, -20, 60, 60), Box(380, 390, 500, 500))
    assert draw_decoys(beyond, width=400, height=400, key=b"k") == draw_decoys(
        (Box(0, 0, 40, 40), Box(380, 390, 20, 10)), width=400, height=400, key=b"k"
    )


def test_decoys_of_two_images_are_unlike() -> None:
    keys = [f"image {k}".encode() for k in range(20)]
    drawn = [draw_decoys((), width=300, height=300, key=key) for key in keys]
    assert len(set(drawn)) == 20
    assert len({len(boxes) for boxes in drawn}) > 3
