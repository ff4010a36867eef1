"""Filling a mark in from its surroundings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from removal_samples import Bytes, Marked, gentle, marked_photograph, put

from medlocker.attacks import smoothest
from medlocker.evaluate.removal import fill_biharmonic, fill_harmonic, fill_mean, fill_telea
from medlocker.evaluate.removal._fill import FillAttack
from medlocker.mark import Mark
from medlocker.protect import STANDARD_HARDENING


def smooth_mark(side: int = 96, size_px: int = 32) -> Marked:
    return put(gentle(3, side), (Mark(30, 24, size_px, 60000),))


@pytest.mark.parametrize(
    ("fill", "least"), [(fill_mean, 25), (fill_telea, 33), (fill_harmonic, 45), (fill_biharmonic, 45)]
)
def test_slopes_are_restored_from_outside(fill: Callable[..., Bytes], least: float) -> None:
    one = smooth_mark()
    done = fill(one.pixels, one.evidence.mask)
    assert one.psnr(done) > least
    np.testing.assert_array_equal(done[~one.evidence.mask], one.pixels[~one.evidence.mask])


@pytest.mark.parametrize("order", [1, 2])
def test_large_fillings_are_solved_small_and_still_fit_their_edges(order: int) -> None:
    clean = gentle(5, 260).astype(np.float32)
    inside = np.zeros(clean.shape[:2], np.bool_)
    inside[40:220, 60:240] = True
    holed = np.where(inside[..., None], 0, clean).astype(np.float32)
    assert np.abs(smoothest(holed, inside, order=order) - clean).max() < 2


def test_biharmonic_continues_a_curve_that_harmonic_flattens() -> None:
    y, x = np.mgrid[0:64, 0:64] / 63 - 0.5
    clean = np.repeat((200 - 300 * (x**2 + y**2))[..., None], 3, axis=2).astype(np.float32)
    inside = np.zeros((64, 64), np.bool_)
    inside[20:44, 20:44] = True
    holed = np.where(inside[..., None], 0, clean).astype(np.float32)
    errors = [np.abs(smoothest(holed, inside, order=k) - clean).max() for k in (1, 2)]
    assert errors[1] < 2
    assert errors[0] > 4 * errors[1]


def test_fillings_never_look_at_the_mark() -> None:
    plain, hard = marked_photograph(2), marked_photograph(2, harden=STANDARD_HARDENING)
    mask = plain.evidence.mask | hard.evidence.mask
    for way in (fill_mean, fill_harmonic, fill_telea, fill_biharmonic):
        np.testing.assert_array_equal(way(plain.pixels, mask), way(hard.pixels, mask))


@pytest.mark.parametrize("everywhere", [False, True])
def test_masks_of_nothing_or_everything_are_borne(everywhere: bool) -> None:
    pixels, mask = gentle(0, 32), np.full((32, 32), everywhere)
    for way in (fill_mean, fill_harmonic, fill_telea, fill_biharmonic):
        done = way(pixels, mask)
        assert done.shape == pixels.shape
        if not everywhere:
            np.testing.assert_array_equal(done, pixels)


def test_the_attack_names_its_ways() -> None:
    one = smooth_mark()
    made = FillAttack().restore(one.evidence)
    assert tuple(made) == FillAttack.facts.variants
    assert one.psnr(made["filled, harmonic"]) > 45
