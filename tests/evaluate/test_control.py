from __future__ import annotations

import numpy as np
import pytest

from medlocker.errors import InputError, NoRoomError
from medlocker.evaluate import Control
from medlocker.formats import encode_image, read_image
from medlocker.geometry import Box
from medlocker.images import viewed
from medlocker.logo import builtin_logo, render
from medlocker.marking import mark_pixels
from pictures import make_image
from runs import picture

LOGO = builtin_logo()


def test_marks_touch_neither_regions_nor_each_other() -> None:
    image = make_image(height=100, width=120)
    boxes = [Box(0, 0, 60, 100)]
    for seed in range(20):
        marks = Control(LOGO, seed=seed).marks(image, name="a.png", sizes_px=(30, 30), boxes=boxes)
        hits = np.zeros((100, 120), int)
        for mark in marks:
            support = render(LOGO, mark.size_px).support
            hits[mark.y : mark.y + support.shape[0], mark.x : mark.x + support.shape[1]] += support
        assert hits.max() == 1
        assert not hits[:, :60].any()


def test_the_same_seed_draws_the_same_places_for_a_name() -> None:
    image = make_image(height=100, width=120)

    def places(seed: int, name: str) -> list[tuple[int, int]]:
        marks = Control(LOGO, seed=seed).marks(image, name=name, sizes_px=(20,), boxes=())
        return [(mark.x, mark.y) for mark in marks]

    assert places(0, "a") == places(0, "a")
    assert len({tuple(places(seed, name)) for seed in (0, 1) for name in ("a", "b", "\udcff")}) == 6


def test_sizes() -> None:
    image = make_image(height=100, width=120)
    windows = (Box(0, 0, 30, 10), Box(50, 50, 9, 20))
    assert Control(LOGO).sizes_px(image, windows) == (30, 20)
    assert Control(LOGO).sizes_px(image, ()) == (25,)
    assert Control(LOGO, size=0.5).sizes_px(image, windows) == (50, 50)
    assert Control(LOGO, size=0.5).sizes_px(image, ()) == (50,)


def test_it_shrinks_where_there_is_little_room_and_gives_up_where_there_is_none() -> None:
    image = make_image(height=100, width=100)
    strip = [Box(0, 30, 100, 70)]
    (mark,) = Control(LOGO).marks(image, name="a", sizes_px=(40,), boxes=strip)
    assert 20 <= mark.size_px <= 31
    with pytest.raises(NoRoomError):
        Control(LOGO).marks(image, name="a", sizes_px=(80,), boxes=strip)


def test_colours_are_those_of_the_written_file() -> None:
    for mode in ("RGB", "P", "L", "RGBA"):
        image = read_image(picture(mode=mode), name="a.png")
        control = Control(LOGO)
        marks = control.marks(image, name="a.png", sizes_px=(20,), boxes=())
        data = encode_image(image, mark_pixels(image, marks, logo=LOGO).pixels)
        np.testing.assert_array_equal(control.colors(image, marks), viewed(read_image(data, name="a.png")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opacity": 0.0}, "expected an opacity above 0 and at most 1, got 0"),
        ({"opacity": 1.5}, "expected an opacity above 0 and at most 1, got 1.5"),
        ({"size": float("nan")}, "expected a size above 0 and at most 1, got nan"),
        ({"seed": -1}, "expected a seed of at least 0, got -1"),
    ],
)
def test_wrong_numbers_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Control(LOGO, **options)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_against_a_mark_over_everything_stand_three_logos_where_they_have_room() -> None:
    image = make_image(height=100, width=120)
    everything = (Box(0, 0, 120, 100),)
    assert Control(LOGO).sizes_px(image, everything, is_covering=True) == (25, 25, 25)
    assert Control(LOGO, size=0.5).sizes_px(image, everything, is_covering=True) == (50, 50, 50)

    def sizes(*boxes: Box, is_covering: bool = True) -> list[int]:
        marks = Control(LOGO, size=0.4).against(
            image, name="a", windows=everything, is_covering=is_covering, boxes=boxes
        )
        return [mark.size_px for mark in marks]

    assert sizes() == [40, 40, 40]
    assert sizes(Box(0, 42, 120, 58), Box(42, 0, 78, 100)) == [40]
    assert sizes(is_covering=False) == [40]
    with pytest.raises(NoRoomError):
        sizes(Box(0, 10, 120, 90))
