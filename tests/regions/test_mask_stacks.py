"""Masks of several frames: a lesion in any of them is kept free in all."""

from __future__ import annotations

import io
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile

from medlocker.errors import InputError
from medlocker.regions._masks import read_mask

SLICES = np.zeros((3, 20, 30), "u1")
SLICES[0, 2:5, 3:9] = 1
SLICES[2, 12:15, 20:22] = 7
UNION = SLICES.any(axis=0)


def test_pages(tmp_path: Path) -> None:
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, SLICES, photometric="minisblack", metadata=None)
    assert np.array_equal(read_mask(path, name="m.tif", width=30, height=20), UNION)


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4"])
def test_volumes(tmp_path: Path, dtype: str) -> None:
    stored = SLICES.transpose(2, 1, 0).astype(dtype)
    path = tmp_path / "m.nii.gz"
    nibabel.save(nibabel.Nifti1Image(stored, np.eye(4), dtype=dtype), path)  # type: ignore[no-untyped-call]
    assert np.array_equal(read_mask(path, name="m", width=30, height=20), UNION)
    with pytest.raises(InputError, match=r"^mask m: expected a mask of 20 x 30 pixels, got 30 x 20$"):
        read_mask(path, name="m", width=20, height=30)


def test_pages_of_one_bit_are_still_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    tifffile.imwrite(stream, SLICES.astype(bool), photometric="minisblack", metadata=None)
    (tmp_path / "m.tif").write_bytes(stream.getvalue())
    with pytest.raises(InputError, match=r"^mask m: expected one picture, got 3$"):
        read_mask(tmp_path / "m.tif", name="m", width=30, height=20)
