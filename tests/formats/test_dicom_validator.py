"""Marked DICOM files before a validator of the standard: no error that the original has not."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dicom_samples import FOLDER
from medlocker.formats import mark_file, read_image
from medlocker.logo import builtin_logo
from medlocker.mark import Mark
from medlocker.provenance import Provenance

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dicom3tools' dciodvfy on PATH"),
]
FILES = [
    "CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "SC_rgb_rle.dcm", "SC_rgb_jpeg_dcmtk.dcm",
    "JPEG2000.dcm", "examples_rgb_color.dcm", "examples_ybr_color.dcm",
    "examples_palette.dcm", "examples_overlay.dcm",
]  # fmt: skip


def errors_in(path: Path) -> set[str]:
    """What the validator complains of, values left out."""
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, errors="replace")
    return {re.sub(r"<[^>]*>", "<>", line) for line in done.stderr.splitlines() if line.startswith("Error")}


@pytest.mark.parametrize("name", FILES)
def test_marking_brings_no_new_error(name: str, tmp_path: Path) -> None:
    data = (FOLDER / name).read_bytes()
    image = read_image(data, name=name)
    mark = Mark(x=1, y=1, size_px=max(min(image.height, image.width) // 3, 8), opacity=50000)
    path = tmp_path / "marked.dcm"
    told = Provenance("ab" * 16)
    path.write_bytes(mark_file(image, [mark], logo=builtin_logo(), provenance=told).data)
    assert errors_in(path) <= errors_in(FOLDER / name)


def test_the_validator_sees_errors(tmp_path: Path) -> None:
    data = (FOLDER / "CT_small.dcm").read_bytes()
    path = tmp_path / "broken.dcm"
    path.write_bytes(data.replace(b"ORIGINAL\\PRIMARY\\AXIAL", b"WHATEVER\\PRIMARY\\AXIAL"))
    assert errors_in(path) > errors_in(FOLDER / "CT_small.dcm")
