"""Regions go to worker processes: every source must bear it, whatever its rows and names."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from medlocker.errors import InputError
from medlocker.regions import load_regions

NAMES = ("a.png", "b.png")


def _csv(folder: Path) -> Path:
    path = folder / "boxes.csv"
    path.write_text("image,region,x,y,width,height\na.png,haemorrhage,10,12,20,8\nb.png,exudates,900,1,2,2\n")
    return path


def _coco(folder: Path) -> Path:
    path = folder / "boxes.json"
    images = [{"id": k, "file_name": name, "width": 64, "height": 48} for k, name in enumerate(NAMES)]
    boxes = [
        {"id": 1, "image_id": 0, "category_id": 1, "bbox": [10, 12, 20, 8]},
        {"id": 2, "image_id": 1, "category_id": 1, "bbox": [900, 1, 2, 2]},
    ]
    categories = [{"id": 1, "name": "haemorrhage"}]
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": categories}))
    return path


def _yolo(folder: Path) -> Path:
    (folder / "yolo").mkdir()
    (folder / "yolo" / "a.txt").write_text("0 0.3125 0.3333333 0.3125 0.1666666\n")
    (folder / "yolo" / "b.txt").write_text("")
    return folder / "yolo"


def _masks(folder: Path) -> Path:
    (folder / "masks").mkdir()
    mask = np.zeros((48, 64), np.uint8)
    mask[12:20, 10:30] = 255
    Pillow.fromarray(mask).save(folder / "masks" / "a.png")
    Pillow.fromarray(mask[:9]).save(folder / "masks" / "b.png")
    return folder / "masks"


@pytest.mark.parametrize("make", [_csv, _coco, _yolo, _masks])
def test_what_arrives_is_what_was_sent(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    sent = load_regions(make(tmp_path), margin_px=2).among(NAMES)
    arrived = pickle.loads(pickle.dumps(sent))
    (box,) = arrived.boxes_for("a.png", width=64, height=48)
    assert (box,) == sent.boxes_for("a.png", width=64, height=48)
    assert (box.x, box.y) == (8, 10)
    told = []
    if make is _yolo:  # shares of an image cannot lie outside it
        assert arrived.boxes_for("b.png", width=64, height=48) == ()
        return
    for regions in (sent, arrived):
        with pytest.raises(InputError) as caught:
            regions.boxes_for("b.png", width=64, height=48)
        told.append(str(caught.value))
    assert told[0] == told[1]
