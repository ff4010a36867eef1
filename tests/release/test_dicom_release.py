"""DICOM through a whole release: which files are taken, what is passed over, what comes back."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicom_samples import FOLDER, PERSON, Sample, header, jpeg, saved, write
from medlocker.certificates import Owner
from medlocker.errors import InputError
from medlocker.regions import load_regions
from medlocker.release import find_inputs
from runs import check_release, protect


def smooth(seed: int, *, count: int = 1) -> Sample:
    y, x = np.mgrid[:48, :52]
    frames = [(np.sin((x + 3 * k) / 9 + seed) + np.cos(y / 7)) * 500 + 2000 for k in range(count)]
    return Sample(np.stack(frames)[..., None].astype(np.uint16), stored=12)


def numbered(sample: Sample, number: int) -> bytes:
    """A file of a series of its own."""
    named = {"SOPInstanceUID": f"1.2.3.{number}", "SeriesInstanceUID": f"1.2.5.{number}"}
    return write(replace(sample, elements={**sample.elements, **named}))


def test_dicom_is_found_by_its_name_or_what_it_holds(tmp_path: Path) -> None:
    data = numbered(smooth(0), 0)
    for name in ("a.dcm", "b.DICOM", "c.IMA", "IM0001", "1.2.840.17", "g.DIC", "d.dat", "e.txt"):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "README").write_bytes(b"text")
    for name in ("f.dcm", "IM0002"):  # without a preamble
        (tmp_path / name).write_bytes(data[132:])
    (tmp_path / "words.dic").write_bytes(b"2\nword\n")
    (tmp_path / "x_mask.png").write_bytes(b"")
    (tmp_path / "x.png").write_bytes(b"")
    (tmp_path / "out.png").symlink_to("/etc/hostname")
    inputs = find_inputs(tmp_path)
    assert [item.name for item in inputs.items] == [
        "1.2.840.17",
        "IM0001",
        "IM0002",
        "a.dcm",
        "b.DICOM",
        "c.IMA",
        "f.dcm",
        "g.DIC",
        "x.png",
    ]
    assert sorted(inputs.passed_over) == ["README", "d.dat", "e.txt", "out.png", "words.dic"]
    told = inputs.left_out()
    assert told["count"] == 6
    assert {one["file"]: one["reason"] for one in told["files"]} == {
        "x_mask.png": "a mask of another image, by its name",
        "README": "no ending, and no DICOM file",
        "d.dat": "DICOM, but not by its ending: call it .dcm",
        "e.txt": "DICOM, but not by its ending: call it .dcm",
        "out.png": "a link to outside the folder",
        "words.dic": "no image by its ending",
    }
    assert all(item.output_name == item.name for item in inputs.items)


def test_a_folder_is_marked_verified_and_restored(tmp_path: Path, owner: Owner) -> None:
    source = tmp_path / "in"
    source.mkdir()
    plain = {"a.dcm": numbered(smooth(0), 0), "stack.dcm": numbered(smooth(1, count=3), 1)}
    picture = np.repeat(np.round(smooth(2).words[0] / 16).astype(np.uint8), 3, axis=2)
    others = {"lossy.dcm": jpeg([picture], "YBR_FULL_422")}
    for name, data in {**plain, **others}.items():
        (source / name).write_bytes(data)
    for name in ("test-SR.dcm", "rtplan.dcm", "dicomdirtests/DICOMDIR"):
        shutil.copy(FOLDER / name, source)
    (source / "cut.dcm").write_bytes(numbered(smooth(3), 3)[:-100])
    result = protect(source, tmp_path / "out", owner)
    assert (result.summary.marked, len(result.summary.skipped), len(result.summary.failed)) == (3, 3, 1)
    told = str(result.summary)
    assert "a structured report, not an image" in told
    assert "SECRET" not in told
    images = check_release(source, tmp_path / "out", owner, tmp_path / "back")
    assert set(images) == {*plain, *others}
    for name, data in plain.items():
        assert (tmp_path / "back" / name).read_bytes() == data
        assert pydicom.dcmread(io.BytesIO(images[name])).PatientName == PERSON
    certificate = b"".join(
        p.read_bytes() for p in (tmp_path / "out" / "certificate").rglob("*") if p.is_file()
    )
    assert b"SECRET" not in certificate


def test_segmentations_keep_marks_out(tmp_path: Path, owner: Owner) -> None:
    (tmp_path / "in").mkdir()
    data = numbered(smooth(4), 4)
    (tmp_path / "in" / "a.dcm").write_bytes(data)
    ds = header(Sample(np.zeros((1, 48, 52, 1), np.uint8)))
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.SegmentationType = 1, 1, 0, "BINARY"
    mask = np.zeros((48, 52), np.uint8)
    mask[5:40, 6:20] = 1
    ds.PixelData = np.packbits(mask.ravel(), bitorder="little").tobytes()
    ds["PixelData"].VR = "OB"
    item, series = pydicom.Dataset(), pydicom.Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3.4"
    series.ReferencedInstanceSequence = [item]
    ds.ReferencedSeriesSequence = [series]
    (tmp_path / "seg.dcm").write_bytes(saved(ds))
    places = {"a.dcm": tmp_path / "in" / "a.dcm"}
    regions = load_regions(tmp_path / "seg.dcm", images=places).among(places)
    assert len(regions.boxes_for("a.dcm", width=52, height=48)) == 1
    protect(tmp_path / "in", tmp_path / "out", owner, regions=regions)
    before = pydicom.dcmread(io.BytesIO(data)).pixel_array
    after = pydicom.dcmread(tmp_path / "out" / "images" / "a.dcm").pixel_array
    assert not np.array_equal(before, after)
    assert np.array_equal(before[5:40, 6:20], after[5:40, 6:20])


def test_a_folder_without_images_says_which_kinds_there_are(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"text")
    with pytest.raises(InputError, match=r"expected images \(.*\.dcm, \.dicom, \.ima.*\), found none"):
        find_inputs(tmp_path)
