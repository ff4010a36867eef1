"""What is seen of a change: grey levels as shown, whatever the depth, window or size."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dicom_samples import Sample, write
from medlocker.formats import read_image
from medlocker.images import Image, rgb_to_ybr
from medlocker.protect.legibility import visible_change
from pictures import KINDS, make_image


def levels(image: Image, by: int) -> Image:
    """The same image, all its colours moved by some grey levels of 255."""
    pixels = image.pixels.copy()
    colors = image.color_channels
    scale = 1 if image.bits == 8 else 257
    moved = pixels[..., :colors].astype(np.int64) + by * scale
    pixels[..., :colors] = moved.clip(0, 255 * scale)
    return replace(image, pixels=pixels)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "palette"])
@pytest.mark.parametrize("bits", [8, 16])
def test_ten_levels_are_ten_levels_at_any_depth(kind: Any, bits: int) -> None:
    dtype: Any = np.uint8 if bits == 8 else np.uint16
    image = make_image(kind, bits=bits)
    flat = replace(image, pixels=np.full(image.pixels.shape, 100 if bits == 8 else 25700, dtype))
    seen = visible_change(flat, levels(flat, 10))
    assert seen.psnr_db == pytest.approx(20 * math.log10(255 / 10), abs=0.01)
    assert seen.area == 1
    assert visible_change(flat, levels(flat, -10)).psnr_db == pytest.approx(seen.psnr_db)


def test_what_is_the_same_is_the_same() -> None:
    image = make_image()
    seen = visible_change(image, image)
    assert (seen.psnr_db, seen.area) == (math.inf, 0)


def test_alpha_is_not_seen() -> None:
    image = make_image("rgba")
    pixels = image.pixels.copy()
    pixels[..., 3] ^= 255
    assert visible_change(image, replace(image, pixels=pixels)).area == 0


def test_half_the_pixels() -> None:
    image = make_image("rgb")
    pixels = image.pixels.copy()
    pixels[:24, :, 1] ^= 16  # one channel of three
    seen = visible_change(image, replace(image, pixels=pixels))
    assert seen.area == 0.5
    assert seen.psnr_db == pytest.approx(20 * math.log10(255 / 16) + 10 * math.log10(6), abs=0.01)


def test_a_palette_is_looked_up() -> None:
    image = make_image("palette")
    assert image.palette is not None
    black, white = replace(image, pixels=np.zeros_like(image.pixels)), np.full_like(image.pixels, 215)
    seen = visible_change(black, replace(image, pixels=white))
    assert (seen.psnr_db, seen.area) == (0, 1)


def shown(words: Any, **elements: Any) -> Image:
    return read_image(write(Sample(words[None, ..., None], stored=12, elements=elements)), name="x")


def test_a_window_is_looked_through() -> None:
    words = np.full((40, 40), 2000, np.uint16)
    window = {"WindowCenter": "2000", "WindowWidth": "510"}
    before, after = shown(words, **window), shown(words + 20, **window)
    # 20 of 510 samples are 10 of 255 levels
    assert visible_change(before, after).psnr_db == pytest.approx(20 * math.log10(255 / 10), abs=0.1)
    beyond = shown(words - 1500, **window), shown(words - 1400, **window)
    assert visible_change(*beyond).area == 0


def test_reversed_grey_and_luminance_are_as_shown() -> None:
    image = make_image("grey", white_is_zero=True)
    assert visible_change(image, levels(image, 3)).area > 0.9
    colors = np.full((40, 40, 3), 90, np.uint8)
    pair = [Image(rgb_to_ybr(part), "rgb", "dicom", b"", ybr=True) for part in (colors, colors + 12)]
    assert visible_change(*pair).psnr_db == pytest.approx(20 * math.log10(255 / 12), abs=0.7)


def test_large_pictures_are_sampled() -> None:
    image = Image(np.zeros((3000, 2000, 1), np.uint8), "grey", "png", b"")
    pixels = image.pixels.copy()
    pixels[:1500] = 10
    seen = visible_change(image, replace(image, pixels=pixels))
    assert seen.area == pytest.approx(0.5, abs=0.01)
