"""Attacks in a search's loop: chosen by name, judged on the written file."""

from __future__ import annotations

import re

import numpy as np
import pytest

from medlocker.attacks import ATTACK_NAMES, fill_harmonic, jpeg
from medlocker.errors import InputError
from medlocker.images import Image
from medlocker.protect import Settings
from medlocker.protect._robustness import attacked_views, attacks_for, attacks_survived
from medlocker.testing import LinearClassifier


def picture(side: int, *, deep: bool = False) -> Image:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 65536 if deep else 256, (side, side, 3))
    return Image(values.astype(np.uint16 if deep else np.uint8), "rgb", "png", b"")


def test_names_are_checked() -> None:
    assert Settings(preset="strong", against=ATTACK_NAMES).against == ATTACK_NAMES
    expected = "expected an attack of jpeg, blur, resize, crop, flip, denoise, inpaint, got 'sharpen'"
    with pytest.raises(InputError, match=f"^{re.escape(expected)}$"):
        Settings(preset="strong", against=("jpeg", "sharpen"))
    with pytest.raises(InputError, match=r"^expected no attack twice$"):
        Settings(preset="strong", against=("jpeg", "jpeg"))


def test_each_attack_adds_the_cost_of_the_search() -> None:
    plain = Settings(preset="strong").budget_for(2)
    assert Settings(preset="strong", against=("jpeg", "blur")).budget_for(2) == 3 * plain
    assert (
        Settings(preset="strong", against=("jpeg", "resize"), bear_shrinking=True).budget_for(2) == 3 * plain
    )
    assert Settings(preset="strong", against=("jpeg", "blur"), budget=7).budget_for(2) == 7


def test_shrinking_is_borne_only_where_it_matters() -> None:
    model = LinearClassifier(size=32)
    shrinking = Settings(preset="strong", bear_shrinking=True)
    assert attacks_for(shrinking, picture(64), [model]) == ("resize",)
    assert attacks_for(shrinking, picture(96), [model]) == ()
    both = Settings(preset="strong", bear_shrinking=True, against=("resize", "jpeg"))
    assert attacks_for(both, picture(64), [model]) == ("resize", "jpeg")


def test_the_views_are_the_file_and_the_file_after_each_attack() -> None:
    clean = picture(48)
    marked_pixels = clean.pixels.copy()
    marked_pixels[10:20, 12:30] = 200
    marked = Image(marked_pixels, "rgb", "png", b"")
    plain, compressed, filled = attacked_views(clean, marked, ("jpeg", "inpaint"))
    np.testing.assert_array_equal(plain, marked_pixels)
    np.testing.assert_array_equal(compressed, jpeg(marked_pixels, 75))
    mask = np.zeros((48, 48), np.bool_)
    mask[8:22, 10:32] = True  # two pixels wider than the mark
    np.testing.assert_array_equal(filled, fill_harmonic(marked_pixels, mask))


def test_deep_images_are_attacked_in_eight_bits() -> None:
    clean = picture(32, deep=True)
    plain, compressed = attacked_views(clean, clean, ("jpeg",))
    assert [view.dtype.itemsize for view in (plain, compressed)] == [2, 1]


def test_withstood_is_what_misleads_every_model() -> None:
    answers = np.array([[1, 1], [1, 0], [1, 1]])
    assert attacks_survived(("jpeg", "blur"), answers, (0, 0)) == ("blur",)
    assert attacks_survived((), answers[:1], (0, 0)) == ()
