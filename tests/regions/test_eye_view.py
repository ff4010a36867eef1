"""The field of view as an ellipse, from what of its rim is in the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from medlocker.regions._eyeview import DIAMETER_PX, SIDE_PX, Ellipse, EyeView, view_eye


def field(*, width: int, height: int, x: int, y: int, across: int, down: int) -> NDArray[np.uint8]:
    """An orange ellipse in the dark, with a tab at its upper right as some cameras add."""
    pixels = np.zeros((height, width, 3), np.uint8)
    cv2.ellipse(pixels, (x, y), (across, down), 0, 0, 360, (190, 100, 50), -1)
    tab = (x + round(0.72 * across), y - round(0.72 * down))
    cv2.rectangle(pixels, tab, (tab[0] + across // 20, tab[1] + down // 20), (190, 100, 50), -1)
    return pixels


def test_a_rim_is_found_where_edges_cut_it() -> None:
    view = view_eye(field(width=480, height=320, x=230, y=160, across=195, down=195))
    assert view is not None
    found = (view.rim.x, view.rim.y, view.rim.across, view.rim.down)
    assert found == pytest.approx((230, 160, 195, 195), abs=4)


def test_a_stretched_rim_becomes_a_circle() -> None:
    view = view_eye(field(width=320, height=320, x=150, y=170, across=90, down=140))
    assert view is not None
    assert (view.rim.across, view.rim.down) == pytest.approx((90, 140), abs=4)
    rows, columns = np.nonzero(view.inside)
    middle = (SIDE_PX - 1) / 2
    assert np.hypot(rows - middle, columns - middle).max() < DIAMETER_PX / 2
    assert view.inside.mean() == pytest.approx(np.pi / 4 * (DIAMETER_PX / SIDE_PX) ** 2, rel=0.06)


def test_a_field_that_fills_the_picture_is_taken_as_it_is() -> None:
    view = view_eye(np.full((300, 400, 3), (190, 100, 50), np.uint8))
    assert view is not None
    assert (view.rim.across, view.rim.down) == (200, 150)


def test_darkness_has_no_field() -> None:
    assert view_eye(np.zeros((320, 400, 3), np.uint8)) is None


@given(
    st.floats(-50, SIDE_PX + 50),
    st.floats(-50, SIDE_PX + 50),
    st.floats(0.1, 60),
    st.floats(0.1, 60),
    st.integers(1, 3000),
    st.integers(1, 3000),
)
def test_boxes_lie_within_the_image(
    x: float, y: float, across: float, down: float, width: int, height: int
) -> None:
    empty = np.zeros((1, 1, 3), np.uint8)
    view = EyeView(empty, empty[..., 0], Ellipse(200.0, 150.0, 140.0, 140.0), (320, 400))
    box = view.box(x, y, across, down, image=(height, width))
    if box is not None:
        assert 0 <= box.x < box.right <= width
        assert 0 <= box.y < box.bottom <= height


def test_a_box_is_where_its_ellipse_was() -> None:
    view = view_eye(field(width=480, height=320, x=230, y=160, across=150, down=150))
    assert view is not None
    middle = (SIDE_PX - 1) / 2
    box = view.box(middle, middle, DIAMETER_PX / 2, DIAMETER_PX / 2, image=(3200, 4800))
    assert box is not None
    assert (box.x, box.y, box.right, box.bottom) == pytest.approx((805, 105, 3805, 3105), abs=40)
