"""Many images under one mark give it away, unless each is warped by its own key."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from removal_samples import LOGO, Marked, each, marked_photograph, photograph, put

from medlocker.evaluate.removal import Evidence, Item
from medlocker.evaluate.removal._align import pose_guesses
from medlocker.evaluate.removal._averaged import AveragedTextureLearner
from medlocker.evaluate.removal._evidence import Attack
from medlocker.evaluate.removal._item import ScaledImage
from medlocker.evaluate.removal._known import Finder
from medlocker.evaluate.removal._matting import MattingLearner
from medlocker.logo import Logo, pack_overlay
from medlocker.mark import Mark
from medlocker.protect import STANDARD_HARDENING, Harden

COUNT = 8


def unknown(one: Marked) -> Evidence:
    """What somebody has who does not know the logo."""
    return replace(one.evidence, logo=None)


def learn(crowd: list[Marked]) -> Attack:
    return MattingLearner().learn([unknown(one) for one in crowd], public=(), seed=0)


@pytest.fixture(scope="module")
def plain() -> list[Marked]:
    return list(each(COUNT))


@pytest.fixture(scope="module")
def learned(plain: list[Marked]) -> Attack:
    return learn(plain)


@pytest.fixture(scope="module")
def undone(learned: Attack, plain: list[Marked]) -> list[float]:
    return scores(learned, plain)


def scores(attack: Attack, crowd: list[Marked]) -> list[float]:
    return [one.psnr(next(iter(attack.restore(unknown(one)).values()))) for one in crowd]


def test_plain_marks_are_learned_from_many_images_and_taken_off(undone: list[float]) -> None:
    assert np.median(undone) > 30
    assert min(undone) > 24


def test_the_learned_mark_comes_off_an_image_that_was_not_studied(plain: list[Marked]) -> None:
    assert scores(learn(plain[1:]), plain[:1])[0] > 28


def test_another_logo_of_several_colours_is_learned_as_well() -> None:
    rgba = np.zeros((60, 60, 4), np.uint8)
    rgba[..., 3] = 255
    rgba[:, :20], rgba[:, 20:40], rgba[:, 40:] = (
        (220, 30, 30, 255),
        (250, 250, 250, 255),
        (20, 60, 200, 255),
    )
    rgba[20:40, 5:15] = (0, 0, 0, 255)
    crowd = []
    for seed in range(COUNT):
        rng = np.random.default_rng([44, seed])
        x, y = (int(v) for v in rng.integers(10, 130, 2))
        mark = Mark(x, y, 40, round(float(rng.uniform(0.4, 0.8)) * 65535))
        crowd.append(put(photograph(seed), (mark,), logo=Logo(rgba)))
    assert np.median(scores(learn(crowd), crowd)) > 28


def test_marks_turned_differently_are_turned_back_and_learned() -> None:
    # a turn of each image costs the attacker quality, not the attack
    turns = np.random.default_rng(1).integers(-15, 16, COUNT)
    crowd = [marked_photograph(k, side=256, size_px=80, degrees=int(d)) for k, d in enumerate(turns)]
    attack = learn(crowd)
    gains = [after - one.psnr(one.pixels) for after, one in zip(scores(attack, crowd), crowd, strict=True)]
    assert np.median(gains) > 8


def test_turns_are_found_to_a_degree() -> None:
    turns = np.random.default_rng(2).integers(-15, 16, 8)
    crowd = [marked_photograph(k, side=256, size_px=80, degrees=int(d)) for k, d in enumerate(turns)]
    images = []
    for one in crowd:
        rows, cols = one.evidence.windows()[0]
        y, x = (rows.start + rows.stop) // 2, (cols.start + cols.stop) // 2
        padded = np.pad(one.pixels, ((64, 64), (64, 64), (0, 0)), mode="edge")
        images.append(padded[y + 64 - 56 : y + 64 + 56, x + 64 - 56 : x + 64 + 56])
    found = np.array(pose_guesses(images)) + turns
    assert np.ptp(found) <= 2
    upright = [images[0]] * 4
    assert pose_guesses(upright) == [0] * 4


def test_warp_and_texture_by_a_key_of_each_image_withstand() -> None:
    crowd = list(each(COUNT, harden=STANDARD_HARDENING))
    assert np.median(scores(learn(crowd), crowd)) < 22


def test_the_warp_alone_withstands_matting(undone: list[float]) -> None:
    crowd = list(each(COUNT, harden=Harden(warp=STANDARD_HARDENING.warp)))
    assert np.median(scores(learn(crowd), crowd)) < np.median(undone) - 6


def test_marks_of_another_size_and_too_few_images_are_borne(learned: Attack, plain: list[Marked]) -> None:
    larger = next(each(1, size_px=64))
    restored = learned.restore(unknown(larger))["matting"]
    assert larger.psnr(restored) > larger.psnr(larger.pixels) + 3
    nothing = learn(plain[:2]).restore(unknown(plain[0]))["matting"]
    np.testing.assert_array_equal(nothing, plain[0].pixels)


def test_a_texture_learned_once_for_all_images_is_averaged_out() -> None:
    rng = np.random.default_rng(5)
    cells = rng.choice(np.array([-32, 32], np.int8), size=(12, 12, 3))
    crowd = []
    for seed in range(5):
        x, y = (int(v) for v in rng.integers(10, 130, 2))
        mark = Mark(x, y, 48, round(float(rng.uniform(0.5, 0.8)) * 65535), overlay=pack_overlay(cells))
        crowd.append(put(photograph(seed), (mark,)))
    finder = Finder()
    attack = AveragedTextureLearner(finder).learn([one.evidence for one in crowd], public=(), seed=0)
    averaged, plain = [], []
    for one in crowd:
        averaged.append(one.psnr(attack.restore(one.evidence)["texture averaged"]))
        inverted = finder(one.evidence)[0]
        restored = one.pixels.copy()
        restored[inverted.window] = inverted.inverted.restored
        plain.append(one.psnr(restored))
    assert np.median(averaged) > 29
    assert np.median(averaged) > np.median(plain) + 6


def test_nothing_is_averaged_without_a_logo(plain: list[Marked]) -> None:
    finder = Finder()
    learner = AveragedTextureLearner(finder)
    attack = learner.learn([unknown(one) for one in plain], public=(), seed=0)
    done = attack.restore(plain[0].evidence)["texture averaged"]
    np.testing.assert_array_equal(done, plain[0].pixels)
    assert LOGO.rgba.any()


def test_several_marks_of_one_image_are_studied_one_by_one() -> None:
    crowd = [marked_photograph(k, count=2, side=224) for k in range(6)]
    items = [Item(str(k), one.clean, one.pixels, (0,)) for k, one in enumerate(crowd)]
    parts = [part for item in items for part in ScaledImage(item, LOGO).surroundings()]
    assert len(parts) == 12
    attack = MattingLearner().learn(parts, public=(), seed=0)
    assert np.median([one.psnr(attack.restore(one.evidence)["matting"]) for one in crowd]) > 26
