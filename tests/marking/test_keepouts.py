"""How veils keep out of boxes: exactly, and softly around; two ways of counting that agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from medlocker.geometry import Box
from medlocker.images import Kind
from medlocker.logo import builtin_logo
from medlocker.marking import _keepouts, mark_pixels, render_layer
from medlocker.marking._keepouts import fade_at_keep_outs
from pictures import KINDS, make_image
from veils import make_veil, veils

BOXES = st.lists(
    st.builds(Box, st.integers(-9, 40), st.integers(-9, 40), st.integers(1, 30), st.integers(1, 30)),
    min_size=1,
    max_size=6,
)
SHAPES = st.tuples(st.integers(1, 36), st.integers(1, 36))
SOFT = st.sampled_from((1, 2, 3, 5, 9, 40, 255))


def slowly(weight: NDArray[np.uint16], boxes: list[Box], soft_px: int) -> NDArray[np.uint16]:
    """The rule, pixel by pixel."""
    height, width = weight.shape
    left = weight.copy()
    inside = [box for box in boxes if box.right > 0 and box.bottom > 0 and box.x < width and box.y < height]
    for y, x in np.ndindex(height, width):
        away = soft_px
        for box in inside:
            across = max(box.x - x, x - box.right + 1, 0)
            down = max(box.y - y, y - box.bottom + 1, 0)
            away = min(away, max(across, down))
        left[y, x] = int(weight[y, x]) * away // soft_px
    return left


@given(boxes=BOXES, shape=SHAPES, soft_px=SOFT, seed=st.integers(0, 99))
@settings(max_examples=40)
def test_the_veil_fades_in_around_boxes(
    boxes: list[Box], shape: tuple[int, int], soft_px: int, seed: int
) -> None:
    weight = np.random.default_rng(seed).integers(0, 65536, shape).astype(np.uint16)
    before = weight.copy()
    assert np.array_equal(fade_at_keep_outs(weight, boxes, soft_px=soft_px), slowly(weight, boxes, soft_px))
    assert np.array_equal(weight, before)


@given(boxes=BOXES, shape=SHAPES, soft_px=SOFT)
@settings(max_examples=150)
def test_row_by_row_is_the_same_as_box_by_box(boxes: list[Box], shape: tuple[int, int], soft_px: int) -> None:
    found = []
    for most in (0, 1 << 40):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_keepouts, "_MOST_OVERLAP", most)
            found.append(_keepouts._distance(shape, boxes, soft_px))
    assert np.array_equal(found[0], found[1])


def test_without_boxes_nothing_is_copied() -> None:
    weight = np.ones((4, 5), np.uint16)
    assert fade_at_keep_outs(weight, [], soft_px=9) is weight


def test_boxes_that_overlap_over_and_over_are_not_taken_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """16,384 boxes of nearly a whole large image each: one by one they would take minutes."""

    def never(*args: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(_keepouts, "_by_boxes", never)
    boxes = [Box(k % 64, k // 64, 600, 500) for k in range(16384)]
    left = fade_at_keep_outs(np.full((900, 800), 1000, np.uint16), boxes, soft_px=100)
    assert not left[: 255 + 500, : 63 + 600].any()
    assert left[255 + 500 + 49, 0] == 500
    assert (left[-40:] == 1000).all()


@given(veil=veils(), kind=st.sampled_from(KINDS), bits=st.sampled_from((8, 16)), data=st.data())
@settings(max_examples=30)
def test_no_pixel_of_a_box_changes(veil: Any, kind: Kind, bits: int, data: st.DataObject) -> None:
    image = make_image(kind, bits=8 if kind == "palette" else bits, noise=kind != "palette")
    layer = render_layer(veil, logo=builtin_logo(), image=image)
    marked = mark_pixels(image, [veil], logo=builtin_logo()).pixels
    for box in veil.keep_out:
        window = np.s_[box.y : box.bottom, box.x : box.right]
        assert not layer.weight[window].any()
        assert np.array_equal(marked[window], image.pixels[window])
    untouched = layer.weight == 0
    assert np.array_equal(marked[untouched], image.pixels[untouched])


@given(veil=veils())
@settings(max_examples=20)
def test_beyond_the_soft_edge_nothing_tells_of_a_box(veil: Any) -> None:
    image = make_image()
    free = render_layer(replace(veil, keep_out=()), logo=builtin_logo(), image=image)
    layer = render_layer(veil, logo=builtin_logo(), image=image)
    assert np.array_equal(layer.color, free.color)
    far = np.ones(layer.weight.shape, np.bool_)
    for box in veil.keep_out:
        left, top = max(box.x - veil.soft_px + 1, 0), max(box.y - veil.soft_px + 1, 0)
        far[top : box.bottom + veil.soft_px - 1, left : box.right + veil.soft_px - 1] = False
    assert np.array_equal(layer.weight[far], free.weight[far])
    assert (layer.weight <= free.weight).all()


def test_edges_are_soft() -> None:
    veil = make_veil(ground=20000, soft_px=8, keep_out=(Box(20, 16, 20, 16),))
    weight = render_layer(veil, logo=builtin_logo(), image=make_image()).weight[24, :21].astype(int)
    assert weight[20] == 0
    ramp = weight[12:20]
    assert (np.abs(np.diff(ramp)) <= 20000 // 8 + 1).all()
    assert ramp[0] > 15000 or ramp[0] > 6 * ramp[-1]
