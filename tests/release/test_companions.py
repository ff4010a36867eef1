"""DICOM objects that are about marked images travel with them: references, bad input, restoring, kills."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from PIL import Image as Pillow
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from companion_samples import (
    SERIES,
    SIDE,
    complaints,
    evidence,
    key_objects,
    presentation_state,
    read,
    report,
    saved,
    segmentation,
    slice_of,
    structure_set,
    uids_in,
    write,
    write_study,
)
from medlocker.certificates import Ledger, Owner, Release, open_release, owner_access, verify_release
from medlocker.errors import InputError
from medlocker.files import write_atomic
from medlocker.protect import Settings
from medlocker.regions import load_regions
from medlocker.release import Result, _beside, find_copies, find_inputs, run_release
from medlocker.restore import restore_release
from runs import fill, make_run, picture

needs_dciodvfy = pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy on PATH")


def protect(source: Path, out: Path, owner: Owner, **options: Any) -> Result:
    """Mark quickly."""
    run = make_run(source, out, owner, settings=Settings(preset="veil"), **options)
    return run_release(run)


def opened(out: Path, owner: Owner) -> Release:
    return open_release(out, owner.signing.public)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def restored(out: Path, owner: Owner, folder: Path) -> dict[str, bytes]:
    report = restore_release(owner_access(opened(out, owner), owner.identity()), folder)
    assert report.exit_code == 0, report.failures
    return files(folder)


def why(result: Result) -> dict[str, str]:
    """Reasons by name, without the name in front."""
    return {one.name: one.reason.removeprefix(f"{one.name}: ") for one in result.beside.left_out}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_study(folder)
    return folder


@pytest.fixture(scope="module")
def release(study: Path, tmp_path_factory: pytest.TempPathFactory, owner: Owner) -> Path:
    out = tmp_path_factory.mktemp("marked") / "out"
    protect(study, out, owner)
    return out


def test_all_travel_and_come_back(study: Path, release: Path, owner: Owner, tmp_path: Path) -> None:
    report = verify_release(opened(release, owner))
    assert report.valid
    assert (report.images, report.companions, report.companions_intact) == (3, 5, 5)
    assert restored(release, owner, tmp_path / "back") == files(study)


def test_every_reference_leads_into_the_release(study: Path, release: Path) -> None:
    before = {path.relative_to(study): read(path) for path in study.rglob("*.dcm")}
    after = {name: read(release / "images" / name) for name in before}
    new = {str(old.SOPInstanceUID): str(after[name].SOPInstanceUID) for name, old in before.items()}
    assert len(set(new.values())) == 8
    assert not new.keys() & new.values()
    seen = 0
    for name, old in before.items():
        if "more" not in name.parts:
            continue
        expected = [(keyword, new.get(value, value)) for keyword, value in uids_in(old)]
        assert list(uids_in(after[name])) == expected
        seen += sum(value in new for _, value in uids_in(old))
        assert after[name].file_meta.MediaStorageSOPInstanceUID == after[name].SOPInstanceUID
        assert after[name].SeriesInstanceUID == old.SeriesInstanceUID
    assert seen == 39
    assert after[Path("more/seg.dcm")].PixelData == before[Path("more/seg.dcm")].PixelData
    data = b"".join(path.read_bytes() for path in (release / "images" / "more").iterdir())
    assert not any(uid.encode() in data for uid in new)


@needs_dciodvfy
def test_a_validator_finds_nothing_new(study: Path, release: Path) -> None:
    for path in sorted((study / "more").iterdir()):
        assert complaints(release / "images" / "more" / path.name) <= complaints(path), path.name


@pytest.mark.skipif(shutil.which("dcentvfy") is None, reason="needs dcentvfy on PATH")
def test_entities_agree_among_files_as_before(study: Path, release: Path) -> None:
    def told(folder: Path) -> list[str]:
        paths = sorted(folder.rglob("*.dcm"))
        done = subprocess.run(["dcentvfy", *paths], capture_output=True, text=True, check=False)
        return sorted(done.stderr.replace(str(folder), "").splitlines())

    assert told(release / "images") == told(study)


def test_an_independent_reader_finds_the_images(release: Path) -> None:
    images = [read(path) for path in sorted((release / "images" / "ct").iterdir())]
    seg = hd.seg.segread(release / "images" / "more" / "seg.dcm")
    found = seg.get_pixels_by_source_instance([str(image.SOPInstanceUID) for image in images])
    expected = np.zeros((3, SIDE, SIDE))
    expected[:, 10:20, 12:30] = 1
    np.testing.assert_array_equal(found[..., 0], expected)
    hd.sr.srread(release / "images" / "more" / "sr.dcm")


def test_counts_are_of_images(study: Path, tmp_path: Path, owner: Owner) -> None:
    result = protect(study, tmp_path / "out", owner)
    assert (result.summary.images, result.summary.marked, result.summary.skipped) == (3, 3, [])
    assert result.json["beside"] == {
        "companions": 5,
        "kinds": {
            "key object selection": 1,
            "presentation state": 1,
            "report": 1,
            "segmentation": 1,
            "structure set": 1,
        },
        "of_several_studies": 0,
        "copies": 0,
        "left_out": [],
    }
    json.dumps(result.json)
    assert opened(tmp_path / "out", owner).statement.counts["inputs"] == 3


def test_two_releases_share_no_instance(study: Path, release: Path, tmp_path: Path, owner: Owner) -> None:
    protect(study, tmp_path / "out", owner)
    for path in (release / "images" / "more").iterdir():
        other = read(tmp_path / "out" / "images" / "more" / path.name)
        assert read(path).SOPInstanceUID != other.SOPInstanceUID


def test_without_companions_all_is_as_before(study: Path, tmp_path: Path, owner: Owner) -> None:
    result = protect(study, tmp_path / "out", owner, companions=False)
    assert len(result.summary.skipped) == 5
    assert not opened(tmp_path / "out", owner).statement.has_companions
    assert sorted(files(tmp_path / "out" / "images")) == ["ct/1.dcm", "ct/2.dcm", "ct/3.dcm"]


def test_references_to_what_is_not_there_keep_an_object_back(tmp_path: Path, owner: Owner) -> None:
    images = [slice_of(number) for number in (1, 2, 3)]
    gone = slice_of(9)
    cut = slice_of(3)
    write(
        tmp_path / "in",
        {
            "1.dcm": images[0],
            "2.dcm": images[1],
            "fits.dcm": presentation_state(images[:2], instance="1.9.1"),
            "none.dcm": presentation_state([gone], instance="1.9.2"),
            "part.dcm": presentation_state([*images[:2], gone], instance="1.9.3"),
            "failed.dcm": structure_set(images, instance="1.9.4"),
            "of-part.dcm": report([images[0]], others=[presentation_state([gone], instance="1.9.3")]),
        },
    )
    (tmp_path / "in" / "3.dcm").write_bytes(saved(cut)[:-100])
    result = protect(tmp_path / "in", tmp_path / "out", owner)
    assert result.summary.marked == 2
    assert [one.file.name for one in result.beside.travelling.objects] == ["fits.dcm"]
    assert why(result) == {
        "none.dcm": "it refers to no image of the release",
        "part.dcm": "it refers to an instance that is not in the release",
        "failed.dcm": "it refers to an instance that is not in the release",
        "of-part.dcm": "it refers to an instance that is not in the release",
    }
    assert len(result.summary.skipped) == 4
    assert verify_release(opened(tmp_path / "out", owner)).valid


def test_objects_may_refer_to_each_other_in_a_circle(tmp_path: Path, owner: Owner) -> None:
    image = slice_of(1)
    first, second = (report([], others=[image], instance=f"1.9.{number}") for number in (1, 2))
    for one, other in ((first, second), (second, first)):
        one.CurrentRequestedProcedureEvidenceSequence = evidence([other])
    second.ContentSequence[0].ContentSequence[0].ContentSequence[0].ContentSequence = Sequence()
    alone = report([], instance="1.9.3")
    alone.CurrentRequestedProcedureEvidenceSequence = evidence([alone])
    write(tmp_path / "in", {"1.dcm": image, "a.dcm": first, "b.dcm": second, "alone.dcm": alone})
    result = protect(tmp_path / "in", tmp_path / "out", owner)
    assert [one.file.name for one in result.beside.travelling.objects] == ["a.dcm", "b.dcm"]
    assert [one.images for one in result.beside.travelling.objects] == [((0, 0),), ((0, 0),)]
    assert why(result) == {"alone.dcm": "it refers to no image of the release"}
    a, b = (read(tmp_path / "out" / "images" / name) for name in ("a.dcm", "b.dcm"))
    assert str(b.SOPInstanceUID) in {value for _, value in uids_in(a)}
    assert str(a.SOPInstanceUID) in {value for _, value in uids_in(b)}


def test_damaged_doubled_and_foreign_ones_cost_only_themselves(tmp_path: Path, owner: Owner) -> None:
    image = slice_of(1)
    good = presentation_state([image])
    dose = presentation_state([image], instance="1.9.7")
    dose.SOPClassUID = dose.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.66")
    nameless = presentation_state([image], instance="1.9.8")
    del nameless.SOPInstanceUID
    write(tmp_path / "in", {"1.dcm": image, "a.dcm": good, "b.dcm": good, "raw.dcm": dose})
    (tmp_path / "in" / "cut.dcm").write_bytes(saved(key_objects([image]))[:-9])
    (tmp_path / "in" / "nameless.dcm").write_bytes(saved_loosely(nameless))
    result = protect(tmp_path / "in", tmp_path / "out", owner)
    assert [one.file.name for one in result.beside.travelling.objects] == ["a.dcm"]
    left = why(result)
    assert left["b.dcm"] == "the same instance as a.dcm"
    assert left["raw.dcm"] == "a DICOM object of a kind that does not travel with images"
    assert left["nameless.dcm"] == "expected a whole DICOM object, got a damaged or cut one"
    assert result.summary.marked == 1
    assert verify_release(opened(tmp_path / "out", owner)).valid


def saved_loosely(ds: Dataset) -> bytes:
    stream = BytesIO()
    ds.save_as(stream, enforce_file_format=False)
    return stream.getvalue()


def test_an_object_of_two_studies_travels_and_says_so(tmp_path: Path, owner: Owner) -> None:
    now, before = slice_of(1), slice_of(1, study="1.2.826.9", series="1.2.826.9.1")
    write(tmp_path / "in", {"1.dcm": now, "2.dcm": before, "sr.dcm": report([now, before])})
    result = protect(tmp_path / "in", tmp_path / "out", owner)
    assert result.json["beside"]["of_several_studies"] == 1
    write(tmp_path / "alone", {"1.dcm": now, "sr.dcm": report([now, before])})
    result = protect(tmp_path / "alone", tmp_path / "out2", owner, ledger=None)
    assert why(result) == {"sr.dcm": "it refers to an instance that is not in the release"}


def test_pictures_and_unknown_places_are_left_out(tmp_path: Path, owner: Owner) -> None:
    image = slice_of(1)
    secret = b"UNMARKED" * 400
    ko = key_objects([image])
    icon = Dataset()
    icon.Rows = icon.Columns = 40
    icon.PixelData = secret[:1600]
    icon["PixelData"].VR = "OB"
    ko.ContentSequence[0].ReferencedSOPSequence[0].IconImageSequence = Sequence([icon])
    ko.private_block(0x0011, "ACME", create=True).add_new(1, "OB", secret)
    pr = presentation_state([image])
    pr.add_new(0x60003000, "OW", secret)
    pr.add_new(0x60000010, "US", 8)
    pr.PixelData = secret
    pr["PixelData"].VR = "OB"
    pr.EncapsulatedDocument = secret
    pr.file_meta.PrivateInformationCreatorUID = UID("1.2.3")
    pr.file_meta.PrivateInformation = secret
    signature = Dataset()
    signature.Signature = b"12"
    pr.DigitalSignaturesSequence = Sequence([signature])
    write(tmp_path / "in", {"1.dcm": image, "ko.dcm": ko, "pr.dcm": pr})
    result = protect(tmp_path / "in", tmp_path / "out", owner)
    assert len(result.beside.travelling.objects) == 2
    found = files(tmp_path / "out" / "images")
    assert not any(b"UNMARKED" in data for data in found.values())
    assert "DigitalSignaturesSequence" not in read(found["pr.dcm"])
    assert len(read(found["pr.dcm"]).GraphicAnnotationSequence[0].GraphicObjectSequence[0].GraphicData) == 800
    assert restored(tmp_path / "out", owner, tmp_path / "back") == files(tmp_path / "in")


def test_a_segmentation_in_the_input_keeps_marks_out_and_travels(tmp_path: Path, owner: Owner) -> None:
    images = [slice_of(number) for number in (1, 2)]
    write(tmp_path / "in", {"1.dcm": images[0], "2.dcm": images[1], "seg.dcm": segmentation(images)})
    places = {f"{number}.dcm": tmp_path / "in" / f"{number}.dcm" for number in (1, 2)}
    regions = load_regions(tmp_path / "in" / "seg.dcm", images=places).among(places)
    result = protect(tmp_path / "in", tmp_path / "out", owner, regions=regions)
    assert result.json["beside"]["companions"] == 1
    for number, image in enumerate(images, 1):
        marked = read(tmp_path / "out" / "images" / f"{number}.dcm").pixel_array
        np.testing.assert_array_equal(marked[10:20, 12:30], image.pixel_array[10:20, 12:30])


class _KilledError(BaseException):
    """Stands for a kill: nothing after it is done."""


@pytest.mark.parametrize("survived", range(5))
def test_a_kill_while_they_are_written_changes_nothing(
    study: Path, tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    real: Callable[..., None] = write_atomic
    left = [survived]

    def killed(*arguments: Any, **options: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise _KilledError
        real(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(_beside, "write_atomic", killed)
        with pytest.raises(_KilledError):
            protect(study, tmp_path / "out", owner)
    half = files(tmp_path / "out" / "images")
    assert len(half) == 3 + survived
    protect(study, tmp_path / "out", owner)
    whole = files(tmp_path / "out" / "images")
    assert len(whole) == 8
    assert half.items() <= whole.items()
    assert restored(tmp_path / "out", owner, tmp_path / "back") == files(study)


def test_other_companions_are_another_run(
    study: Path, tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: Any, **options: Any) -> None:
        raise _KilledError

    with monkeypatch.context() as patched:
        patched.setattr(_beside, "write_atomic", killed)
        with pytest.raises(_KilledError):
            protect(study, tmp_path / "out", owner)
    with pytest.raises(InputError, match="an unfinished run with other inputs or options"):
        protect(study, tmp_path / "out", owner, companions=False)
    (tmp_path / "a.csv").write_text("")
    _, copies = find_copies([tmp_path / "a.csv"], find_inputs(study))
    with pytest.raises(InputError, match="an unfinished run with other inputs or options"):
        protect(study, tmp_path / "out", owner, copies=copies)
    protect(study, tmp_path / "out", owner)


def test_what_no_longer_travels_is_removed(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a kill and the next run an object changes, and refers to nothing of the release any more."""
    image = slice_of(1)
    write(tmp_path / "in", {"1.dcm": image, "pr.dcm": presentation_state([image])})

    def killed(*arguments: Any, **options: Any) -> None:
        raise _KilledError

    with monkeypatch.context() as patched:
        patched.setattr("medlocker.release._run.assemble", killed)
        with pytest.raises(_KilledError):
            protect(tmp_path / "in", tmp_path / "out", owner)
    assert sorted(files(tmp_path / "out" / "images")) == ["1.dcm", "pr.dcm"]
    write(tmp_path / "in", {"pr.dcm": presentation_state([slice_of(2)])})
    result = protect(tmp_path / "in", tmp_path / "out", owner)
    assert why(result) == {"pr.dcm": "it refers to no image of the release"}
    assert verify_release(opened(tmp_path / "out", owner)).valid


def test_an_original_is_not_copied(tmp_path: Path, owner: Owner, owner_name: Path) -> None:
    fill(tmp_path / "in", 2)
    (tmp_path / "in" / "broken.png").write_bytes(picture(seed=7)[:-40])
    masks = tmp_path / "masks"
    masks.mkdir()
    stream = BytesIO()
    Pillow.fromarray(np.eye(48, dtype=np.uint8)).save(stream, "PNG")
    (masks / "00.png").write_bytes(stream.getvalue())
    (masks / "table.csv").write_text("a,b\n")
    Pillow.open(tmp_path / "in" / "01.png").save(masks / "same-pixels.tif")
    shutil.copy(tmp_path / "in" / "00.png", masks / "same-file.dat")
    shutil.copy(tmp_path / "in" / "broken.png", masks / "same-broken.png")
    (masks / "earlier.png").write_bytes(picture(seed=5))
    fill(tmp_path / "before", 1, first=5)
    with Ledger(tmp_path / "ledger.sqlite", owner.signing) as ledger:
        protect(tmp_path / "before", tmp_path / "first", owner, ledger=ledger)
        _, copies = find_copies([masks], find_inputs(tmp_path / "in"))
        result = protect(tmp_path / "in", tmp_path / "out", owner, ledger=ledger, copies=copies)
    assert [copy.name for copy in result.beside.copied] == ["masks/00.png", "masks/table.csv"]
    assert set(why(result)) == {
        "masks/same-pixels.tif",
        "masks/same-file.dat",
        "masks/same-broken.png",
        "masks/earlier.png",
    }
    assert set(why(result).values()) == {"it is the unmarked original of an image, so it is not copied"}
    assert verify_release(opened(tmp_path / "out", owner)).valid
    found = restored(tmp_path / "out", owner, tmp_path / "back")
    assert found["masks/table.csv"] == b"a,b\n"
    assert len(found) == 4


def test_dicom_that_is_given_travels_like_that_of_the_input(tmp_path: Path, owner: Owner) -> None:
    images = [slice_of(1), slice_of(2)]
    write(tmp_path / "in", {"1.dcm": images[0], "2.dcm": images[1]})
    write(tmp_path / "more", {"pr.dcm": presentation_state(images), "ct.dcm": slice_of(1)})
    _, copies = find_copies([tmp_path / "more"], find_inputs(tmp_path / "in"))
    result = protect(tmp_path / "in", tmp_path / "out", owner, copies=copies, companions=False)
    assert [one.file.name for one in result.beside.travelling.objects] == ["more/pr.dcm"]
    assert why(result) == {"more/ct.dcm": "a DICOM object of a kind that does not travel with images"}
    assert f"{SERIES}.1".encode() not in files(tmp_path / "out" / "images")["more/pr.dcm"]
