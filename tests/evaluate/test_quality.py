from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from medlocker.evaluate import measure_quality, ssim_map
from medlocker.geometry import Box
from medlocker.images import viewed
from medlocker.logo import builtin_logo
from medlocker.mark import Mark
from medlocker.marking import mark_pixels
from pictures import make_image

LOGO = builtin_logo()


def slow_ssim(a: NDArray[np.float64], b: NDArray[np.float64], y: int, x: int) -> float:
    """The formula of Wang et al. at one pixel, term by term."""
    offsets = np.arange(-5, 6)
    weights = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    p, q = a[y - 5 : y + 6, x - 5 : x + 6], b[y - 5 : y + 6, x - 5 : x + 6]
    mp, mq = (weights * p).sum(), (weights * q).sum()
    vp, vq = (weights * (p - mp) ** 2).sum(), (weights * (q - mq) ** 2).sum()
    cov = (weights * (p - mp) * (q - mq)).sum()
    return float((2 * mp * mq + 1e-4) * (2 * cov + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4)))


def test_ssim_is_the_published_formula() -> None:
    rng = np.random.default_rng(0)
    a = rng.random((24, 30))
    b = np.clip(a + rng.normal(0, 0.2, a.shape), 0, 1)
    found = ssim_map(a.astype(np.float32), b.astype(np.float32))
    for y, x in ((5, 5), (12, 20), (18, 24)):
        assert found[y, x] == pytest.approx(slow_ssim(a, b, y, x), abs=1e-4)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("place", [(0, 0), (60, 40), (130, 90)])
def test_numbers_of_a_marked_image(bits: int, place: tuple[int, int]) -> None:
    image = make_image(height=120, width=160, bits=bits)
    marks = [Mark(x=place[0], y=place[1], size_px=30, opacity=50_000)]
    marked = mark_pixels(image, marks, logo=LOGO).pixels
    found, windows = measure_quality(image.pixels, marked, logo=LOGO, boxes=[Box(0, 100, 5, 5)])
    changed = (image.pixels != marked).any(axis=2)
    peak = 255 if bits == 8 else 65535
    error = np.square((image.pixels.astype(float) - marked) / peak)[changed].mean()
    luma = [
        (pixels.astype(float) @ [0.299, 0.587, 0.114] / peak).astype(np.float32)
        for pixels in (image.pixels, marked)
    ]
    whole = ssim_map(*luma)
    assert found.area == pytest.approx(changed.mean())
    assert found.psnr_outside == np.inf
    assert found.psnr_inside == pytest.approx(-10 * np.log10(error), abs=1e-3)
    assert found.ssim == pytest.approx(whole.mean(), abs=1e-5)
    assert found.ssim_inside == pytest.approx(whole[changed].mean(), abs=1e-5)
    assert (found.touched, found.marks) == (0, 1)
    assert windows == (Box(*place, 30, 30),)


def test_touched_pixels_are_counted() -> None:
    image = make_image(height=60, width=60)
    marked = image.pixels.copy()
    marked[10:20, 10:20] ^= 64
    found, _ = measure_quality(
        image.pixels, marked, logo=LOGO, boxes=[Box(15, 15, 10, 10), Box(18, 18, 10, 10)]
    )
    assert found.touched == 25


def test_identical_images() -> None:
    pixels = make_image().pixels
    found, windows = measure_quality(pixels, pixels, logo=LOGO)
    assert (found.area, found.psnr_outside, found.psnr_inside, found.ssim) == (0, np.inf, None, 1)
    assert (found.touched, windows) == (None, ())


def test_a_lossy_copy_shows_outside_the_mark() -> None:
    image = make_image(height=160, width=160)
    marked: NDArray[Any] = mark_pixels(
        image, [Mark(x=20, y=30, size_px=60, opacity=60_000)], logo=LOGO
    ).pixels
    noise = np.random.default_rng(0).integers(-2, 3, marked.shape)
    found, windows = measure_quality(
        image.pixels, np.clip(marked + noise, 0, 255).astype(np.uint8), logo=LOGO
    )
    assert found.area > 0.9
    assert 40 < found.psnr_outside < 50
    assert found.psnr_inside is not None
    assert found.psnr_inside < 20
    (window,) = windows
    assert abs(window.x - 20) + abs(window.y - 30) < 12
    assert 50 <= max(window.width, window.height) <= 64


def test_stored_kinds_are_compared_as_seen() -> None:
    image = make_image("palette")
    other = image.pixels.copy()
    other[3, 4, 0] = (int(other[3, 4, 0]) + 1) % 216
    found, _ = measure_quality(viewed(image), viewed(image, other), logo=LOGO)
    assert found.area == pytest.approx(1 / other[..., 0].size)
