"""Marks over the whole image are told from a few logos, and from files that were not stored without loss."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from veil_samples import LOGO, veiled

from medlocker.evaluate import measure_quality
from medlocker.evaluate._blocks import changed_blocks
from medlocker.evaluate._covering import is_covering
from medlocker.evaluate._quality import find_marked
from medlocker.formats import read_image
from medlocker.geometry import Box
from medlocker.images import Image, viewed
from medlocker.legibility import differences
from medlocker.logo import Logo
from medlocker.mark import Mark
from medlocker.marking import mark_pixels
from pictures import make_image


def covers(clean: NDArray[Any], marked: NDArray[Any], *, logo: Logo = LOGO) -> bool:
    return is_covering(clean, marked, differences(clean, marked), logo=logo)


def as_jpeg(pixels: NDArray[Any], quality: int) -> NDArray[np.uint8]:
    stream = io.BytesIO()
    Pillow.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return np.asarray(Pillow.open(stream))


@pytest.mark.parametrize("opacity", [0.06, 0.08, 0.12, 0.2])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_veil_covers(opacity: float, bits: int) -> None:
    image = make_image(height=200, width=240, bits=bits)
    assert covers(image.pixels, veiled(image, opacity=opacity))


def test_a_veil_covers_in_spite_of_keep_outs() -> None:
    image = make_image(height=200, width=240)
    boxes = [Box(20, 30, 80, 90), Box(150, 10, 60, 60), Box(130, 120, 70, 70)]
    found = find_marked(image.pixels, veiled(image, boxes=boxes), logo=LOGO)
    assert found.is_covering
    assert len(found.windows) == 1
    for box in boxes:
        assert not found.mask[box.y : box.bottom, box.x : box.right].any()


@pytest.mark.parametrize("letters", [False, True])
def test_a_lattice_without_a_ground_covers(letters: bool) -> None:
    image = make_image(height=240, width=288)
    logo = LOGO
    if letters:
        rgba = np.zeros((30, 50, 4), np.uint8)
        rgba[:, :10] = rgba[:, 20:30] = rgba[:, 40:] = 255
        logo = Logo(rgba)
    marked = veiled(image, ground=0, logo=logo)
    assert (image.pixels != marked).any(axis=2).mean() < 0.5
    assert covers(image.pixels, marked, logo=logo)


@pytest.mark.parametrize("quality", [50, 75, 95])
@pytest.mark.parametrize("places", [(), ((10, 20),), ((10, 20), (150, 20), (80, 130))])
def test_a_few_logos_do_not_cover_however_they_are_stored(
    quality: int, places: tuple[tuple[int, int], ...]
) -> None:
    image = make_image(height=200, width=240)
    marks = [Mark(x=x, y=y, size_px=60, opacity=52_000) for x, y in places]
    marked = mark_pixels(image, marks, logo=LOGO).pixels if marks else image.pixels
    assert not covers(image.pixels, marked)
    again = as_jpeg(marked, quality)
    assert (again != image.pixels).any(axis=2).mean() > 0.5
    assert not covers(image.pixels, again)
    found = find_marked(image.pixels, again, logo=LOGO)
    assert found.mask.mean() < 0.2  # what storing has changed is no mark


@pytest.mark.parametrize("quality", [75, 95])
def test_a_veil_covers_however_it_is_stored(quality: int) -> None:
    image = make_image(height=200, width=240)
    assert covers(image.pixels, as_jpeg(veiled(image), quality))


def test_nothing_covers_nothing() -> None:
    pixels = make_image().pixels
    assert not covers(pixels, pixels)
    noise = np.random.default_rng(0).integers(-1, 2, pixels.shape)
    assert not covers(pixels, np.clip(pixels + noise, 0, 255).astype(np.uint8))
    tiny = make_image(height=3, width=3).pixels
    assert not covers(tiny, tiny ^ 1)


def test_a_covering_mark_is_one_mark_over_all_that_differs() -> None:
    image = make_image(height=200, width=240)
    box = Box(0, 0, 240, 16)
    marked = veiled(image, boxes=[box])
    found, windows = measure_quality(image.pixels, marked, logo=LOGO, boxes=[box])
    assert windows == (Box(0, 16, 240, 184),)
    assert (found.is_covering, found.marks, found.touched, found.psnr_outside) == (True, 1, 0, np.inf)
    assert found.psnr_inside is not None
    error = np.square((image.pixels.astype(float) - marked) / 255).mean()
    assert found.legibility.psnr == pytest.approx(-10 * np.log10(error), abs=1e-3)


def read(pixels: NDArray[Any], **options: Any) -> Image:
    stream = io.BytesIO()
    Pillow.fromarray(pixels).save(stream, "JPEG", quality=90, **options)
    return read_image(stream.getvalue(), name="a.jpg")


def test_a_veil_on_jpeg_covers_as_stored() -> None:
    image = make_image(height=200, width=240)
    clean, marked = read(image.pixels, subsampling=2), read(veiled(image), subsampling=2)
    found, windows = measure_quality(
        viewed(clean), viewed(marked), logo=LOGO, blocks=changed_blocks(clean, marked)
    )
    assert (found.is_covering, found.in_blocks, len(windows)) == (True, True, 1)
    assert found.area > 0.9


def test_six_large_logos_are_not_many_parts() -> None:
    image = make_image(height=300, width=330)
    marks = [Mark(x=110 * k, y=150 * row, size_px=90, opacity=52_000) for k in range(3) for row in range(2)]
    changed = (image.pixels != mark_pixels(image, marks, logo=LOGO).pixels).any(axis=2)
    assert 0.1 < changed.mean() < 0.4
    assert not covers(image.pixels, mark_pixels(image, marks, logo=LOGO).pixels)
