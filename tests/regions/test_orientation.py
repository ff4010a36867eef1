"""Boxes drawn on turned pictures, compared with how Pillow turns them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage
from PIL import ImageOps

from medlocker.errors import InputError
from medlocker.geometry import Box
from medlocker.regions import load_regions
from medlocker.regions._orientation import shown_size, stored_box


@given(st.integers(1, 8), st.integers(4, 9), st.integers(4, 9), st.data())
def test_boxes_lie_where_pillow_turns_them(
    orientation: int, width: int, height: int, data: st.DataObject
) -> None:
    x, y = (data.draw(st.integers(0, side - 2)) for side in (width, height))
    stored = Box(x, y, data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2)))
    picture = np.zeros((height, width), np.uint8)
    picture[stored.y : stored.bottom, stored.x : stored.right] = 255
    image = PillowImage.fromarray(picture)
    image.getexif()[0x0112] = orientation
    shown = np.asarray(ImageOps.exif_transpose(image))
    assert shown.shape[::-1] == shown_size(width, height, orientation)
    ys, xs = np.nonzero(shown)
    box = Box(int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1)
    assert stored_box(box, width=width, height=height, orientation=orientation) == stored


def test_no_other_orientation() -> None:
    with pytest.raises(InputError, match="expected an orientation of 1 to 8, got 9"):
        stored_box(Box(0, 0, 1, 1), width=2, height=2, orientation=9)


def test_both_readings_of_a_table_are_kept_out(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text("image,region,x,y,width,height\na.jpg,ex,0,0,10,20\n")
    regions = load_regions(path)
    assert regions.boxes_for("a.jpg", width=40, height=30) == (Box(0, 0, 10, 20),)
    assert regions.boxes_for("a.jpg", width=40, height=30, orientation=6) == (
        Box(0, 0, 10, 20),
        Box(0, 20, 20, 10),
    )


def test_what_fits_only_as_shown_is_read_so(tmp_path: Path) -> None:
    mask = np.zeros((40, 30), np.uint8)
    mask[:20, :10] = 255
    PillowImage.fromarray(mask).save(tmp_path / "a.png")
    regions = load_regions(tmp_path)
    with pytest.raises(InputError, match="expected a mask of 40 x 30 pixels, got 30 x 40"):
        regions.boxes_for("a.jpg", width=40, height=30)
    assert regions.boxes_for("a.jpg", width=40, height=30, orientation=6) == (Box(0, 20, 20, 10),)
    with pytest.raises(InputError, match="expected a mask of 41 x 30 pixels"):
        regions.boxes_for("a.jpg", width=41, height=30, orientation=6)
