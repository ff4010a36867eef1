"""Repainting a picture of any size in tiles."""

from __future__ import annotations

import numpy as np
import pytest
from removal_samples import Bytes, gentle

from medlocker.attacks import Floats
from medlocker.evaluate.removal.tiles import repaint


def picture(height: int, width: int) -> Bytes:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("shape", [(32, 32), (33, 100), (5, 70), (90, 31), (130, 64), (1, 1)])
@pytest.mark.parametrize("overlap", [None, 0, 8])
def test_a_network_that_changes_nothing_gives_the_picture_back(
    shape: tuple[int, int], overlap: int | None
) -> None:
    def same(tiles: Floats) -> Floats:
        assert tiles.shape[1:] == (32, 32, 3)
        assert tiles.dtype == np.float32
        assert 0 <= tiles.min() <= tiles.max() <= 1
        return tiles

    before = picture(*shape)
    np.testing.assert_array_equal(repaint(before, same, side_px=32, overlap_px=overlap), before)


def test_neighbouring_tiles_blend_into_each_other() -> None:
    """Every tile comes out in a grey of its own; no step between neighbours is as large as that."""
    levels = iter([0.0, 1.0, 0.0, 1.0, 0.0])

    def flat(tiles: Floats) -> Floats:
        return np.stack([np.full_like(tile, next(levels)) for tile in tiles])

    made = repaint(gentle(0, 96)[:32], flat, side_px=32).astype(int)
    assert made.min() == 0
    assert made.max() > 200
    assert np.abs(np.diff(made, axis=1)).max() < 30


def test_answers_beyond_black_and_white_are_clipped() -> None:
    bright = repaint(picture(40, 40), lambda tiles: tiles + np.float32(3), side_px=32)
    assert (bright == 255).all()
