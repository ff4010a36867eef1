"""Marked DICOM files as DCMTK sees them: a reader that shares no code with ours or pydicom's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import uid

from dicom_samples import FOLDER, Array, Sample, write
from medlocker.formats import mark_file, read_image
from medlocker.images import Image, viewed
from medlocker.logo import builtin_logo
from medlocker.mark import Mark

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("dcmdump") is None, reason="needs DCMTK's programs (dcmdump) on PATH"),
]
DECODERS = {
    "1.2.840.10008.1.2.4.80": "dcmdjpls",
    "1.2.840.10008.1.2.4.57": "dcmdjpeg",
    "1.2.840.10008.1.2.4.70": "dcmdjpeg",
    "1.2.840.10008.1.2.5": "dcmdrle",
}


def run(*command: str | Path) -> str:
    """What a program says; warnings count as failures."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if line.startswith(("W:", "E:", "F:"))], done.stderr
    return done.stdout


def marked_file(data: bytes, path: Path) -> Image:
    image = read_image(data, name="a")
    side = min(image.height, image.width) // 2
    path.write_bytes(
        mark_file(image, [Mark(x=3, y=2, size_px=side, opacity=45000)], logo=builtin_logo()).data
    )
    return read_image(path.read_bytes(), name="a")


@pytest.mark.parametrize("name", [
    "CT_small.dcm", "MR_small_implicit.dcm", "MR_small_expb.dcm", "MR_small_RLE.dcm", "image_dfl.dcm",
    "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_jpeg_dcmtk.dcm", "examples_palette.dcm",
    "SC_ybr_full_422_uncompressed.dcm", "examples_ybr_color.dcm", "examples_overlay.dcm", "JPEG-lossy.dcm",
])  # fmt: skip
def test_dcmtk_reads_marked_files_and_their_pixels(name: str, tmp_path: Path) -> None:
    path, plain = tmp_path / "a.dcm", tmp_path / "plain.dcm"
    image = marked_file((FOLDER / name).read_bytes(), path)
    assert "visible mark added by medlocker" in run("dcmdump", "-q", "+L", path)
    ds = pydicom.dcmread(path)
    decoder = DECODERS.get(ds.file_meta.TransferSyntaxUID)
    if decoder is None:
        return
    run(decoder, "-q", path, plain)
    found = pydicom.dcmread(plain)
    assert found.file_meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian
    raw = found.pixel_array.astype(np.int64)
    frames = image.frames
    middle = raw if frames is None else raw[len(frames) // 2]
    sign = 1 << ds.BitsStored - 1 if ds.PixelRepresentation else 0
    samples = (middle & (1 << ds.BitsStored) - 1) ^ sign
    assert np.array_equal(samples.reshape(image.pixels.shape), image.pixels)


def pnm(path: Path) -> Array:
    """A raw PGM or PPM, 8 bits."""
    data = path.read_bytes()
    magic, width, height = data.split(maxsplit=3)[:3]
    channels = 3 if magic == b"P6" else 1
    count = int(width) * int(height) * channels
    return np.frombuffer(data[-count:], np.uint8).reshape(int(height), int(width), channels)


@pytest.mark.parametrize("function", ["LINEAR", "SIGMOID"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_the_window_shows_what_dcmtk_shows(function: str, photometric: str, tmp_path: Path) -> None:
    words = np.arange(4096, dtype=np.uint16).reshape(1, 64, 64, 1)
    sample = Sample(words, photometric, 12)
    sample.elements = {
        "WindowCenter": "900", "WindowWidth": "1500", "VOILUTFunction": function,
        "RescaleSlope": "2", "RescaleIntercept": "-1000",
    }  # fmt: skip
    image = marked_file(write(sample), tmp_path / "a.dcm")
    run("dcm2pnm", "-q", "+Wi", "1", "+op", tmp_path / "a.dcm", tmp_path / "a.pnm")
    grey = pnm(tmp_path / "a.pnm")[..., 0].astype(int)
    assert np.abs(grey - np.round(viewed(image)[..., 0] / 257)).max() <= 1


def test_an_image_without_a_window_is_shown_in_that_of_its_own_range(tmp_path: Path) -> None:
    words = (np.arange(4096, dtype=np.uint16) % 1500 + 300).reshape(1, 64, 64, 1)
    image = marked_file(write(Sample(words, stored=12)), tmp_path / "a.dcm")
    run("dcm2pnm", "-q", "+Wi", "1", "+op", tmp_path / "a.dcm", tmp_path / "a.pnm")
    grey = pnm(tmp_path / "a.pnm")[..., 0].astype(int)
    assert np.abs(grey - np.round(viewed(image)[..., 0] / 257)).max() <= 1
