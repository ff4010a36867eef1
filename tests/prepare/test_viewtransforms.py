from __future__ import annotations

import numpy as np

from medlocker.prepare._viewtransforms import ViewTransform, draw_view_transform
from pictures import smooth

PICTURE = np.round(smooth(60, 80, 3) * 255).astype(np.uint8)


def test_a_plain_glance_sees_the_picture_as_it_is() -> None:
    np.testing.assert_array_equal(ViewTransform().at(PICTURE), PICTURE)


def test_each_change_is_what_it_says() -> None:
    kept = ViewTransform(kept=(0.9, 0.5), offset=(1.0, 0.0)).at(PICTURE)
    np.testing.assert_array_equal(kept, PICTURE[6:, :40])
    assert ViewTransform(scale=0.5).at(PICTURE).shape == (30, 40, 3)
    edged = ViewTransform(edge=(0.1, 0.05)).at(PICTURE)
    assert edged.shape == (66, 84, 3)
    assert not edged[:6].any()
    assert not edged[:, :4].any()
    np.testing.assert_array_equal(edged[6:, 4:], PICTURE)
    stored = ViewTransform(quality=60).at(PICTURE)
    assert stored.shape == PICTURE.shape
    assert 0 < np.abs(stored.astype(int) - PICTURE).mean() < 8


def test_drawn_glances_differ_repeat_and_can_be_plain() -> None:
    drawn = [draw_view_transform(np.random.default_rng(k)) for k in range(300)]
    assert drawn[:9] == [draw_view_transform(np.random.default_rng(k)) for k in range(9)]
    assert any(np.array_equal(one.at(PICTURE), PICTURE) for one in drawn)
    assert {one.quality is None for one in drawn} == {True, False}
    for one in drawn[:60]:
        assert min(one.at(PICTURE).shape[:2]) >= 30
