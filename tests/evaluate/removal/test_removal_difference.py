"""The attack that merges two versions of one image."""

from __future__ import annotations

import numpy as np
from removal_samples import LOGO, gentle, marked_photograph, photograph, put

from medlocker.attacks import changed, widened
from medlocker.evaluate.removal._difference import DifferenceAttack, another_version
from medlocker.evaluate.removal._evidence import Evidence
from medlocker.evaluate.removal._item import Item, ScaledImage
from medlocker.mark import Mark


def test_two_versions_give_the_original_exactly() -> None:
    one = marked_photograph(3)
    second = another_version(one.clean, one.mask, LOGO, np.random.default_rng(0))
    assert second is not None
    elsewhere = changed(one.clean, second)
    assert elsewhere.any()
    evidence = Evidence(one.pixels, widened(one.mask, 2), LOGO, second)
    merged = DifferenceAttack().restore(evidence)["two versions merged"]
    assert not (elsewhere & one.mask).any()
    np.testing.assert_array_equal(merged[one.mask], one.clean[one.mask])


def test_no_second_version_where_there_is_no_room() -> None:
    one = put(gentle(0, 64), (Mark(4, 4, 56, 40000),))
    assert another_version(one.clean, one.mask, LOGO, np.random.default_rng(0)) is None
    assert another_version(one.clean, np.zeros_like(one.mask), LOGO, np.random.default_rng(0)) is None
    alone = DifferenceAttack().restore(one.evidence)["two versions merged"]
    np.testing.assert_array_equal(alone, one.pixels)


def test_an_exhibit_shows_sixteen_bits_as_eight_and_shrinks_once() -> None:
    clean = photograph(0).astype(np.uint16) * 257
    marked = clean.copy()
    marked[20:40, 30:60] = 65535
    exhibit = ScaledImage(Item("a", clean, marked, (0,)), LOGO)
    np.testing.assert_array_equal(exhibit.clean, photograph(0))
    assert exhibit.evidence(96).marked.shape == (96, 96, 3)
    assert exhibit.evidence(96) is exhibit.evidence(96)
    assert exhibit.mask[20:40, 30:60].all()
    assert exhibit.mask.sum() < 1.2 * 20 * 30
