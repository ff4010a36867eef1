"""Masks that may have lesions and background the wrong way round."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import medlocker as ml
from medlocker.geometry import Box
from medlocker.regions import load_regions
from runs import fill

LESION = np.zeros((40, 50))
LESION[10:20, 5:15] = 1
INVERTED = 255 * (1 - LESION)

MASKS = {
    "inverted": (INVERTED.astype(np.uint8), True),
    "probabilities, nowhere 0": ((LESION + 1e-6).astype(np.float32), True),
    "labels from 1 on": ((LESION + 1).astype(np.int32), True),
    "as usual": (LESION.astype(np.uint8), False),
    "real numbers": (LESION.astype(np.float32), False),
    "several labels": ((LESION * 7).astype(np.int32), False),
}


@pytest.mark.parametrize(("pixels", "is_doubtful"), MASKS.values(), ids=MASKS)
def test_a_mask_of_nearly_everything_is_doubtful(
    tmp_path: Path, pixels: np.ndarray, is_doubtful: bool
) -> None:
    Image.fromarray(pixels).save(tmp_path / "a_mask.tif")
    regions = load_regions(tmp_path).among(["a.png"])
    assert regions.doubtful_masks() == (("a_mask.tif",) if is_doubtful else ())
    if not is_doubtful:
        assert regions.boxes_for("a.png", width=50, height=40) == (Box(5, 10, 10, 10),)


def test_only_a_few_masks_of_the_images_are_looked_at(tmp_path: Path) -> None:
    for k in range(20):
        Image.fromarray(INVERTED.astype(np.uint8)).save(tmp_path / f"{k:02d}.png")
    regions = load_regions(tmp_path).among([f"{k:02d}.jpg" for k in range(19)])
    assert len(regions.doubtful_masks(most=4)) == 4
    (tmp_path / "00.png").write_bytes(b"no picture")
    assert "00.png" not in regions.doubtful_masks()


def test_protecting_asks_about_it(tmp_path: Path, owner_name: Path) -> None:
    fill(tmp_path / "in", 1)
    (tmp_path / "masks").mkdir()
    Image.new("L", (48, 48), 1).save(tmp_path / "masks" / "00.png")
    done = ml.protect(
        tmp_path / "in", owner=owner_name, out=tmp_path / "out", regions=tmp_path / "masks", ledger=False
    )
    assert any("mask 00.png covers more than 90% of its image: is 0 the background" in t for t in done.notes)
