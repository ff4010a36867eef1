"""Regions as annotation tools save them: LabelMe, Pascal VOC, VIA; others are called by their names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset

import medlocker as ml
from medlocker.errors import InputError
from medlocker.geometry import Box
from medlocker.regions import load_regions
from runs import fill

WIDTH, HEIGHT = 60, 40


def labelme(*shapes: dict[str, Any], image: str = "a.png", size: tuple[int, int] = (WIDTH, HEIGHT)) -> str:
    content = {"version": "5.4", "shapes": shapes, "imagePath": image, "imageData": None}
    return json.dumps({**content, "imageWidth": size[0], "imageHeight": size[1]})


def shape(kind: str, points: list[list[float]], label: str = "lesion") -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}}


def voc(*boxes: tuple[object, object, object, object], name: str = "a.png", width: int = WIDTH) -> str:
    objects = "".join(
        f"<object><name>nodule</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        for left, top, right, bottom in boxes
    )
    size = f"<size><width>{width}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    return f"<annotation><folder>x</folder><filename>{name}</filename>{size}{objects}</annotation>"


def via(*regions: dict[str, Any], name: str = "a.png") -> dict[str, Any]:
    listed = [{"shape_attributes": one, "region_attributes": {"type": "mass"}} for one in regions]
    return {f"{name}123": {"filename": name, "size": 123, "regions": listed, "file_attributes": {}}}


def found(path: Path, name: str = "a.png") -> tuple[Box, ...]:
    return load_regions(path).boxes_for(name, width=WIDTH, height=HEIGHT)


@pytest.mark.parametrize(
    ("one", "box"),
    [
        (shape("polygon", [[5, 6], [20, 6.5], [12, 30]]), Box(5, 6, 16, 25)),
        (shape("rectangle", [[20, 30], [5, 6]]), Box(5, 6, 16, 25)),
        (shape("circle", [[20, 20], [23, 24]]), Box(15, 15, 11, 11)),
        (shape("point", [[7, 8]]), Box(7, 8, 1, 1)),
        (shape("linestrip", [[7, 8], [7, 20]]), Box(7, 8, 1, 13)),
    ],
)
def test_labelme_beside_its_picture(tmp_path: Path, one: dict[str, Any], box: Box) -> None:
    (tmp_path / "a.json").write_text(labelme(one))
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "a.png")
    assert found(tmp_path) == (box,)
    assert found(tmp_path / "a.json") == (box,)
    assert load_regions(tmp_path).kinds == {"lesion": 1}


def test_a_labelme_file_without_shapes_lists_its_image(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(labelme())
    assert load_regions(tmp_path).missing(["a.png", "b.png"]) == ("b.png",)


def test_a_renamed_file_counts_under_both_names(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(labelme(shape("point", [[7, 8]]), image="..\\old\\a.png"))
    assert found(tmp_path, "b.png") == found(tmp_path, "a.png") == (Box(7, 8, 1, 1),)


def test_voc_takes_boxes_from_0_and_from_1(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.xml").write_text(voc((10, 12, 20, 25), (1, 1, 2, 2)))
    assert found(tmp_path, "sub/a.png") == (Box(0, 0, 3, 3), Box(9, 11, 12, 15))
    assert found(tmp_path / "sub" / "a.xml") == (Box(0, 0, 3, 3), Box(9, 11, 12, 15))


def test_a_size_that_is_not_the_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(voc((1, 1, 2, 2), width=WIDTH + 1))
    with pytest.raises(InputError, match="expected an image of 61 x 40 pixels, got 60 x 40"):
        found(tmp_path)


@pytest.mark.parametrize(
    ("one", "box"),
    [
        ({"name": "rect", "x": 5, "y": 6, "width": 10, "height": 4}, Box(5, 6, 11, 5)),
        ({"name": "polygon", "all_points_x": [5, 15, 9], "all_points_y": [6, 6, 10]}, Box(5, 6, 11, 5)),
        ({"name": "circle", "cx": 20, "cy": 20, "r": 5}, Box(15, 15, 11, 11)),
        ({"name": "ellipse", "cx": 20, "cy": 20, "rx": 5, "ry": 2}, Box(15, 15, 11, 11)),
        ({"name": "point", "cx": 7, "cy": 8}, Box(7, 8, 1, 1)),
    ],
)
def test_via_projects_and_exports(tmp_path: Path, one: dict[str, Any], box: Box) -> None:
    content = via(one)
    (tmp_path / "export.json").write_text(json.dumps(content))
    (tmp_path / "project.json").write_text(json.dumps({"_via_settings": {}, "_via_img_metadata": content}))
    content["a.png123"]["regions"] = dict(enumerate(content["a.png123"]["regions"]))
    (tmp_path / "first.json").write_text(json.dumps(content))
    for name in ("export.json", "project.json", "first.json"):
        assert found(tmp_path / name) == (box,)
    assert load_regions(tmp_path / "export.json").kinds == {"mass": 1}


ENTITIES = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>'
)
CVAT = '<?xml version="1.0"?><annotations><version>1.1</version><image id="0" name="a.png"/></annotations>'
REFUSED = {
    "a shape that is none": (
        "a.json",
        labelme(shape("polygon", [["x", 2]])),  # type: ignore[list-item]
        "a.json, shape 1: expected points",
    ),
    "a cut file": ("a.json", '{"shapes": [', "regions a.json: expected JSON"),
    "a box the wrong way round": ("a.xml", voc((9, 1, 2, 2)), "a.xml, object 1: expected xmin, ymin, xmax"),
    "a box without numbers": ("a.xml", voc((1, 1, 2, "")), "a.xml, object 1: expected a number, got ''"),
    "a box of nan": ("a.xml", voc((1, 1, 2, "nan")), "a.xml, object 1: expected xmin"),
    "entities": ("a.xml", ENTITIES, "got damaged XML, or one with a document type"),
    "CVAT": ("a.xml", CVAT, "expected Pascal VOC XML, got CVAT XML"),
    "XML of something": ("a.xml", '<?xml version="1.0"?><slide/>', "got XML of 'slide'"),
    "a VIA shape": ("v.json", json.dumps(via({"name": "cube"})), "v.json, a.png, region 1: expected a rect"),
    "a VIA polygon": (
        "v.json",
        json.dumps(via({"name": "polygon", "all_points_x": [1], "all_points_y": []})),
        "v.json, a.png, region 1: expected points",
    ),
}


@pytest.mark.parametrize(("name", "text", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        load_regions(tmp_path / name)
    if name[0] == "a":
        with pytest.raises(InputError, match=message):
            load_regions(tmp_path)


def test_other_json_beside_masks_is_passed_over(tmp_path: Path) -> None:
    Image.new("L", (WIDTH, HEIGHT), 1).save(tmp_path / "a.png")
    (tmp_path / "dataset_description.json").write_text('{"Name": "x"}')
    (tmp_path / "notes.xml").write_text("<slide/>")
    assert found(tmp_path) == (Box(0, 0, WIDTH, HEIGHT),)
    (tmp_path / "b.xml").write_text(voc())
    with pytest.raises(InputError, match=r"either masks or LabelMe or VOC files, got both \(a.png, b.xml\)"):
        load_regions(tmp_path)


def test_one_table_in_a_folder_is_to_be_given_itself(tmp_path: Path) -> None:
    (tmp_path / "instances.json").write_text('{"images": [], "annotations": [], "categories": []}')
    with pytest.raises(InputError) as refused:
        load_regions(tmp_path)
    assert refused.value.hint == "give the file itself: instances.json"


@pytest.mark.parametrize("is_folder", [False, True])
def test_structure_sets_are_called_by_their_name(tmp_path: Path, is_folder: bool) -> None:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.481.3", "1.2.3"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.UID("1.2.3")
    ds.save_as(tmp_path / "rs.dcm", enforce_file_format=True)
    message = (
        r"regions rs.dcm: expected DICOM SEG, masks or tables, got a DICOM RT structure set \(RTSTRUCT\)"
    )
    with pytest.raises(InputError, match=message):
        load_regions(tmp_path if is_folder else tmp_path / "rs.dcm")


def test_a_folder_of_pictures_and_labelme_files_is_protected(tmp_path: Path, owner_name: Path) -> None:
    fill(tmp_path / "in", 1)
    text = labelme(shape("rectangle", [[4, 4], [9, 9]]), image="00.png", size=(48, 48))
    (tmp_path / "in" / "00.json").write_text(text)
    done = ml.protect(
        tmp_path / "in", owner=owner_name, out=tmp_path / "out", regions=tmp_path / "in", ledger=False
    )
    assert done.marked == 1
    assert done.run.regions_source == "given"
