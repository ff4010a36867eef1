"""Decoys: drawn by key alone, inside the image, until holes cover the share that was drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow

from medlocker.errors import InputError
from medlocker.geometry import Box
from medlocker.protect._decoys import _HOLES, _OVER, MOST_DECOYS, draw_decoys
from medlocker.protect._donors import FEWEST_DONORS, MOST_DONORS, DecoySource
from medlocker.regions import Findings, load_regions
from medlocker.regions.scale import covered

KEYS = st.binary(min_size=1, max_size=32)
SIDES = st.integers(32, 2000)


def share(boxes: tuple[Box, ...], width: int, height: int) -> float:
    return float(covered(boxes, width=width, height=height).mean())


@given(width=SIDES, height=SIDES, key=KEYS)
@settings(max_examples=25)
def test_decoys_lie_inside_and_come_from_the_key(width: int, height: int, key: bytes) -> None:
    drawn = draw_decoys((), width=width, height=height, key=key)
    assert drawn == draw_decoys((), width=width, height=height, key=key)
    assert 1 <= len(drawn) <= MOST_DECOYS
    for box in drawn:
        assert box.x >= 0
        assert box.y >= 0
        assert box.right <= width
        assert box.bottom <= height


@pytest.mark.parametrize(("width", "height"), [(448, 448), (640, 480), (2000, 3000)])
def test_holes_cover_the_share_that_was_drawn(width: int, height: int) -> None:
    low, high = _HOLES
    found = [
        share(draw_decoys((), width=width, height=height, key=bytes([k])), width, height) for k in range(60)
    ]
    # a cell counts as a whole, so a little less is covered than was drawn, and the last decoy is over it
    assert min(found) > 0.5 * low
    assert max(found) < high + 0.02
    assert np.mean(found) == pytest.approx((low + high) / 2, rel=0.3)
    assert np.std(found) > 0.1 * (high - low)  # drawn anew for every image


def test_lesions_count_among_the_holes() -> None:
    none = draw_decoys((), width=400, height=400, key=b"k")
    some = draw_decoys((Box(100, 100, 60, 50),), width=400, height=400, key=b"k")
    assert 0 < len(some) < len(none)
    assert none[: len(some)] == some  # what is drawn does not tell where the lesions are


@given(key=KEYS, width=SIDES, height=SIDES)
def test_no_decoys_where_lesions_are_more_than_any_share(key: bytes, width: int, height: int) -> None:
    large = Box(0, 0, width // 2, max(height // 3, 1))
    assert draw_decoys((large,), width=width, height=height, key=key) == ()


def test_boxes_that_reach_beyond_the_image_are_taken() -> None:
    beyond = (Box(-20, -20, 60, 60), Box(380, 390, 500, 500))
    assert draw_decoys(beyond, width=400, height=400, key=b"k") == draw_decoys(
        (Box(0, 0, 40, 40), Box(380, 390, 20, 10)), width=400, height=400, key=b"k"
    )


def test_decoys_of_two_images_are_unlike() -> None:
    keys = [f"image {k}".encode() for k in range(20)]
    drawn = [draw_decoys((), width=300, height=300, key=key) for key in keys]
    assert len(set(drawn)) == 20
    assert len({len(boxes) for boxes in drawn}) > 3


# ---------------------------------------------------------------------------------- like other images


def lesions(seed: int, *, most: int = 20, side: int = 400) -> tuple[Box, ...]:
    rng = np.random.default_rng([9, seed])
    boxes = set()
    for _ in range(int(rng.integers(1, most))):
        w, h = (int(v) for v in rng.integers(8, 60, 2))
        x, y = (int(v) for v in rng.integers(0, side - 60, 2))
        boxes.add(Box(x, y, w, h))
    return tuple(sorted(boxes))


SETS = [lesions(seed) for seed in range(40)]
MADE = DecoySource.of((boxes, 400, 400) for boxes in SETS)
assert MADE is not None
DONORS: DecoySource = MADE


def like_others(boxes: tuple[Box, ...], key: bytes) -> tuple[Box, ...]:
    return draw_decoys(boxes, width=400, height=400, key=key, donors=DONORS)


@given(key=KEYS, width=SIDES, height=SIDES)
@settings(max_examples=20)
def test_decoys_like_others_lie_inside_and_come_from_the_key(key: bytes, width: int, height: int) -> None:
    drawn = draw_decoys((), width=width, height=height, key=key, donors=DONORS)
    assert drawn == draw_decoys((), width=width, height=height, key=key, donors=DONORS)
    assert drawn
    for box in drawn:
        assert box.x >= 0
        assert box.y >= 0
        assert box.right <= width
        assert box.bottom <= height


def test_images_without_lesions_get_holes_as_large_as_those_with() -> None:
    own = sorted(share(boxes, 400, 400) for boxes in SETS)
    few, drawn = own[len(own) // 4], []
    for number in range(120):
        drawn.append(share(like_others((), f"{number}".encode()), 400, 400))
    assert min(drawn) > 0.8 * few
    assert max(drawn) < own[-1] + _OVER + 0.01
    many = [one for one in own if one > few]
    assert np.mean(drawn) == pytest.approx(np.mean(many), rel=0.15)
    assert np.std(drawn) == pytest.approx(np.std(many), rel=0.3)


def test_few_lesions_are_filled_up_and_many_are_left_as_they_are() -> None:
    ordered = sorted(SETS, key=lambda boxes: share(boxes, 400, 400))
    assert like_others(ordered[-1], b"k") == ()
    assert like_others(ordered[20], b"k") == ()
    filled = like_others(ordered[0], b"k")
    assert filled
    assert share((*ordered[0], *filled), 400, 400) > share(ordered[10], 400, 400)


def test_decoys_are_moved_and_stretched_so_that_none_is_another_image_s_lesion() -> None:
    known = {box for boxes in SETS for box in boxes}
    drawn = [box for number in range(20) for box in like_others((), bytes([number]))]
    assert len(set(drawn) & known) < 0.05 * len(drawn)
    assert len(set(drawn)) > 0.95 * len(drawn)


def test_decoys_grow_as_lesions_do() -> None:
    def blocks(box: Box) -> Box:
        left, top = box.x // 16 * 16, box.y // 16 * 16
        return Box(left, top, -(-box.right // 16) * 16 - left, -(-box.bottom // 16) * 16 - top)

    drawn = draw_decoys((), width=400, height=400, key=b"k", donors=DONORS, grow=blocks)
    assert all(box == blocks(box) for box in drawn)


def test_donors_fit_images_of_any_size_and_few_are_none() -> None:
    donors = DecoySource.of([((Box(10, 20, 30, 40),), 100, 200)] * FEWEST_DONORS)
    assert donors is not None
    assert donors.boxes(0, width=200, height=200) == [Box(20, 20, 60, 40)]
    assert DecoySource.of([((Box(0, 0, 1, 1),), 9, 9)] * (FEWEST_DONORS - 1)) is None
    assert DecoySource.of([((), 9, 9)] * 50) is None


def test_donors_are_read_from_files_the_same_ones_each_time(tmp_path: Path) -> None:
    rows = ["image,region,x,y,width,height"]
    images = []
    for number in range(MOST_DONORS + 10):
        name = f"{number:03}.png"
        Pillow.new("L", (40, 30)).save(tmp_path / name)
        images.append((name, tmp_path / name))
        rows += [f"{name},lesion,{number % 30},3,5,4"] if number != 7 else []
    (tmp_path / "boxes.csv").write_text("\n".join(rows))
    regions = load_regions(tmp_path / "boxes.csv").among(name for name, _ in images)
    donors = DecoySource.among(regions, images)
    assert donors is not None
    assert len(donors.sets) == MOST_DONORS
    assert donors == DecoySource.among(regions, images[::-1])
    images[0][1].write_bytes(b"no image")
    assert DecoySource.among(regions, images) is not None
    assert (
        DecoySource.among(regions, images[:FEWEST_DONORS]) is None
    )  # one of them cannot be read, one has no region


class Corner:
    """Finds the upper left corner of bright pictures, the wider the brighter; cannot look at all pictures."""

    source, droppable, fingerprint = "corners", True, "corner"

    def find(self, colors: NDArray[Any]) -> Findings:
        if int(colors.max()) == 7:
            raise InputError("expected a brighter picture")
        level = int(colors.max())
        return Findings((Box(0, 0, level // 10, 4),) if level > 100 else ())


def test_what_a_finder_finds_in_some_images_makes_decoys_for_all(tmp_path: Path) -> None:
    images = []
    for number in range(40):
        name, level = f"{number}.png", (110 + 3 * number, 9)[number % 2]
        cv2.imwrite(str(tmp_path / name), np.full((20, 30, 3), 7 if number == 1 else level, np.uint8))
        images.append((name, tmp_path / name))
    donors = DecoySource.found_by(Corner(), images)
    assert donors is not None
    assert FEWEST_DONORS <= len(donors.sets) <= 20
    assert donors == DecoySource.found_by(Corner(), images[::-1])
    (box,) = donors.boxes(0, width=3000, height=2000)
    assert (box.x, box.y) == (0, 0)
    assert 1099 <= box.width <= 2201
    assert abs(box.height - 400) <= 1
    assert DecoySource.found_by(Corner(), images[: FEWEST_DONORS - 1]) is None
    assert DecoySource.found_by(Corner(), images[1::2]) is None
