"""The random marks that attackers learn from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from removal_samples import LOGO, Bytes, gentle, photograph

from medlocker.errors import InputError
from medlocker.evaluate._covering import is_covering
from medlocker.evaluate.removal import Kind, MarkPainter
from medlocker.evaluate.removal._painter import KINDS, kinds_of
from medlocker.legibility import differences
from medlocker.veilstyle import DEFAULT_STYLE


def paint(kind: Kind, seed: int, *, side: int = 96) -> tuple[Bytes, Bytes]:
    clean = photograph(1, side)
    return clean, MarkPainter(LOGO, kinds=(kind,))(clean, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_paints_the_same_marks_and_another_one_others(kind: Kind) -> None:
    clean, first = paint(kind, 1)
    assert (first != clean).any()
    np.testing.assert_array_equal(first, paint(kind, 1)[1])
    assert (first != paint(kind, 2)[1]).any()
    np.testing.assert_array_equal(clean, photograph(1, 96))  # the picture itself is left alone


def covers(clean: Bytes, made: Bytes) -> bool:
    return is_covering(clean, made, differences(clean, made), logo=LOGO)


def test_veils_reach_everywhere_and_single_marks_do_not() -> None:
    for seed in range(3):
        for kind in KINDS:
            clean, made = paint(kind, seed)
            expected = ("veil",) if kind == "veil" else ("plain", "hardened")
            assert kinds_of([covers(clean, made)]) == expected, (kind, seed)


def test_a_sparse_veil_is_known_for_one() -> None:
    style = replace(DEFAULT_STYLE, fill=0.5, stamps=2)
    clean = gentle(0, 192)
    for seed in range(3):
        made = MarkPainter(LOGO, kinds=("veil",), styles=(style,))(clean, np.random.default_rng(seed))
        assert kinds_of([covers(clean, made)]) == ("veil",)


def test_a_mixed_or_an_unknown_release_is_prepared_for_in_all_ways() -> None:
    assert kinds_of([False, True]) == ("plain", "hardened", "veil")
    assert kinds_of([]) == ("plain", "hardened", "veil")


def test_grey_pictures_stay_grey() -> None:
    grey = np.repeat(gentle(0, 64)[..., :1], 3, axis=2)
    made = MarkPainter(LOGO, kinds=("plain",))(grey, np.random.default_rng(0))
    assert (made != grey).any()
    np.testing.assert_array_equal(made[..., 0], made[..., 2])


def test_the_digest_tells_painters_apart() -> None:
    painters = [
        MarkPainter(LOGO),
        MarkPainter(LOGO, kinds=("veil",)),
        MarkPainter(LOGO, styles=(DEFAULT_STYLE,)),
        MarkPainter(replace(LOGO, rgba=LOGO.rgba[::-1].copy())),
    ]
    assert len({one.digest for one in painters}) == 4
    assert MarkPainter(LOGO).digest == painters[0].digest


def test_tiny_pictures_are_left_alone_and_nothing_to_paint_is_refused() -> None:
    tiny = gentle(0, 8)
    for kind in KINDS:
        made = MarkPainter(LOGO, kinds=(kind,))(tiny, np.random.default_rng(0))
        assert made.shape == tiny.shape
    with pytest.raises(InputError, match="expected at least one kind of marks"):
        MarkPainter(LOGO, kinds=())
    with pytest.raises(InputError, match="a style of veils"):
        MarkPainter(LOGO, kinds=("veil",), styles=())
