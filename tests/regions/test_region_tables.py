from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medlocker.errors import InputError
from medlocker.geometry import Box
from medlocker.regions import Regions, load_regions
from medlocker.regions._rle import box_from_runs

HEADER = "image,region,x,y,width,height\n"


def csv_regions(folder: Path, rows: str, **options: Any) -> Regions:
    path = folder / "boxes.csv"
    path.write_text(HEADER + rows, encoding="utf-8")
    return load_regions(path, **options)


def coco(folder: Path, **changes: Any) -> Path:
    content: dict[str, Any] = {
        "images": [
            {"id": 7, "file_name": "a/1.png", "width": 40, "height": 30},
            {"id": 8, "file_name": "clean.png"},
        ],
        "categories": [{"id": 1, "name": "exudate"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [2, 3, 4.5, 5]}],
    }
    path = folder / "coco.json"
    path.write_text(json.dumps(content | changes), encoding="utf-8")
    return path


def yolo(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder


def test_csv_boxes_are_grown_outwards_given_a_margin_and_clipped(tmp_path: Path) -> None:
    regions = csv_regions(tmp_path, "1.png,ex,2.5,3.1,4,4.95\n1.png,ex,-3,0,5,5\n1.png,ex,2.5,3.1,4,4.95\n")
    assert regions.boxes_for("1.png", width=20, height=20) == (Box(0, 0, 2, 5), Box(2, 3, 5, 6))
    regions = csv_regions(tmp_path, "1.png,ex,2,3,4,5\n", margin_px=3)
    assert regions.boxes_for("1.png", width=20, height=9) == (Box(0, 0, 9, 9),)
    assert regions.kinds == {"ex": 1}


def test_csv_columns_go_by_name_and_a_byte_order_mark_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    text = "Height,width,note,y,x,region,image\n5,4,hello,3,2,ex,.\\sub\\1.png\n\n"
    path.write_text(text, encoding="utf-8-sig")
    assert load_regions(path).boxes_for("sub/1.png", width=20, height=20) == (Box(2, 3, 4, 5),)


@pytest.mark.parametrize(
    ("row", "fact"),
    [
        ("1.png,ex,2,3,nan,5", "expected finite numbers"),
        ("1.png,ex,inf,3,4,5", "expected finite numbers"),
        ("1.png,ex,2,3,-4,5", "expected a width and height above 0, got -4 x 5"),
        ("1.png,ex,2,3,4,0", "expected a width and height above 0, got 4 x 0"),
        ("1.png,ex,2,3,4,1e9", "expected at most 10000000 pixels"),
        ("1.png,ex,2,3,4,1_0", "expected a number, got '1_0'"),
        ("1.png,ex,2,,4,5", "expected a number, got ''"),
        ("1.png,ex,2,3,4", "expected 6 columns, got 5"),
        ("1.png,ex,2,3,4,5,6", "expected 6 columns, got 7"),
        (",ex,2,3,4,5", "expected an image and a region, got an empty name"),
        ("1.png,ex,2,3,4,\0", "expected text, got a binary file"),
        ("1.png," + "x" * 70_000, "expected at most 65536 characters"),
    ],
)
def test_bad_csv_rows_name_file_and_line(tmp_path: Path, row: str, fact: str) -> None:
    with pytest.raises(InputError) as caught:
        csv_regions(tmp_path, "1.png,a long name of a lesion,2,3,4,5\n" + row + "\n")
    assert str(caught.value).startswith(f"regions boxes.csv, line 3: {fact}")


def test_csv_without_header_or_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("1.png,ex,1,2,3,4\n", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"line 1: expected the columns image,.*got none called image, region"
    ):
        load_regions(path)
    path.write_bytes(HEADER.encode() + b"\xff\xfe,ex,1,2,3,4\n")
    with pytest.raises(InputError, match=r"regions r\.csv: expected UTF-8 text"):
        load_regions(path)
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputError, match=r"regions r\.csv: expected CSV or COCO JSON, got a binary file"):
        load_regions(path)
    with pytest.raises(InputError, match="regions nothing: expected a file or folder that exists"):
        load_regions(tmp_path / "nothing")


def test_too_many_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medlocker.regions._table.MAX_ROWS", 2)
    with pytest.raises(InputError, match="line 4: expected at most 2 regions"):
        csv_regions(tmp_path, "1.png,ex,2,3,4,5\n" * 3)


def test_a_box_wholly_outside_names_row_and_image(tmp_path: Path) -> None:
    regions = csv_regions(tmp_path, "1.png,ex,2,3,4,5\n1.png,ex,20,3,4,5\n", margin_px=9)
    expected = "regions boxes.csv, line 3: expected a region inside 1.png of 20 x 20 pixels, got x 20, y 3"
    with pytest.raises(InputError, match=expected):
        regions.boxes_for("1.png", width=20, height=20)


def test_names_match_by_path_then_file_then_stem(tmp_path: Path) -> None:
    rows = "a/1.png,ex,1,0,1,1\nb/1.png,ex,2,0,1,1\n1.png,ex,3,0,1,1\nb/2.tif,ex,4,0,1,1\n3,ex,5,0,1,1\n"
    regions = csv_regions(tmp_path, rows)
    names = ["a/1.png", "c/1.png", "a/2.jpg", "a/3.jpg", "4.jpg"]
    alone = [[box.x for box in regions.boxes_for(name, width=9, height=9)] for name in names]
    # c/1.png: the row without a folder means every file of that name
    assert alone == [[1, 3], [3], [4], [5], []]
    settled = regions.among(names)
    # b/1.png is not among the images: its row goes to all that it fits, one box too many is safe
    assert [[b.x for b in settled.boxes_for(name, width=9, height=9)] for name in names] == [
        [1, 2, 3],
        [2, 3],
        [4],
        [5],
        [],
    ]
    assert regions.missing(names) == ("4.jpg",)
    assert regions.unknown(["a/1.png", "a/3.jpg"]) == ("b/2.tif",)


def test_an_image_not_given_before_is_refused_instead_of_being_free(tmp_path: Path) -> None:
    regions = csv_regions(tmp_path, "1.png,ex,2,3,4,5\n").among(["2.png"])
    assert regions.boxes_for("2.png", width=9, height=9) == ()
    with pytest.raises(InputError, match=r"regions of 1\.png: expected one of the images given before"):
        regions.boxes_for("1.png", width=9, height=9)


def test_kinds_can_be_chosen_and_left_out(tmp_path: Path) -> None:
    rows = "1.png,ex,1,0,1,1\n1.png,optic_disc,2,0,1,1\n1.png,he,3,0,1,1\n"

    def columns(**options: Any) -> list[int]:
        regions = csv_regions(tmp_path, rows, **options)
        return [box.x for box in regions.boxes_for("1.png", width=9, height=9)]

    assert columns(exclude=["optic_disc"]) == [1, 3]
    assert columns(only=["he", "optic_disc"]) == [2, 3]
    assert columns(only=["he", "optic_disc"], exclude=["he"]) == [2]
    assert columns(min_area_px=2) == []
    expected = r"expected a kind of region that occurs \(ex, he, optic_disc\), got 'optic disc'"
    with pytest.raises(InputError, match=expected):
        columns(exclude=["optic disc"])
    with pytest.raises(InputError, match="expected a list of kinds of regions, got a single text"):
        columns(only="ex")


@pytest.mark.parametrize(("option", "value"), [("margin_px", -1), ("margin_px", 65_536), ("min_area_px", 0)])
def test_options_out_of_range_are_refused(tmp_path: Path, option: str, value: int) -> None:
    with pytest.raises(InputError, match=rf"expected a .* px, got {value}"):
        csv_regions(tmp_path, "", **{option: value})


def test_coco_boxes_polygons_and_clean_images(tmp_path: Path) -> None:
    polygon = {"image_id": 7, "category_id": 1, "bbox": [], "segmentation": [[9, 9, 12, 9, 12, 14.5]]}
    both = {"image_id": 7, "category_id": 1, "bbox": [20, 20, 1, 1], "segmentation": [[0, 0, 9, 0, 9, 9]]}
    plain = {"image_id": 7, "category_id": 1, "bbox": [2, 3, 4.5, 5]}
    regions = load_regions(coco(tmp_path, annotations=[plain, polygon, both]))
    expected = (Box(2, 3, 5, 5), Box(9, 9, 3, 6), Box(20, 20, 1, 1))
    assert regions.boxes_for("a/1.png", width=40, height=30) == expected
    assert regions.kinds == {"exudate": 3}
    assert regions.missing(["clean.png", "a/1.png", "other.png"]) == ("other.png",)


def test_coco_states_the_size_that_its_boxes_are_for(tmp_path: Path) -> None:
    expected = r"regions of a/1\.png: expected an image of 40 x 30 pixels, got 80 x 60"
    with pytest.raises(InputError, match=expected):
        load_regions(coco(tmp_path)).boxes_for("a/1.png", width=80, height=60)


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"images": None}, "expected COCO JSON with a list of images"),
        ({"annotations": [3]}, "expected COCO JSON with a list of annotations"),
        ({"images": [{"id": 1}]}, "image 1: expected file_name, a text"),
        ({"images": [{"file_name": "x"}]}, "image 1: expected id, a number or text"),
        ({"images": [{"id": 7, "file_name": "x"}] * 2}, "image 2: expected every id once, got it again"),
        ({"categories": []}, "annotation 1: expected an image_id and a category_id that are listed"),
    ],
)
def test_bad_coco_files_are_refused(tmp_path: Path, changes: dict[str, Any], fact: str) -> None:
    with pytest.raises(InputError) as caught:
        load_regions(coco(tmp_path, **changes))
    assert str(caught.value) in (f"regions coco.json: {fact}", f"regions coco.json, {fact}")


@pytest.mark.parametrize(
    ("annotation", "fact"),
    [
        ({"bbox": [1, 2, 3]}, "expected a bbox of 4 numbers"),
        ({"bbox": [1, 2, 3, True]}, "expected a bbox of 4 numbers"),
        ({"bbox": [1, 2, 3, float("nan")]}, "expected finite numbers"),
        ({"bbox": [1, 2, 3, 10**400]}, "expected finite numbers"),
        ({"bbox": [1, 2, 3, -1]}, "expected a width and height above 0, got 3 x -1"),
        ({}, "expected a bbox, a polygon or runs (RLE)"),
        ({"segmentation": {"counts": [1, 2], "size": [3, 3]}}, "expected runs (RLE) of 3 x 3 pixels in all"),
        ({"segmentation": {"counts": [9], "size": [3, 3]}}, "expected a region, got an empty mask"),
        (
            {"segmentation": {"counts": [9], "size": [3]}},
            "expected runs (RLE) with a size of height and width",
        ),
        (
            {"segmentation": {"counts": [-1, 10], "size": [3, 3]}},
            "expected runs (RLE) as a list of numbers, or as COCO's text",
        ),
        ({"segmentation": {"counts": "a b", "size": [3, 3]}}, "expected runs (RLE) as COCO's text"),
        ({"segmentation": [[1, 2, 3, 4]]}, "expected polygons of x, y pairs"),
    ],
)
def test_bad_coco_annotations_are_refused(tmp_path: Path, annotation: dict[str, Any], fact: str) -> None:
    path = coco(tmp_path, annotations=[{"image_id": 7, "category_id": 1} | annotation])
    with pytest.raises(InputError) as caught:
        load_regions(path)
    assert str(caught.value) == f"regions coco.json, annotation 1: {fact}"


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"images": ' + "1" * 5000 + "}"])
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "coco.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"regions coco\.json: expected"):
        load_regions(path)


def test_yolo_boxes_polygons_and_class_names(tmp_path: Path) -> None:
    one = "0 0.5 0.5 0.25 0.5\n1 0.5 0.5 0.25 0.5 0.9\n7 0 0 0.25 0 0.25 0.25\n"
    regions = load_regions(yolo(tmp_path, one=one, clean="", classes="ex\nhe\n", README="words"))
    assert regions.kinds == {"ex": 1, "he": 1, "7": 1}
    assert regions.boxes_for("one.jpg", width=40, height=20) == (Box(0, 0, 10, 5), Box(15, 5, 10, 10))
    assert regions.boxes_for("clean.jpg", width=40, height=20) == ()
    assert regions.missing(["clean.jpg", "one.jpg", "two.jpg"]) == ("two.jpg",)


@pytest.mark.parametrize(
    ("line", "fact"),
    [
        ("ex 0.5 0.5 0.1 0.1", "expected a class number, got 'ex'"),
        ("0 0.5 0.5 0.1", "expected class cx cy w h or class x1 y1 x2 y2 x3 y3 ..., got 4 values"),
        ("0 0.5 0.5 0.1 0.1 0.1 0.1 0.1", "expected class cx cy w h or"),
        ("0 300 200 20 20", "expected shares of the image from 0 to 1, got 290, 190, 20, 20"),
        ("0 0.5 0.5 nan 0.1", "expected finite numbers"),
        ("0 0.1 0.1 nan 0.1 0.3 0.3", "expected finite numbers"),
        ("0 0.5 0.5 0 0.1", "expected a width and height above 0, got 0 x 0.1"),
    ],
)
def test_bad_yolo_lines_name_file_and_line(tmp_path: Path, line: str, fact: str) -> None:
    with pytest.raises(InputError) as caught:
        load_regions(yolo(tmp_path, one="\n" + line))
    assert str(caught.value).startswith(f"regions one.txt, line 2: {fact}")


@given(
    st.floats(-5, 60).filter(lambda v: abs(v) > 1e-6),
    st.floats(-5, 60),
    st.floats(1e-3, 50),
    st.floats(1e-3, 50),
    st.integers(0, 5),
)
def test_every_box_covers_its_row_inside_the_image(
    tmp_path_factory: pytest.TempPathFactory, x: float, y: float, width: float, height: float, margin: int
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    regions = csv_regions(folder, f"1.png,ex,{x!r},{y!r},{width!r},{height!r}\n", margin_px=margin)
    try:
        (box,) = regions.boxes_for("1.png", width=50, height=40)
    except InputError:
        assert x + width <= 0 or y + height <= 0 or x >= 50 or y >= 40
        return
    assert box.x <= max(x - margin, 0)
    assert box.y <= max(y - margin, 0)
    assert min(x + width + margin, 50) <= box.right <= 50
    assert min(y + height + margin, 40) <= box.bottom <= 40


def compressed(runs: list[int]) -> str:
    """COCO's compression of runs, from its description."""
    text = ""
    for k, run in enumerate(runs):
        value = run - (runs[k - 2] if k > 2 else 0)
        more = True
        while more:
            code, value = value & 0x1F, value >> 5
            more = value != (-1 if code & 0x10 else 0)
            text += chr((code | 0x20 if more else code) + 48)
    return text


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=5), min_size=2, max_size=70), st.booleans())
def test_runs_give_the_box_of_their_mask(rows: list[list[bool]], as_text: bool) -> None:
    width = min(map(len, rows))
    mask = np.array([row[:width] for row in rows])
    flat = mask.T.ravel().astype(int)
    changes = np.flatnonzero(np.diff(flat)) + 1
    ends = [*([] if not flat[0] else [0]), *changes.tolist(), flat.size]
    runs = np.diff([0, *ends]).tolist()
    value = {"size": list(mask.shape), "counts": compressed(runs) if as_text else runs}
    if not mask.any():
        with pytest.raises(ValueError, match="got an empty mask"):
            box_from_runs(value)
        return
    (top, left), (bottom, right) = np.argwhere(mask).min(axis=0), np.argwhere(mask).max(axis=0) + 1
    assert box_from_runs(value) == (left, top, right - left, bottom - top)


@pytest.mark.parametrize("mark", [";", "\t"])
def test_other_marks_between_cells(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text("image,region,x,y,width,height\na.png,ex,1,2,3,4\n".replace(",", mark))
    assert load_regions(path).boxes_for("a.png", width=40, height=30) == (Box(1, 2, 3, 4),)
