from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from medlocker import legibility
from medlocker.legibility import (
    compare_parts,
    contrast_kept,
    differences,
    find_ink,
    measure_legibility,
    ssim_map,
)


def eye(side: int = 200, *, seed: int = 0) -> NDArray[np.uint8]:
    """A lit disc with dark lines in it, on black."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((side, side + 40, 3), np.uint8)
    middle = (side // 2 + 20, side // 2)
    cv2.circle(picture, middle, round(0.45 * side), (190, 110, 70), -1)
    for _ in range(12):
        x, y = (int(value) for value in rng.integers(side // 4, 3 * side // 4, 2))
        end = (int(x + rng.integers(-40, 40)), int(y + rng.integers(-40, 40)))
        cv2.line(picture, (x, y), end, (150, 60, 40), 2)
    return picture


def veil(clean: NDArray[Any], opacity: float, *, grey: int = 128) -> NDArray[np.uint8]:
    return np.round(clean * (1 - opacity) + grey * opacity).astype(np.uint8)


@pytest.mark.parametrize("opacity", [0.05, 0.15, 0.5])
def test_an_even_veil_keeps_what_it_lets_through(opacity: float) -> None:
    found = measure_legibility(eye(), veil(eye(), opacity))
    assert found.contrast == pytest.approx(1 - opacity, abs=0.01)


def test_identical_pictures() -> None:
    found = measure_legibility(eye(), eye())
    assert (found.psnr, found.ssim, found.ink, found.contrast) == (np.inf, 1, 0, 1)
    assert (found.psnr_outside_ink, found.ssim_outside_ink, found.contrast_outside_ink) == (np.inf, 1, 1)


def test_edges_that_are_painted_over_are_gone_and_turned_ones_count_nothing() -> None:
    clean = eye()
    assert contrast_kept(clean, np.full_like(clean, 100))[0] == 0
    assert contrast_kept(clean, 255 - clean)[0] == 0
    half = clean.copy()
    half[:, :120] = 100
    kept = contrast_kept(clean, half)[0]
    assert kept is not None
    assert 0.2 < kept < 0.8


def test_a_mark_s_own_edges_add_nothing() -> None:
    clean = eye()
    rng = np.random.default_rng(1)
    stripes = cv2.resize(rng.integers(-20, 21, (50, 60), dtype=np.int16), (240, 200))
    marked = np.clip(clean.astype(np.int16) + stripes[..., None], 0, 255).astype(np.uint8)
    kept = contrast_kept(clean, marked)[0]
    assert kept == pytest.approx(1, abs=0.1)
    assert measure_legibility(clean, marked).ssim < 0.8


def test_the_rim_of_the_eye_does_not_count() -> None:
    clean = eye()
    marked = clean.copy()
    disc = np.zeros(clean.shape[:2], np.uint8)
    cv2.circle(disc, (120, 100), 86, (1,), -1)
    marked[disc == 0] = 60  # the rim, the strongest edge of all, is weaker now
    assert contrast_kept(clean, marked)[0] == pytest.approx(1, abs=0.02)


def test_a_plain_picture_has_no_contrast_to_keep() -> None:
    plain = np.full((60, 80, 3), 90, np.uint8)
    assert contrast_kept(plain, plain) == (None, None)
    black = np.zeros((60, 80, 3), np.uint8)
    found = measure_legibility(black, black + np.uint8(3))
    assert (found.contrast, found.contrast_outside_ink) == (None, None)


def test_scale_and_depth_do_not_matter() -> None:
    clean = eye()
    marked = veil(clean, 0.2)
    small = contrast_kept(clean, marked)[0]
    large = [np.repeat(np.repeat(one, 12, 0), 12, 1) for one in (clean, marked)]
    assert contrast_kept(*large)[0] == pytest.approx(small, abs=0.02)
    deep = [one.astype(np.uint16) * 257 for one in (clean, marked)]
    assert contrast_kept(*deep)[0] == pytest.approx(small, abs=1e-3)
    assert measure_legibility(*deep).psnr == pytest.approx(measure_legibility(clean, marked).psnr, abs=1e-3)


def test_ink_is_where_a_mark_is_strong() -> None:
    change = np.zeros((100, 100), np.uint8)
    change[10:90, 10:90] = 6  # a ground
    change[20:40, 20:40] = 30  # ink, faint where it has the picture's own colour
    change[30:32, 20:40] = 14
    change[50, 50] = 255  # one pixel is no measure
    ink = find_ink(change)
    assert ink[20:30, 20:40].all()
    assert ink.sum() == 20 * 20 - 2 * 20 + 1
    assert not find_ink(np.zeros((5, 5), np.uint8)).any()
    assert find_ink(change.astype(np.uint16) * 257).sum() == ink.sum()


def test_outside_the_ink_is_what_is_left_of_the_picture() -> None:
    clean = eye()
    marked = clean.copy()
    marked[:, ::8] = 255
    found = measure_legibility(clean, marked)
    assert found.ink == pytest.approx(1 / 8, abs=0.01)
    assert found.psnr < 15
    assert found.psnr_outside_ink == np.inf
    assert found.ssim_outside_ink is not None
    assert found.ssim_outside_ink > found.ssim


def test_all_ink_leaves_nothing_outside() -> None:
    clean = np.full((40, 40, 3), 50, np.uint8)
    found = measure_legibility(clean, clean + np.uint8(9))
    assert (found.ink, found.psnr_outside_ink, found.ssim_outside_ink) == (1, None, None)


@settings(max_examples=25)
@given(data=st.data(), height=st.integers(1, 60), width=st.integers(1, 60), deep=st.booleans())
def test_strips_and_windows_give_the_numbers_of_the_whole(
    data: st.DataObject, height: int, width: int, deep: bool
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    top = 65535 if deep else 255
    dtype: Any = np.uint16 if deep else np.uint8
    clean = rng.integers(0, top + 1, (height, width, 3)).astype(dtype)
    marked = clean.copy()
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    window = slice(y, y + data.draw(st.integers(0, height))), slice(x, x + data.draw(st.integers(0, width)))
    marked[window] = rng.integers(0, top + 1, marked[window].shape)
    part = rng.random((height, width)) > 0.5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(legibility, "_STRIP_PIXELS", 7 * width)
        whole, some, none = compare_parts(clean, marked, [None, part, np.zeros_like(part)])
        apart = differences(clean, marked)
    assert none is None
    np.testing.assert_array_equal(apart, np.abs(clean.astype(int) - marked).max(axis=2))
    error = np.square(clean / top - marked / top).sum(axis=2) / 3
    luma = [(one / top @ np.array([0.299, 0.587, 0.114])).astype(np.float32) for one in (clean, marked)]
    similar = ssim_map(*luma)
    for found, chosen in ((whole, np.ones_like(part)), (some, part)):
        if not chosen.any():
            assert found is None
            continue
        assert found is not None
        mean = error[chosen].mean()
        assert found.psnr == pytest.approx(-10 * np.log10(mean) if mean else np.inf, abs=1e-3)
        assert found.ssim == pytest.approx(similar[chosen].mean(), abs=1e-4)
