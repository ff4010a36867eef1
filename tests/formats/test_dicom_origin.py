"""What a marked DICOM file says of where it comes from: equipment, and a source that only its owner knows."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite, uid
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes

from dicom_samples import FOLDER, Sample, write
from medlocker.formats import MarkedFile, mark_file, read_image, told_by, unmark_file
from medlocker.logo import builtin_logo
from medlocker.mark import Mark
from medlocker.provenance import Provenance

MARK = Mark(x=1, y=1, size_px=12, opacity=40000, key="cd" * 16)
TOLD = Provenance("ab" * 16, "1.2.3")
WORDS = np.random.default_rng(1).integers(0, 4096, (1, 24, 30, 1)).astype("u2")
SYNTAXES = {
    "implicit": uid.ImplicitVRLittleEndian,
    "explicit": uid.ExplicitVRLittleEndian,
    "big endian": uid.ExplicitVRBigEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
}


def sample(syntax: uid.UID = uid.ExplicitVRLittleEndian, **elements: Any) -> bytes:
    """A file with a UID that must not be told."""
    told = {"SOPInstanceUID": "1.2.3.4567890", "SeriesInstanceUID": "1.2.5.7"} | elements
    return write(Sample(WORDS, stored=12, elements=told, syntax=syntax))


def marked(data: bytes, *, told: Provenance | None = TOLD) -> MarkedFile:
    return mark_file(read_image(data, name="x"), [MARK], logo=builtin_logo(), provenance=told)


def restored(file: MarkedFile) -> bytes:
    image = read_image(file.data, name="x")
    return unmark_file(image, [MARK], logo=builtin_logo(), residual=file.residual, method=file.method)


def header(data: bytes) -> Dataset:
    return dcmread(io.BytesIO(data), force=True)


def purpose(item: Dataset) -> tuple[str, str, str]:
    code = item.PurposeOfReferenceCodeSequence[0]
    return code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_items_are_there_and_go_again(syntax: str) -> None:
    data = sample(SYNTAXES[syntax])
    file = marked(data)
    found, original = header(file.data), header(data)
    (equipment,) = found.ContributingEquipmentSequence
    assert (equipment.Manufacturer, equipment.SoftwareVersions) == ("medlocker", "1.2.3")
    assert equipment.ContributionDescription == TOLD.description
    assert "ContributionDateTime" not in equipment
    (source,) = found.SourceImageSequence
    assert source.ReferencedSOPClassUID == original.SOPClassUID
    assert source.SpatialLocationsPreserved == "YES"
    assert told_by(read_image(file.data, name="x")) == TOLD
    back = restored(file)
    assert header(back) == original
    if syntax != "deflated":
        assert back == data
    assert told_by(read_image(back, name="x")) is None


def test_the_codes_are_the_standards() -> None:
    found = header(marked(sample()).data)
    wanted = codes.DCM.ModifyingEquipment
    assert purpose(found.ContributingEquipmentSequence[0]) == (wanted.value, "DCM", wanted.meaning)
    wanted = codes.DCM.SourceImageForImageProcessingOperation
    assert purpose(found.SourceImageSequence[0]) == (wanted.value, "DCM", wanted.meaning)


def test_the_source_has_a_name_that_tells_nothing() -> None:
    data = sample()
    file = marked(data)
    found, original = header(file.data), header(data)
    source = found.SourceImageSequence[0].ReferencedSOPInstanceUID
    assert source not in (original.SOPInstanceUID, found.SOPInstanceUID)
    assert source.startswith("2.25.")
    assert uid.UID(source).is_valid
    assert original.SOPInstanceUID.encode() not in file.data
    # the same whenever it is made, another one with another key
    assert header(marked(data).data).SourceImageSequence[0].ReferencedSOPInstanceUID == source
    other = Mark(x=1, y=1, size_px=12, opacity=40000, key="ce" * 16)
    made = mark_file(read_image(data, name="x"), [other], logo=builtin_logo(), provenance=TOLD)
    assert header(made.data).SourceImageSequence[0].ReferencedSOPInstanceUID != source


def test_files_that_name_other_releases_have_other_uids() -> None:
    data = sample()
    releases = (None, TOLD, Provenance("cd" * 16))
    uids = {header(marked(data, told=told).data).SOPInstanceUID for told in releases}
    assert len(uids) == 3


def test_items_that_were_there_stay_in_front() -> None:
    ds = header(sample())
    one = Dataset()
    one.Manufacturer, one.ContributionDescription = "Scanner AG", "gradient correction"
    ds.ContributingEquipmentSequence = Sequence([one])
    other = Dataset()
    other.ReferencedSOPClassUID, other.ReferencedSOPInstanceUID = "1.2.3", "1.2.3.9"
    ds.SourceImageSequence = Sequence([other])
    stream = io.BytesIO()
    dcmwrite(stream, ds, enforce_file_format=True)
    data = stream.getvalue()
    file = marked(data)
    found = header(file.data)
    assert [item.Manufacturer for item in found.ContributingEquipmentSequence] == ["Scanner AG", "medlocker"]
    assert found.SourceImageSequence[0] == other
    assert len(found.SourceImageSequence) == 2
    assert restored(file) == data


def test_marked_twice_both_releases_are_named_and_the_last_one_counts() -> None:
    data = sample()
    first = marked(data)
    second = marked(first.data, told=Provenance("ef" * 16))
    assert len(header(second.data).ContributingEquipmentSequence) == 2
    assert told_by(read_image(second.data, name="x")) == Provenance("ef" * 16)
    assert restored(second) == first.data
    assert restored(first) == data


def test_without_a_class_there_is_no_source() -> None:
    ds = header((FOLDER / "CT_small.dcm").read_bytes())
    del ds.SOPClassUID
    stream = io.BytesIO()
    dcmwrite(stream, ds)
    found = header(marked(stream.getvalue()).data)
    assert "SourceImageSequence" not in found
    assert len(found.ContributingEquipmentSequence) == 1


@pytest.mark.parametrize("version", ["", "1 <b>", "x y"])
def test_what_others_wrote_is_not_believed(version: str) -> None:
    ds = header(sample())
    item = Dataset()
    item.Manufacturer, item.SoftwareVersions = "medlocker", version
    item.ContributionDescription = TOLD.description
    ds.ContributingEquipmentSequence = Sequence([item])
    stream = io.BytesIO()
    dcmwrite(stream, ds, enforce_file_format=True)
    assert told_by(read_image(stream.getvalue(), name="x")) is None


def test_nothing_more_is_said_without_provenance() -> None:
    found = header(marked(sample(), told=None).data)
    assert "ContributingEquipmentSequence" not in found
    assert "SourceImageSequence" not in found
