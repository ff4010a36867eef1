from __future__ import annotations

import base64
import re
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medlocker.errors import InputError
from medlocker.images import Image
from medlocker.logo import builtin_logo, overlay_matrix, pack_overlay, render, unpack_overlay
from medlocker.mark import Mark
from medlocker.marking import mark_pixels, unmark_pixels

LOGO = builtin_logo()


def cells(rows: int, cols: int, seed: int = 0, bound: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(-bound, bound + 1, (rows, cols, 3)).astype(np.int8)


@given(st.integers(1, 128), st.integers(1, 128), st.integers(1, 127), st.integers(0, 99))
def test_packing_keeps_every_value(rows: int, cols: int, bound: int, seed: int) -> None:
    wanted = cells(rows, cols, seed, bound)
    assert np.array_equal(unpack_overlay(pack_overlay(wanted)), wanted)


def test_sizes_and_values_out_of_range_are_refused() -> None:
    for wrong in (np.zeros((129, 1, 3), np.int8), np.full((2, 2, 3), -128, np.int8)):
        with pytest.raises(
            InputError, match=r"^overlay: expected at most 128 x 128 x 3 levels of -127 to 127$"
        ):
            pack_overlay(wrong)


def packed(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw)).decode("ascii")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("!", "overlay: expected base64 of deflate"),
        (base64.b64encode(b"nothing").decode(), "overlay: expected base64 of deflate"),
        (packed(b""), "overlay: expected whole deflate data"),
        (packed(bytes((2, 2, 0))), "overlay: expected two sizes and that many levels"),
        (packed(bytes((0, 2))), "overlay: expected two sizes and that many levels"),
        (packed(bytes((1, 1, 0x80, 0, 0))), "overlay: expected levels of -127 to 127"),
        (packed(bytes(10_000_000)), "overlay: expected whole deflate data"),
        ("A" * 100_000, "overlay: expected at most 98304 characters, got 100000"),
    ],
)
def test_hostile_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"^{re.escape(message)}$"):
        unpack_overlay(text)
    with pytest.raises(InputError, match=rf"^{re.escape(message)}$"):
        Mark(x=0, y=0, size_px=10, opacity=1, overlay=text)


def test_a_mark_without_overlay_has_no_such_field() -> None:
    plain = Mark(x=1, y=2, size_px=10, opacity=9)
    textured = Mark(x=1, y=2, size_px=10, opacity=9, overlay=pack_overlay(cells(3, 3)))
    assert "overlay" not in plain.to_json()
    assert Mark.from_json(plain.to_json()) == plain
    assert Mark.from_json(textured.to_json()) == textured
    with pytest.raises(InputError, match=r"^mark: expected the fields"):
        Mark.from_json({**plain.to_json(), "overlay": ""})


def test_an_overlay_stays_on_the_logo_and_within_its_bound() -> None:
    plain = render(LOGO, 60)
    textured = render(LOGO, 60, overlay=pack_overlay(cells(20, 20, bound=32)))
    assert np.array_equal(plain.coverage, textured.coverage)
    change = textured.color.astype(int) - plain.color.astype(int)
    assert np.abs(change).max() <= 32
    assert np.abs(change).mean() > 3
    assert not change[plain.coverage == 0].any()


def test_one_cell_shifts_the_whole_logo() -> None:
    grey = np.full((1, 1, 3), 7, np.int8)
    change = render(LOGO, 40, overlay=pack_overlay(grey)).color.astype(int) - render(LOGO, 40).color
    dark = render(LOGO, 40).color.max(axis=2) < 200
    assert set(np.unique(change[dark & (render(LOGO, 40).coverage > 0)])) == {7}


def test_the_matrix_spreads_as_the_rendering_does() -> None:
    wanted = overlay_matrix(50, 7, step=1)
    assert np.allclose(wanted.sum(axis=1), 1)
    ramp = np.repeat((np.arange(7, dtype=np.int8) * 10)[:, None, None], 3, axis=2)
    shown = render(LOGO, 50, overlay=pack_overlay(ramp)).color.astype(int) - render(LOGO, 50).color
    column = shown[:, 25, 1]
    inside = render(LOGO, 50).color[:, 25, 1] < 150
    assert np.abs(column - wanted @ (np.arange(7) * 10))[inside].max() <= 1


@given(st.integers(0, 1000), st.sampled_from([8, 16]), st.sampled_from([20000, 52428, 65535]))
def test_textured_marks_come_off_exactly(seed: int, bits: int, opacity: int) -> None:
    rng = np.random.default_rng(seed)
    kind = np.uint8 if bits == 8 else np.uint16
    pixels = rng.integers(0, np.iinfo(kind).max + 1, (40, 50, 3)).astype(kind)
    image = Image(pixels, "rgb", "png", b"")
    marks = [
        Mark(x=3, y=4, size_px=20, opacity=opacity, overlay=pack_overlay(cells(6, 6, seed))),
        Mark(x=20, y=10, size_px=24, opacity=opacity, overlay=pack_overlay(cells(9, 5, seed + 1))),
    ]
    marked = mark_pixels(image, marks, logo=LOGO)
    again = Image(marked.pixels, "rgb", "png", b"")
    assert not np.array_equal(marked.pixels, pixels)
    assert np.array_equal(unmark_pixels(again, marks, logo=LOGO, residual=marked.residual), pixels)
