"""Who knows the logo undoes plain marks and fails on hardened ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from removal_samples import LOGO, each, gentle, marked_photograph, put

from medlocker.evaluate.removal import STANDARD_TEXTURE, STANDARD_WARP, Evidence
from medlocker.evaluate.removal._known import Finder, KnownLogoAttack, WarpAttack
from medlocker.logo import Logo
from medlocker.mark import Mark
from medlocker.protect import STANDARD_HARDENING, Harden


def test_the_attacker_knows_what_harden_does() -> None:
    assert Harden(warp=STANDARD_WARP, texture=STANDARD_TEXTURE) == STANDARD_HARDENING


def test_plain_marks_are_restored_almost_exactly() -> None:
    found = [one.psnr(KnownLogoAttack(Finder()).restore(one.evidence)["logo inverted"]) for one in each(3)]
    assert min(found) > 40


def test_all_of_several_marks_are_found_in_one_image() -> None:
    one = marked_photograph(4, count=2)
    finder = Finder()
    restored = KnownLogoAttack(finder).restore(one.evidence)["logo inverted"]
    assert one.psnr(restored) > 40
    guesses = {
        (m.window[1].start + m.inverted.guess.x, m.inverted.guess.size_px) for m in finder(one.evidence)
    }
    assert guesses == {(mark.x, 48) for mark in one.marks}


@pytest.mark.parametrize("degrees", [7, -15, 90, 137])
def test_turned_marks_are_found_and_undone(degrees: int) -> None:
    one = marked_photograph(abs(degrees), degrees=degrees)
    finder = Finder()
    assert one.psnr(KnownLogoAttack(finder).restore(one.evidence)["logo inverted"]) > 40
    rotation = finder(one.evidence)[0].inverted.guess.rotation
    assert round(rotation * 360 / 65536) == degrees % 360


def test_the_warp_of_a_turned_mark_is_fitted() -> None:
    one = marked_photograph(90, degrees=137, size_px=80, side=320, harden=Harden(warp=STANDARD_WARP))
    finder = Finder()
    blind = one.psnr(KnownLogoAttack(finder).restore(one.evidence)["logo inverted"])
    fitted = one.psnr(WarpAttack(finder).restore(one.evidence)["warp fitted"])
    assert fitted > max(blind + 5, 20)


def test_marks_that_touch_are_found_one_after_the_other() -> None:
    clean = gentle(1, 160)
    one = put(clean, (Mark(20, 40, 48, 45000), Mark(66, 50, 48, 42000)))
    restored = KnownLogoAttack(Finder()).restore(one.evidence)["logo inverted"]
    assert one.psnr(restored) > 30


def test_hardened_marks_withstand() -> None:
    for one in each(3, harden=STANDARD_HARDENING):
        finder = Finder()
        made = KnownLogoAttack(finder).restore(one.evidence) | WarpAttack(finder).restore(one.evidence)
        scores = {name: one.psnr(picture) for name, picture in made.items()}
        # weighing looks at the surroundings too, and smooth ones need no mark to tell what is under it
        assert max(v for name, v in scores.items() if "weighed" not in name) < 30, scores


def test_fitting_the_warp_undoes_a_warp_without_texture() -> None:
    blind, fitted = [], []
    for one in each(3, harden=Harden(warp=STANDARD_WARP)):
        finder = Finder()
        blind.append(one.psnr(KnownLogoAttack(finder).restore(one.evidence)["logo inverted"]))
        fitted.append(one.psnr(WarpAttack(finder).restore(one.evidence)["warp fitted"]))
    assert np.median(blind) < 25
    assert np.median(fitted) > 30


def test_fitting_leaves_a_plain_mark_to_the_plain_inversion() -> None:
    one = marked_photograph(1)
    made = WarpAttack(Finder()).restore(one.evidence)
    assert one.psnr(made["warp fitted"]) > 40
    assert one.psnr(made["warp fitted, colours weighed"]) > 38


def test_grey_images_carry_a_grey_logo() -> None:
    grey = np.repeat(gentle(2, 128)[..., :1], 3, axis=2)
    rgba = LOGO.rgba.copy()
    level = np.round(rgba[..., :3] @ np.array([0.299, 0.587, 0.114]))
    rgba[..., :3] = level[..., None]
    one = put(grey, (Mark(40, 30, 48, 45000),), logo=Logo(rgba))
    assert one.psnr(KnownLogoAttack(Finder()).restore(one.evidence)["logo inverted"]) > 40


@pytest.mark.parametrize("attack", [KnownLogoAttack(Finder()), WarpAttack(Finder())])
def test_without_a_logo_or_a_mark_nothing_changes(attack: KnownLogoAttack | WarpAttack) -> None:
    one = marked_photograph(0)
    nobody = replace(one.evidence, logo=None)
    unmarked = Evidence(one.clean, np.zeros_like(one.mask), LOGO)
    for evidence in (nobody, unmarked):
        for picture in attack.restore(evidence).values():
            np.testing.assert_array_equal(picture, evidence.marked)


def test_the_finder_looks_once_at_each_image() -> None:
    finder, one = Finder(), marked_photograph(0).evidence
    assert finder(one) is finder(one)
    other = marked_photograph(1).evidence
    assert finder(other) is not finder(one)
