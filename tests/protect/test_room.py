from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medlocker.errors import NoRoomError
from medlocker.geometry import Box
from medlocker.logo import builtin_logo
from medlocker.mark import ONE_TURN
from medlocker.protect import PlacementSpace, Settings, find_placement_space

LOGO = builtin_logo()


def room(
    options: Settings, *, width: int = 200, height: int = 160, seed: bytes = b"", **more: object
) -> PlacementSpace:
    boxes = more.get("boxes", ())
    assert isinstance(boxes, tuple)
    return find_placement_space(
        options, LOGO, width=width, height=height, boxes=boxes, step=1, seed=seed or bytes(32), key=bytes(32)
    )


def test_the_paper_has_one_upright_mark() -> None:
    found = room(Settings(preset="paper"), seed=b"\xff" * 32)
    assert (found.size_px, found.most_marks, found.rotation, found.shrunk) == (40, 1, 0, False)


@settings(max_examples=40)
@given(
    width=st.integers(40, 400),
    height=st.integers(40, 400),
    area=st.floats(0.02, 0.4),
    marks=st.integers(1, 3),
    seed=st.binary(min_size=32, max_size=32),
)
def test_further_marks_stay_within_the_area(
    width: int, height: int, area: float, marks: int, seed: bytes
) -> None:
    options = Settings(preset="strong", max_area=area, marks=marks)
    found = room(options, width=width, height=height, seed=seed)
    covered = found.most_marks * int(found.placements._support.sum())
    assert 1 <= found.most_marks <= marks
    assert found.most_marks == 1 or covered <= area * width * height
    assert found.size_px <= options.sizes_px(height, width)[0]
    assert not found.shrunk


def test_one_mark_more_is_worth_a_little_less_size() -> None:
    full = room(Settings(preset="strong", max_area=1))
    assert (full.size_px, full.most_marks) == (40, 3)
    fitted = room(Settings(preset="strong", max_area=2.7 * full.placements._support.sum() / (200 * 160)))
    assert fitted.most_marks == 3
    assert 32 <= fitted.size_px < 40
    assert not fitted.shrunk
    few = room(Settings(preset="strong", max_area=0.04))
    assert (few.size_px, few.most_marks) == (40, 1)


def test_rotations_are_drawn_within_their_range_and_differ() -> None:
    rng = np.random.default_rng(0)
    drawn = {room(Settings(preset="strong", rotation=20), seed=rng.bytes(32)).rotation for _ in range(40)}
    degrees = {(turn * 360 / ONE_TURN + 180) % 360 - 180 for turn in drawn}
    assert len(drawn) > 15
    assert max(abs(d) for d in degrees) <= 20.01
    assert min(degrees) < -5 < 5 < max(degrees)


def test_regions_shrink_the_logo_or_leave_no_room() -> None:
    found = room(Settings(preset="strong"), boxes=(Box(0, 0, 200, 132),))
    assert found.shrunk
    assert found.size_px <= 28
    with pytest.raises(NoRoomError, match="200 x 160 pixels leave no room for the logo beside 1 regions"):
        room(Settings(preset="strong"), boxes=(Box(0, 0, 200, 160),))
