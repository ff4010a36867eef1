"""Voting over masked copies and over crops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from medlocker.evaluate.removal import ClassifierView
from medlocker.evaluate.removal._votes import CropVote, DoubleMasking, MaskedMajority, covering_masks

Floats = NDArray[np.float32]
SIDE = 48


def patched(top: int, left: int, side: int = 12) -> tuple[Floats, NDArray[np.bool_]]:
    """A grey canvas with a white patch, and where that is."""
    canvas = np.full((SIDE, SIDE, 3), 90, np.float32)
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[top : top + side, left : left + side] = True
    canvas[mask] = 255
    return canvas, mask


def sees_white(canvases: Floats) -> NDArray[np.float32]:
    """Class 1 if much is white, else 0."""
    white = (canvases.min(axis=3) > 250).sum(axis=(1, 2)) > 8
    return np.stack([~white, white], axis=1).astype(np.float32) * 3


@given(st.integers(0, SIDE - 12), st.integers(0, SIDE - 12))
def test_double_masking_and_masked_majority_undo_a_patch_anywhere(top: int, left: int) -> None:
    canvas, mask = patched(top, left)
    assert sees_white(canvas[None]).argmax() == 1
    view = ClassifierView(canvas, mask, sees_white)
    assert DoubleMasking().vote(view) == {"double masking": 0}
    assert MaskedMajority().vote(view) == {"masked majority": 0}


@given(
    st.integers(8, 60),
    st.integers(8, 60),
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(1, 6),
    st.data(),
)
def test_some_mask_covers_the_mark_wherever_it_is(
    height: int, width: int, tall: int, wide: int, side_masks: int, data: st.DataObject
) -> None:
    tall, wide = min(tall, height), min(wide, width)
    top = data.draw(st.integers(0, height - tall))
    left = data.draw(st.integers(0, width - wide))
    mark = np.zeros((height, width), np.bool_)
    mark[top : top + tall, left : left + wide] = True
    masks = covering_masks(mark, side_masks)
    assert masks.shape == (side_masks**2, height, width)
    assert (masks & mark).sum(axis=(1, 2)).max() == mark.sum()


def test_double_masking_asks_once_where_all_agree() -> None:
    asked: list[int] = []

    def classify(canvases: Floats) -> NDArray[np.float32]:
        asked.append(len(canvases))
        return np.tile(np.array([[0, 2, 1]], np.float32), (len(canvases), 1))

    canvas, mask = patched(0, 0)
    assert DoubleMasking().vote(ClassifierView(canvas, mask, classify)) == {"double masking": 1}
    assert asked == [16]


def test_double_masking_keeps_the_majority_where_no_minority_is_certain() -> None:
    def classify(canvases: Floats) -> NDArray[np.float32]:
        # the first mask alone makes class 1; with a second mask it is class 0 again
        hidden = (canvases != canvases[:, :1, :1]).any(axis=3)
        first = np.zeros(len(canvases), np.bool_)
        first[0] = len(canvases) == 16
        assert hidden.shape == canvases.shape[:3]
        return np.stack([~first, first], axis=1).astype(np.float32)

    canvas, mask = patched(10, 10)
    assert DoubleMasking().vote(ClassifierView(canvas, mask, classify)) == {"double masking": 0}


@pytest.mark.parametrize(("top", "expected"), [(0, 0), (18, 1)])
def test_crops_leave_out_a_mark_at_the_corner_but_not_in_the_middle(top: int, expected: int) -> None:
    canvas, mask = patched(top, top, side=6 if top == 0 else 12)
    asked: list[int] = []

    def classify(canvases: Floats) -> NDArray[np.float32]:
        asked.append(len(canvases))
        white = (canvases.min(axis=3) > 250).sum(axis=(1, 2)) > 30
        return np.stack([~white, white], axis=1).astype(np.float32)

    assert CropVote().vote(ClassifierView(canvas, mask, classify)) == {"vote over crops": expected}
    assert asked == [19]
