from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from veil_samples import LOGO, veiled

from medlocker.evaluate import lay_panel
from medlocker.evaluate._quality import find_marked, measure_known_marks
from medlocker.geometry import Box
from medlocker.images import Kind, viewed
from medlocker.mark import Mark
from medlocker.marking import mark_pixels
from pictures import KINDS, make_image


def change(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(np.abs(a.astype(np.float64) - b).mean())


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("opacity", [0.05, 0.12, 0.2])
def test_a_panel_changes_as_much_as_a_veil_and_only_there(bits: int, opacity: float) -> None:
    image = make_image(height=120, width=160, bits=bits)
    box = Box(40, 30, 50, 40)
    marked = veiled(image, opacity=opacity, boxes=[box])
    mask = (image.pixels != marked).any(axis=2)
    panel = lay_panel(image.pixels, marked, mask)
    assert change(panel.colors, image.pixels) == pytest.approx(change(marked, image.pixels), rel=0.03)
    np.testing.assert_array_equal(panel.colors[~mask], image.pixels[~mask])
    assert 0 < panel.opacity < opacity + 0.1
    assert panel.colors.dtype == image.pixels.dtype


def test_a_panel_is_even_and_of_middle_grey() -> None:
    image = make_image(height=120, width=160)
    marked = veiled(image)
    panel = lay_panel(image.pixels, marked, np.ones((120, 160), bool))
    weight = round(panel.opacity * 65535)
    expected = (image.pixels.astype(np.int64) * (65535 - weight) + 128 * weight + 32767) // 65535
    np.testing.assert_array_equal(panel.colors, expected)


def test_what_no_grey_can_change_so_much_gets_the_most_of_it() -> None:
    image = make_image(height=120, width=160)
    clean = (image.pixels // 16) + 120  # grey already
    marked = np.where(np.arange(160)[:, None] % 2, 0, clean).astype(np.uint8)
    panel = lay_panel(clean, marked, np.ones((120, 160), bool))
    assert panel.opacity > 0.9
    assert (panel.colors == 128).all()


def test_of_a_few_logos_exactly_their_pixels_are_panelled() -> None:
    image = make_image(height=120, width=160)
    marked = mark_pixels(image, [Mark(x=20, y=30, size_px=50, opacity=12_000)], logo=LOGO).pixels
    mask = (image.pixels != marked).any(axis=2)
    panel = lay_panel(image.pixels, marked, mask)
    assert ((panel.colors != image.pixels).any(axis=2) & ~mask).sum() == 0
    assert change(panel.colors, image.pixels) == pytest.approx(change(marked, image.pixels), rel=0.03)


def test_without_a_mark_there_is_no_panel() -> None:
    pixels = make_image().pixels
    panel = lay_panel(pixels, pixels, np.zeros(pixels.shape[:2], bool))
    assert panel.opacity == 0
    np.testing.assert_array_equal(panel.colors, pixels)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [8, 16])
def test_pictures_of_every_kind_as_they_are_seen(kind: Kind, bits: int) -> None:
    image = make_image(kind, height=60, width=80, bits=bits)
    clean = viewed(image)
    marked = viewed(image, mark_pixels(image, [Mark(x=9, y=8, size_px=40, opacity=12_000)], logo=LOGO).pixels)
    found = find_marked(clean, marked, logo=LOGO)
    panel = lay_panel(clean, marked, found.mask)
    assert change(panel.colors, clean) == pytest.approx(change(marked, clean), rel=0.05)
    legibility = measure_known_marks(clean, marked, found).legibility
    assert 10 < legibility.psnr < 60
    assert 0 < legibility.ssim < 1
