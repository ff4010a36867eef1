"""How veils of a data set look, and how one is drawn: always the same from one key, never absurd."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medlocker.errors import InputError, NoRoomError
from medlocker.geometry import Box
from medlocker.logo import Logo, builtin_logo, render_lattice
from medlocker.veil import Veil
from medlocker.veilstyle import _RANGES, DEFAULT_STYLE, SMALLEST_SIDE_PX, SMALLEST_TILE_PX, VeilStyle
from test_logo import arrow

LOGO = builtin_logo()
KEY = b"sixteen bytes ..."
WHOLE = {"tint": (0, 0xFFFFFF), "texture": (0, 127), "stamps": (1, 64)}
SIDES = st.integers(SMALLEST_SIDE_PX, 4000)


def changed(**changes: Any) -> VeilStyle:
    return replace(DEFAULT_STYLE, **changes)


@st.composite
def styles(draw: st.DrawFn) -> VeilStyle:
    """Every style that is allowed, absurd or not."""
    changes: dict[str, Any] = {name: draw(st.floats(*span)) for name, span in _RANGES.items()}
    changes |= {name: draw(st.integers(*span)) for name, span in WHOLE.items()}
    return changed(**changes, negatives=draw(st.booleans()), mounted=draw(st.booleans()))


def test_every_setting_has_a_range() -> None:
    assert {one.name for one in fields(VeilStyle)} == {*_RANGES, *WHOLE, "negatives", "mounted"}


@pytest.mark.parametrize("name", _RANGES)
def test_a_share_out_of_range_is_refused(name: str) -> None:
    low, high = _RANGES[name]
    for value in (low, high):
        assert getattr(changed(**{name: value}), name) == value
    for wrong in (low - 0.001, high + 0.001, float("nan"), float("inf"), str(low), None, True, [high]):
        with pytest.raises(InputError, match=f"^veil: expected {name} of {low:g} to {high:g}, got "):
            changed(**{name: wrong})


@pytest.mark.parametrize("name", WHOLE)
def test_a_number_out_of_range_is_refused(name: str) -> None:
    low, high = WHOLE[name]
    for wrong in (low - 1, high + 1, float(high), str(low), None, True):
        with pytest.raises(InputError, match=f"^veil: expected {name} of at most {high}, got "):
            changed(**{name: wrong})


@pytest.mark.parametrize("name", ["negatives", "mounted"])
def test_what_is_true_or_false_is_nothing_else(name: str) -> None:
    for wrong in (0, 1, None, "true"):
        with pytest.raises(InputError, match=f"^veil: expected {name} true or false, got "):
            changed(**{name: wrong})


@given(style=styles())
def test_json_gives_the_same_style_back(style: VeilStyle) -> None:
    assert VeilStyle.from_json(json.loads(json.dumps(style.to_json()))) == style


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "style",
        {},
        DEFAULT_STYLE.to_json() | {"lens": 1},
        {name: value for name, value in DEFAULT_STYLE.to_json().items() if name != "period"},
    ],
)
def test_json_of_something_else_is_refused(value: object) -> None:
    with pytest.raises(InputError, match=r"^veil: expected the fields period, "):
        VeilStyle.from_json(value)


@given(style=styles(), width=SIDES, height=SIDES, key=st.binary(min_size=1, max_size=64))
@settings(max_examples=150)
def test_what_is_drawn_is_a_veil_and_the_same_each_time(
    style: VeilStyle, width: int, height: int, key: bytes
) -> None:
    kept = (Box(3, 4, 5, 6), Box(0, 0, 9, 9))
    veil = style.draw(LOGO, width=width, height=height, key=key, keep_out=kept)
    assert veil == style.draw(LOGO, width=width, height=height, key=key, keep_out=kept)
    assert Veil.from_json(veil.to_json()) == veil
    assert (veil.key, veil.keep_out) == (key.hex(), kept)
    assert veil.size_px >= SMALLEST_TILE_PX
    assert veil.size_px <= 2 * max(width, height)
    assert abs(veil.opacity / 65535 - style.opacity) < 1 / 65535
    other = style.draw(LOGO, width=width, height=height, key=key + b"\0" if len(key) < 64 else b"x")
    assert (other.angle, other.phase_x, other.phase_y) != (veil.angle, veil.phase_x, veil.phase_y)


SHAPES = [(32, 32), (32, 65500), (200, 9000), (1279, 65500), (1280, 65500), (10_000, 10_000), (640, 1500)]
ABSURD = {
    "default": DEFAULT_STYLE,
    "smallest": VeilStyle(period=0.005, fill=0.3),
    "dense": VeilStyle(period=0.005, fill=1.5, scale=0.5),
    "largest": VeilStyle(period=1, fill=1.5, scale=0.5, warp=0.3, stamps=64),
    "large": VeilStyle(period=0.3, fill=1.5, scale=0.5, stamps=64, texture=127),
}


@pytest.mark.parametrize("style", ABSURD)
@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_what_is_drawn_can_be_rendered(
    style: str, width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On images of any shape, with any style: rendering refuses absurd veils, and none of these is."""
    checked = []
    monkeypatch.setattr("medlocker.logo._lattice._stamp", lambda *args: checked.append(1))
    veil = ABSURD[style].draw(LOGO, width=width, height=height, key=KEY)
    grain = veil.grain_px
    render_lattice.cache_clear()
    render_lattice(LOGO, veil.lattice(), width=-(-width // grain), height=-(-height // grain))
    render_lattice.cache_clear()
    assert checked


@given(width=SIDES, height=SIDES)
def test_grains_are_fine_on_small_images_and_grow_with_large_ones(width: int, height: int) -> None:
    veil = DEFAULT_STYLE.draw(LOGO, width=width, height=height, key=KEY)
    assert veil.grain_px & (veil.grain_px - 1) == 0
    shorter = min(width, height)
    assert shorter // veil.grain_px >= min(shorter, 600)
    assert veil.grain_px > 1 or shorter < 1280


@given(width=SIDES, height=SIDES, soft=st.floats(0, 0.1))
def test_the_soft_edge_is_a_share_of_the_shorter_side(width: int, height: int, soft: float) -> None:
    veil = replace(DEFAULT_STYLE, soft=soft).draw(LOGO, width=width, height=height, key=KEY)
    assert veil.soft_px == min(max(1, veil.soft_px), 255)
    assert abs(veil.soft_px - soft * min(width, height)) <= 1 or veil.soft_px == 255


@pytest.mark.parametrize(("width", "height"), [(31, 400), (400, 31), (1, 1), (12, 12)])
def test_images_of_a_few_pixels_have_no_room(width: int, height: int) -> None:
    message = f"{width} x {height} pixels are too few for a veil, expected at least 32 x 32"
    with pytest.raises(NoRoomError, match=message):
        DEFAULT_STYLE.draw(LOGO, width=width, height=height, key=KEY)


def test_the_size_of_a_copy_can_be_given() -> None:
    style = DEFAULT_STYLE.with_tile(0.2)
    veil = style.draw(LOGO, width=500, height=700, key=KEY)
    assert veil.size_px == 100
    assert veil.period_px == round(100 / DEFAULT_STYLE.fill)


def test_a_copy_may_be_as_large_as_the_image() -> None:
    style = DEFAULT_STYLE.with_tile(1.0)
    assert style.draw(LOGO, width=500, height=700, key=KEY).size_px == 500
    assert (style.period, style.fill, style.spread) == (1.0, 1.0, 0.0)


def test_every_image_has_another_period() -> None:
    style = replace(DEFAULT_STYLE, period=0.1, spread=0.5)
    found = [
        style.draw(LOGO, width=1000, height=1000, key=bytes([k] * 16)).period_px / 1000 for k in range(64)
    ]
    assert 0.1 / 1.5 - 0.002 < min(found) < 0.075
    assert 0.135 < max(found) < 0.1 * 1.5 + 0.002
    assert 0.09 < np.exp(np.log(found).mean()) < 0.11
    alike = replace(style, spread=0.0)
    assert alike.draw(LOGO, width=1000, height=1000, key=KEY).period_px == 100


def test_styles_from_before_images_had_different_periods_are_read() -> None:
    value = {name: value for name, value in DEFAULT_STYLE.to_json().items() if name != "spread"}
    assert VeilStyle.from_json(value) == replace(DEFAULT_STYLE, spread=0.0)


@pytest.mark.parametrize("size", [0.0001, 1.6, -1, float("nan"), float("inf")])
def test_a_size_that_no_lattice_has_is_refused(size: float) -> None:
    with pytest.raises(InputError, match=r"^preset veil: expected a size of 0\.\d+ to [\d.]+, got "):
        DEFAULT_STYLE.with_tile(size)


def test_only_faint_logos_are_mounted() -> None:
    faint = Logo(arrow().rgba // 3 + 80)
    for style in (DEFAULT_STYLE, replace(DEFAULT_STYLE, mounted=False)):
        for logo, is_mounted in ((LOGO, 0), (faint, int(style.mounted))):
            assert style.draw(logo, width=64, height=64, key=KEY).mounted == is_mounted


def test_periods_are_told_from_the_shortest_to_the_longest() -> None:
    assert replace(DEFAULT_STYLE, period=0.1, spread=1.0).periods == (0.05, 0.2)
    assert replace(DEFAULT_STYLE, period=0.1, spread=0.0).periods == (0.1, 0.1)


def test_a_refused_size_names_no_size_that_is_refused_elsewhere() -> None:
    with pytest.raises(InputError, match=r"expected a size of 0\.0015 to 1, got 0\.001$"):
        DEFAULT_STYLE.with_tile(0.001)


def test_a_period_that_is_drawn_is_no_longer_than_an_image() -> None:
    style = replace(DEFAULT_STYLE, period=1.0, spread=2.0, fill=1.5)
    assert style.periods[1] == 1.0
    drawn = [style.draw(LOGO, width=100, height=100, key=bytes([k] * 16)).size_px for k in range(16)]
    assert max(drawn) == 150
