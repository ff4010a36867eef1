"""A lattice of the logo: where copies lie, what they look like, and how much work is refused."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_cases import CASES, TABLE, digest_of, plain_logo
from medlocker.errors import InputError
from medlocker.images import Image
from medlocker.logo import (
    Lattice,
    Logo,
    Raster,
    builtin_logo,
    lattice_looks,
    lattice_places,
    render,
    render_lattice,
)
from medlocker.logo._copies import CopyStyle, render_looks
from medlocker.marking import render_layer, render_layer_coarsely
from veils import make_veil, veils

LOGO = plain_logo()
_PLAIN = Lattice(
    period=20 << 16,
    size=12,
    angle=0,
    phase_x=0,
    phase_y=0,
    stagger=0,
    turn=0,
    scale=0,
    warp_256=0,
    texture=0,
    negatives=False,
    stamps=1,
    key=b"key",
)


def drawn(width: int = 80, height: int = 60, **changes: Any) -> Raster:
    return render_lattice(LOGO, replace(_PLAIN, **changes), width=width, height=height)


@pytest.mark.parametrize("case", CASES)
def test_exact_pixels(case: str) -> None:
    assert digest_of(case) == json.loads(TABLE.read_text())[case]


def test_the_table_is_of_these_cases() -> None:
    table = json.loads(TABLE.read_text())
    assert list(table) == list(CASES)
    assert len(set(table.values())) == len(CASES)


def test_without_turns_every_copy_is_the_logo() -> None:
    plain = render(LOGO, 12)
    h, w = plain.coverage.shape
    wide = np.zeros((100, 120), np.uint8), np.zeros((100, 120, 3), np.uint8)
    for y in (10, 30, 50):  # one copy lies with its centre in the middle of the image
        for x in (0, 20, 40, 60, 80):
            window = np.s_[20 + y - h // 2 : 20 + y - h // 2 + h, 20 + x - w // 2 : 20 + x - w // 2 + w]
            wide[0][window], wide[1][window] = plain.coverage, plain.color
    raster = drawn()
    assert np.array_equal(raster.coverage, wide[0][20:80, 20:100])
    assert np.array_equal(raster.color, wide[1][20:80, 20:100])


def test_phases_move_it_and_a_whole_period_does_not() -> None:
    still = drawn().coverage
    moved = drawn(phase_x=32768).coverage
    assert np.array_equal(moved[:, 10:], still[:, :-10])
    down = drawn(phase_y=16384).coverage
    assert np.array_equal(down[5:], still[:-5])
    staggered = drawn(stagger=65535, period=20 << 16).coverage
    assert not np.array_equal(drawn(stagger=32768).coverage, still)
    assert np.abs(staggered.astype(int) - still).mean() < 40  # nearly a period: the same but for a pixel


def test_rows_turn_counter_clockwise() -> None:
    quarter = drawn(width=81, height=81, angle=16384).coverage
    still = drawn(width=81, height=81).coverage
    assert not np.array_equal(quarter, np.zeros_like(quarter))
    # places turn, copies do not: they stay upright where nothing turns them
    assert quarter.astype(int).sum() == pytest.approx(still.astype(int).sum(), rel=0.25)


def test_every_second_look_has_the_opposite_colours() -> None:
    plain = drawn(stamps=2, period=14 << 16)
    negative = drawn(stamps=2, period=14 << 16, negatives=True)
    assert np.array_equal(plain.coverage, negative.coverage)
    inside = plain.coverage > 0
    same = (plain.color == negative.color).all(axis=2)
    opposite = (plain.color == 255 - negative.color).all(axis=2)
    assert (same | opposite)[inside].all()
    assert 0.2 < opposite[inside].mean() < 0.8
    assert not negative.color[~inside].any()


def test_the_copy_that_covers_more_is_seen() -> None:
    dense = drawn(period=6 << 16, turn=32768, stamps=5)
    sparse = drawn(period=20 << 16, turn=32768, stamps=5)
    assert dense.coverage.mean() > 1.5 * sparse.coverage.mean()


@given(veil=veils(), key=st.binary(min_size=1, max_size=8))
@settings(max_examples=15)
def test_a_key_gives_one_veil(veil: Any, key: bytes) -> None:
    image = Image(np.zeros((48, 64, 3), np.uint8), "rgb", "png", b"")
    first = render_layer(veil, logo=builtin_logo(), image=image)
    render_lattice.cache_clear()
    again = render_layer(veil, logo=builtin_logo(), image=image)
    assert np.array_equal(first.weight, again.weight)
    assert np.array_equal(first.color, again.color)
    assert first.weight.shape == (48, 64)
    highest = max(veil.opacity, veil.ground)
    assert int(first.weight.max()) <= highest
    assert first.window == (slice(0, 48), slice(0, 64))


@given(veil=veils(), bits=st.sampled_from((8, 16)), grey=st.booleans())
@settings(max_examples=60)
def test_a_coarse_veil_is_every_second_row_and_column(veil: Any, bits: int, grey: bool) -> None:
    veil = replace(veil, grain_px=4, keep_out=())
    dtype: Any = np.uint8 if bits == 8 else np.uint16
    shape = (47, 61, 1 if grey else 3)
    image = Image(np.zeros(shape, dtype), "grey" if grey else "rgb", "png", b"")
    fine = render_layer(veil, logo=LOGO, image=image)
    coarse = render_layer_coarsely(veil, logo=LOGO, image=image, step=2)
    assert coarse.weight.shape == (24, 31)
    assert np.array_equal(coarse.weight, fine.weight[::2, ::2])
    assert np.array_equal(coarse.color, fine.color[::2, ::2])


@given(veil=veils())
@settings(max_examples=60)
def test_a_coarse_veil_keeps_out_of_all_that_is_kept_out(veil: Any) -> None:
    veil = replace(veil, grain_px=2)
    image = Image(np.zeros((48, 64, 1), np.uint8), "grey", "png", b"")
    coarse = render_layer_coarsely(veil, logo=LOGO, image=image, step=2)
    wide = np.repeat(np.repeat(coarse.weight, 2, axis=0), 2, axis=1)
    for box in veil.keep_out:
        assert not wide[box.y : box.bottom, box.x : box.right].any()


def test_ground_lies_between_the_copies() -> None:
    image = Image(np.zeros((48, 64, 3), np.uint8), "rgb", "png", b"")
    veil = make_veil(ground=4000, tint=0x10FF80, opacity=9000)
    bare = render_layer(replace(veil, ground=0), logo=LOGO, image=image)
    layer = render_layer(veil, logo=LOGO, image=image)
    nothing = bare.weight == 0
    assert nothing.any()
    assert (layer.weight[nothing] == 4000).all()
    assert (layer.color[nothing] == (0x10, 0xFF, 0x80)).all()
    full = bare.weight == 9000
    assert full.any()
    assert (layer.weight[full] == 9000).all()
    assert np.array_equal(layer.color[full], bare.color[full])


# ------------------------------------------------------------------------- records of somebody else


ABSURD: dict[str, tuple[dict[str, Any], tuple[int, int], str]] = {
    "copies of two pixels": ({"period_px": 2, "size_px": 2}, (4000, 4000), "fewer copies of the logo"),
    "copies of two pixels on a long image": (
        {"period_px": 2, "size_px": 2},
        (8, 65500),
        "fewer copies of the logo",
    ),
    "hardly any period": ({"period_px": 2, "size_px": 2, "grain_px": 64}, (9000, 9000), "fewer copies"),
    "copies as large as can be": (
        {"period_px": 4000, "size_px": 7999, "stamps": 64, "scale": 500, "texture": 127},
        (4000, 4000),
        "smaller copies of the logo",
    ),
    "many different large copies": (
        {"period_px": 600, "size_px": 900, "stamps": 64},
        (4000, 4000),
        "smaller copies of the logo",
    ),
    "copies on copies": ({"period_px": 40, "size_px": 500, "stamps": 8}, (4000, 4000), "overlap less"),
    "larger than the image": ({"period_px": 90, "size_px": 65535}, (300, 300), "got a larger one"),
    "too fine for its size": ({"period_px": 500, "size_px": 500}, (10_000, 10_000), "veil of at most"),
}


@pytest.mark.parametrize("case", ABSURD)
def test_what_would_take_too_long_is_refused_at_once(case: str) -> None:
    changes, (height, width), message = ABSURD[case]
    image = Image(np.broadcast_to(np.uint8(0), (height, width, 1)), "grey", "png", b"")
    veil = make_veil(warp_256=65535, **changes)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message):
            render_layer(veil, logo=LOGO, image=image)
        assert tracemalloc.get_traced_memory()[1] < 256 << 20
    finally:
        tracemalloc.stop()


def test_copies_that_do_not_touch_the_image_are_not_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[CopyStyle] = []

    def counted(logo: Logo, looks: Sequence[CopyStyle]) -> list[Raster]:
        rendered.extend(looks)
        return render_looks(logo, looks)

    monkeypatch.setattr("medlocker.logo._lattice.render_looks", counted)
    drawn(period=400 << 16, stamps=64, key=b"few")
    assert len(rendered) == 1


@given(
    lattice=st.builds(
        Lattice,
        period=st.integers(4 << 16, 90 << 16),
        size=st.integers(1, 60),
        angle=st.integers(0, 65535),
        phase_x=st.integers(0, 65535),
        phase_y=st.integers(0, 65535),
        stagger=st.integers(0, 65535),
        turn=st.integers(0, 32768),
        scale=st.integers(0, 500),
        warp_256=st.integers(0, 2000),
        texture=st.sampled_from((0, 20)),
        negatives=st.booleans(),
        stamps=st.integers(1, 8),
        key=st.binary(min_size=1, max_size=2),
    )
)
@settings(max_examples=12)
def test_a_grain_shows_the_first_of_the_copies_that_cover_it_most(lattice: Lattice) -> None:
    width, height = 70, 50
    looks = lattice_looks(lattice)
    stamps = render_looks(LOGO, looks)
    x, y, chosen = lattice_places(lattice, width=width, height=height)
    color, coverage = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    for k, cx, cy in zip(chosen.tolist(), x.tolist(), y.tolist(), strict=True):
        h, w = stamps[k].coverage.shape
        rows, cols = np.arange(h) + cy - h // 2, np.arange(w) + cx - w // 2
        on = np.ix_((rows >= 0) & (rows < height), (cols >= 0) & (cols < width))
        place = np.ix_(rows[(rows >= 0) & (rows < height)], cols[(cols >= 0) & (cols < width)])
        more = stamps[k].coverage[on] > coverage[place]
        color[place] = np.where(more[..., None], stamps[k].color[on], color[place])
        coverage[place] = np.where(more, stamps[k].coverage[on], coverage[place])
    raster = render_lattice(LOGO, lattice, width=width, height=height)
    assert np.array_equal(raster.coverage, coverage)
    assert np.array_equal(raster.color, color)
