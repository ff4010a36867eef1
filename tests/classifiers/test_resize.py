from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow

from medlocker.classifiers import linear_resize, resize_canvas
from medlocker.classifiers.resize import ResizeRule

RULES: list[ResizeRule] = ["stretch", "pad", "crop"]
LUMA = np.array([0.299, 0.587, 0.114])
sides = st.integers(1, 70)


def picture(height: int, width: int, *, dtype: str = "u1", seed: int = 3) -> NDArray[Any]:
    top = np.iinfo(dtype).max + 1
    return np.random.default_rng(seed).integers(0, top, (height, width, 3)).astype(dtype)


def by_pillow(colors: NDArray[np.uint8], *, height: int, width: int) -> NDArray[np.float32]:
    small = Pillow.fromarray(colors).resize((width, height), Pillow.Resampling.BILINEAR)
    return np.asarray(small, np.float32)


def by_matrices(colors: NDArray[Any], *, out: tuple[int, int], rule: ResizeRule) -> NDArray[np.float64]:
    height, width = colors.shape[:2]
    resize = linear_resize(height, width, out_height=out[0], out_width=out[1], rule=rule)
    rows, cols = resize.rows.astype(np.float64), resize.cols.astype(np.float64)
    levels = colors / (1 if colors.dtype == np.uint8 else 257)
    return np.asarray(np.einsum("yh,hwc,xw->yxc", rows, levels, cols))


@pytest.mark.parametrize(("height", "width"), [(33, 57), (8, 8), (7, 200), (1, 1), (64, 31)])
def test_stretching_is_pillows_bilinear(height: int, width: int) -> None:
    colors = picture(height, width)
    got = resize_canvas(colors, height=16, width=24, channels=3, rule="stretch")
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, by_pillow(colors, height=16, width=24))


def test_padding_fits_inside_black_bars() -> None:
    colors = picture(20, 50)
    got = resize_canvas(colors, height=25, width=25, channels=3, rule="pad")
    np.testing.assert_array_equal(got[7:17], by_pillow(colors, height=10, width=25))
    assert not got[:7].any()
    assert not got[17:].any()


def test_cropping_cuts_the_middle() -> None:
    colors = picture(20, 50)
    got = resize_canvas(colors, height=20, width=20, channels=3, rule="crop")
    np.testing.assert_array_equal(got, colors[:, 15:35])


@settings(max_examples=30)
@given(height=sides, width=sides, out_h=sides, out_w=sides, rule=st.sampled_from(RULES))
def test_the_matrices_are_the_resize_but_for_rounding(
    height: int, width: int, out_h: int, out_w: int, rule: ResizeRule
) -> None:
    colors = picture(height, width)
    got = resize_canvas(colors, height=out_h, width=out_w, channels=3, rule=rule)
    assert got.shape == (out_h, out_w, 3)
    # Pillow rounds to whole levels after each of its two passes
    assert np.abs(got - by_matrices(colors, out=(out_h, out_w), rule=rule)).max() <= 1.02


@settings(max_examples=30)
@given(height=sides, width=sides, rule=st.sampled_from(RULES))
def test_the_matrices_are_the_resize_of_16_bits(height: int, width: int, rule: ResizeRule) -> None:
    colors = picture(height, width, dtype="u2")
    got = resize_canvas(colors, height=17, width=20, channels=3, rule=rule)
    assert np.abs(got - by_matrices(colors, out=(17, 20), rule=rule)).max() < 1e-3


@settings(max_examples=30)
@given(height=sides, width=sides, rule=st.sampled_from(RULES), dtype=st.sampled_from(["u1", "u2"]))
def test_one_channel_is_luminance(height: int, width: int, rule: ResizeRule, dtype: str) -> None:
    colors = picture(height, width, dtype=dtype)
    got = resize_canvas(colors, height=15, width=18, channels=1, rule=rule)
    assert got.shape == (15, 18, 1)
    wanted = by_matrices(colors, out=(15, 18), rule=rule) @ LUMA
    assert np.abs(got[..., 0] - wanted).max() <= (1.6 if dtype == "u1" else 1e-3)


@settings(max_examples=30)
@given(height=sides, width=sides, out=sides, rule=st.sampled_from(RULES))
def test_weights_add_up_to_one_or_are_black_bars(height: int, width: int, out: int, rule: ResizeRule) -> None:
    resize = linear_resize(height, width, out_height=out, out_width=out, rule=rule)
    for matrix in (resize.rows, resize.cols):
        sums = matrix.sum(axis=1)
        assert ((np.abs(sums - 1) < 1e-5) | (sums == 0)).all()
        assert (matrix >= 0).all()
        if rule != "pad":
            assert (sums > 0).all()
