"""Transforms and denoisers do what their names say, to clean and marked pictures alike."""

from __future__ import annotations

import numpy as np
import pytest
from removal_samples import gentle, marked_photograph, photograph

from medlocker.attacks import crop_middle, fewer_bits, jpeg, total_variation, wavelets
from medlocker.evaluate.removal import Evidence
from medlocker.evaluate.removal._transforms import denoising_attacks, transform_attacks

ATTACKS = [*transform_attacks(), *denoising_attacks()]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.facts.variants[0])
def test_each_variant_gives_one_picture_of_the_same_size_and_leaves_the_input(attack: object) -> None:
    assert isinstance(attack, type(ATTACKS[0]))
    one = marked_photograph(0)
    before = one.pixels.copy()
    made = attack.restore(one.evidence)
    assert tuple(made) == attack.facts.variants
    for picture in made.values():
        assert picture.shape == before.shape
        assert picture.dtype == np.uint8
    np.testing.assert_array_equal(one.pixels, before)


def test_transforms_but_none_change_something() -> None:
    pixels = photograph(1)
    nothing = np.zeros(pixels.shape[:2], np.bool_)
    for attack in ATTACKS:
        for name, picture in attack.restore(Evidence(pixels, nothing)).items():
            assert (picture != pixels).any() == (name != "none"), name


def test_jpeg_keeps_colours_in_order_and_is_worse_at_lower_quality() -> None:
    pixels = gentle(0)
    pixels[..., 0] //= 4  # red far from blue
    errors = [np.abs(jpeg(pixels, q).astype(float) - pixels).mean() for q in (95, 30)]
    assert errors[0] < 2
    assert errors[0] < errors[1] < 20


@pytest.mark.parametrize("denoise", [total_variation, wavelets])
def test_denoising_takes_noise_away_and_keeps_edges(denoise: object) -> None:
    assert callable(denoise)
    clean = np.full((64, 64, 3), 60, np.uint8)
    clean[:, 32:] = 180
    rng = np.random.default_rng(0)
    noisy = np.clip(clean + rng.normal(0, 8, clean.shape), 0, 255).astype(np.uint8)
    done = denoise(noisy).astype(float)
    before, after = (np.sqrt(np.mean((p - clean.astype(float)) ** 2)) for p in (noisy.astype(float), done))
    assert after < 0.6 * before
    assert done[:, 40:].mean() - done[:, :24].mean() > 100


def test_four_bits_leave_sixteen_levels() -> None:
    levels = np.unique(fewer_bits(np.arange(256, dtype=np.uint8).reshape(16, 16, 1)))
    assert len(levels) == 16
    assert levels[0] == 0
    assert levels[-1] == 255


def test_cropping_enlarges_the_middle() -> None:
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[15:25, 15:25] = 255
    assert (crop_middle(pixels, 0.5) > 127).mean() == pytest.approx(0.25, abs=0.03)
