"""Marks on DICOM files: nothing else changes, the header says so, and the very bytes come back."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate_extended, generate_frames

from dicom_samples import FOLDER, NATIVE, PERSON, Array, Sample, jpeg, sample_kinds, saved, write
from medlocker.errors import RestoreError
from medlocker.formats import MarkedFile, mark_file, metadata_digest, read_image, unmark_file
from medlocker.formats.dicom import dicom_of
from medlocker.formats.dicom._codecs import stream_bits
from medlocker.images import Image, content_digest, viewed
from medlocker.logo import builtin_logo
from medlocker.mark import Mark
from medlocker.marking import render_layer

LOGO = builtin_logo()
CHANGED = {
    "ImageType", "SOPInstanceUID", "DerivationDescription", "DerivationCodeSequence", "BurnedInAnnotation",
    "SmallestImagePixelValue", "LargestImagePixelValue", "PixelData",
}  # fmt: skip
OWN_WINDOW = {"WindowCenter", "WindowWidth", "VOILUTFunction"}
SHIPPED = sorted(
    path.name
    for path in FOLDER.glob("*.dcm")
    if path.name.startswith(
        ("CT_", "MR_small", "SC_", "examples_", "693", "ExplVR_BigEnd.", "JP", "image_", "J2K")
    )
    and "32bit" not in path.name
    and "embedded" not in path.name
)


def parsed(data: bytes) -> Dataset:
    """As pydicom reads it, no value converted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(io.BytesIO(data), force=True)


def all_frames(image: Image) -> list[Array]:
    frames = image.frames
    return [image.pixels] if frames is None else [frames[i] for i in range(len(frames))]


def elements(data: bytes, *without: str) -> list[tuple[str, str, str]]:
    """Tag, value representation and value of each element, in the file's order, those inside included."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            (str(e.tag), str(e.VR), str(e.value)) for e in parsed(data).iterall() if e.keyword not in without
        ]


def mark_of(image: Image) -> list[Mark]:
    side = min(image.height, image.width)
    return [Mark(x=1, y=0, size_px=max(side // 2, 1), opacity=50000)]


def check(data: bytes, marks: list[Mark] | None = None) -> tuple[Image, MarkedFile, bytes]:
    """Mark, look, take off again; returns the original, the marked file and what restoring wrote."""
    image = read_image(data, name="a.dcm")
    marks = marks or mark_of(image)
    marked = mark_file(image, marks, logo=LOGO)
    assert marked.method in ("dicom-v1", "sealed-v1")
    again = read_image(marked.data, name="a.dcm")
    assert content_digest(again) == marked.pixels
    untouched = np.ones((image.height, image.width), bool)
    for mark in marks:
        layer = render_layer(mark, logo=LOGO, image=image)
        untouched[layer.window] &= layer.weight == 0
    for before, after in zip(all_frames(image), all_frames(again), strict=True):
        assert np.array_equal(before[untouched], after[untouched])
    if image.shown is not None:
        assert again.shown is not None
        assert np.array_equal(image.shown, again.shown)
    restored = unmark_file(again, marks, logo=LOGO, residual=marked.residual, method=marked.method)
    back = read_image(restored, name="a.dcm")
    assert content_digest(back) == content_digest(image)
    assert metadata_digest(back) == marked.metadata == metadata_digest(image)
    return image, marked, restored


@settings(max_examples=120)
@given(sample_kinds(), st.integers(0, 4), st.integers(0, 3), st.integers(20000, 65535))
def test_every_kind_is_marked_and_comes_back(sample: Sample, x: int, y: int, opacity: int) -> None:
    data = write(sample)
    image, marked, restored = check(data, [Mark(x=x, y=y, size_px=6, opacity=opacity)])
    assert np.array_equal(np.stack(all_frames(image)), sample.samples)
    if sample.syntax in NATIVE:
        assert restored == data
    else:
        assert elements(restored, "PixelData") == elements(data, "PixelData")
        assert parsed(restored).file_meta == parsed(data).file_meta
    allowed = CHANGED | (OWN_WINDOW if "WindowCenter" not in elements_of(data) else set())
    allowed |= {""}  # private elements have no keyword
    allowed |= {"PhotometricInterpretation"} if sample.photometric == "YBR_FULL_422" else set()
    kept = elements(marked.data, *allowed, "CodeValue", "CodeMeaning", "CodingSchemeDesignator")
    assert kept == elements(data, *allowed, "CodeValue", "CodeMeaning", "CodingSchemeDesignator")
    _check_unused_bits(sample, marked.data)


def elements_of(data: bytes) -> set[str]:
    return {e.keyword for e in parsed(data)}


def _check_unused_bits(sample: Sample, marked: bytes) -> None:
    """Nothing is in unused bits, but for the sign that is repeated above a sample."""
    if sample.syntax not in NATIVE or sample.photometric == "YBR_FULL_422" or sample.signed:
        return
    plain = sample.words.dtype
    swapped = plain.newbyteorder(">") if sample.syntax == uid.ExplicitVRBigEndian else plain
    raw = np.frombuffer(parsed(marked).PixelData, swapped)
    raw = raw[: sample.words.size]
    unused = ~(((1 << sample.stored) - 1) << sample.shift) & ((1 << sample.allocated) - 1)
    assert not (raw & unused).any()


@pytest.mark.parametrize("name", SHIPPED)
def test_files_of_many_makers_are_marked_and_come_back(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    _, _, restored = check(data)
    syntax = getattr(parsed(data).file_meta, "TransferSyntaxUID", None)
    if syntax in NATIVE:
        assert restored == data


def test_enough_files_of_other_makers_are_tried() -> None:
    assert len(SHIPPED) > 40


def test_the_header_says_that_the_image_is_derived_and_bears_a_mark() -> None:
    sample = Sample(np.random.default_rng(0).integers(0, 4096, (1, 32, 32, 1)).astype(np.uint16), stored=12)
    sample.elements = {
        "DerivationDescription": "sharpened",
        "SmallestImagePixelValue": 0,
        "LargestImagePixelValue": 4095,
        "LossyImageCompression": "01",
    }
    data = write(sample)
    _, marked, _ = check(data, [Mark(x=0, y=0, size_px=32, opacity=65535)])
    ds = parsed(marked.data)
    assert list(ds.ImageType) == ["DERIVED", "PRIMARY", "AXIAL"]
    assert ds.BurnedInAnnotation == "YES"
    assert ds.LossyImageCompression == "01"
    assert ds.DerivationDescription == "sharpened; visible mark added by medlocker"
    (code,) = ds.DerivationCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("113042", "DCM")
    assert ds.SOPInstanceUID.startswith("2.25.")
    assert ds.SOPInstanceUID == ds.file_meta.MediaStorageSOPInstanceUID
    assert ds.SOPInstanceUID.is_valid
    pixels = read_image(marked.data, name="a").pixels
    assert (ds.SmallestImagePixelValue, ds.LargestImagePixelValue) == (pixels.min(), pixels.max())
    assert ds.file_meta.FileMetaInformationGroupLength == _meta_length(marked.data)
    assert ds.PatientName == PERSON


def _meta_length(data: bytes) -> int:
    """Bytes of the meta information behind its own length."""
    at = 132 + 12
    start = at
    while data[at : at + 2] == b"\2\0":
        long = data[at + 4 : at + 6] in (b"OB", b"UN")
        size = int.from_bytes(data[at + 8 : at + 12], "little") if long else 0
        at += 12 + size if long else 8 + int.from_bytes(data[at + 6 : at + 8], "little")
    return at - start


def test_the_new_identifier_is_the_same_again_and_another_for_other_marks_or_originals() -> None:
    data = (FOLDER / "CT_small.dcm").read_bytes()
    image = read_image(data, name="a")
    one, two = Mark(x=1, y=1, size_px=20, opacity=50000), Mark(x=2, y=1, size_px=20, opacity=50000)
    first = mark_file(image, [one], logo=LOGO).data
    assert mark_file(image, [one], logo=LOGO).data == first
    other = read_image(data.replace(b"1CT1", b"2CT2", 1), name="a")
    assert other.source != data
    uids = {
        parsed(mark_file(i, [m], logo=LOGO).data).SOPInstanceUID
        for i, m in ((image, one), (image, two), (other, one))
    }
    assert len(uids) == 3


def test_icons_and_signatures_are_left_out_and_come_back() -> None:
    sample = Sample(np.zeros((1, 16, 16, 1), np.uint8))
    icon = Dataset()
    icon.Rows, icon.Columns, icon.PixelData = 2, 2, b"icon"
    icon["PixelData"].VR = "OB"
    signature = Dataset()
    signature.MACIDNumber = 1
    sample.elements = {
        "IconImageSequence": [icon],
        "MACParametersSequence": [signature],
        "DigitalSignaturesSequence": [signature],
        "DataSetTrailingPadding": b"\1\2",
    }
    data = write(sample)
    _, marked, restored = check(data)
    assert b"icon" in data
    assert b"icon" not in marked.data
    assert not elements_of(marked.data) & {
        "IconImageSequence", "MACParametersSequence", "DigitalSignaturesSequence", "DataSetTrailingPadding"
    }  # fmt: skip
    assert restored == data


def test_a_lossy_colour_image_becomes_lossless_with_nothing_else_changed() -> None:
    pictures = [
        np.asarray(p) for p in np.random.default_rng(3).integers(0, 256, (2, 24, 30, 3)).astype(np.uint8)
    ]
    data = jpeg(pictures, "YBR_FULL_422")
    image, marked, restored = check(data)
    for found in (marked.data, restored):
        ds = parsed(found)
        assert ds.file_meta.TransferSyntaxUID == uid.JPEGLSLossless
        assert ds.PhotometricInterpretation == "RGB"
        assert ds.LossyImageCompression == "01"
    names = ("PixelData", "PhotometricInterpretation")
    assert elements(restored, *names) == elements(data, *names)
    assert np.array_equal(parsed(restored).pixel_array[1], all_frames(image)[1])


def test_the_mark_looks_the_same_on_what_lies_beyond_the_window() -> None:
    """Air and bone are shown black and white; the logo on them must still be seen."""
    words = np.full((1, 64, 64, 1), 0, np.uint16)
    words[:, :, 32:] = 3000
    sample = Sample(words, stored=12)
    sample.elements = {
        "RescaleSlope": "1",
        "RescaleIntercept": "-1024",
        "WindowCenter": "40",
        "WindowWidth": "400",
    }
    image = read_image(write(sample), name="a")
    mark = Mark(x=16, y=16, size_px=32, opacity=40000)
    after = viewed(read_image(mark_file(image, [mark], logo=LOGO).data, name="a")).astype(float) / 257
    layer = render_layer(mark, logo=LOGO, image=image)
    before = viewed(image).astype(float) / 257
    share = layer.weight[..., None] / 65535
    assert image.shown is not None
    wanted = before[layer.window] * (1 - share) + image.shown[layer.color] / 257 * share
    assert np.abs(after[layer.window] - wanted).max() < 2
    assert np.abs(after - before).max() > 100


def test_a_residual_of_another_file_is_refused() -> None:
    image = read_image((FOLDER / "CT_small.dcm").read_bytes(), name="a")
    marks = mark_of(image)
    marked = mark_file(image, marks, logo=LOGO)
    again = read_image(marked.data, name="a")

    def take_off(residual: bytes) -> bytes:
        return unmark_file(again, marks, logo=LOGO, residual=residual, method=marked.method)

    for residual in (b"", b"\0\0\0\0", marked.residual[:50], marked.residual[:-1], b"\5\0\0\0" + bytes(40)):
        with pytest.raises(RestoreError, match=r"residual"):
            take_off(residual)
    broken = bytearray(marked.residual)
    broken[9] ^= 0xFF
    with pytest.raises(RestoreError, match=r"the residual of the header"):
        take_off(bytes(broken))
    assert take_off(marked.residual) == image.source


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_the_logo_stays_inside_the_range_of_stored_samples(function: str, tmp_path: Path) -> None:
    words = np.full((1, 40, 40, 1), 0b100000000000, np.uint16)
    sample = Sample(words, stored=12, signed=True)
    sample.elements = {"WindowCenter": "-2000", "WindowWidth": "900", "VOILUTFunction": function}
    image, marked, restored = check(write(sample), [Mark(x=0, y=0, size_px=40, opacity=65535)])
    again = read_image(marked.data, name="a")
    assert again.pixels.max() < 1 << 12
    assert len(np.unique(again.pixels)) > 1
    assert restored == image.source


def test_tables_of_where_frames_lie_are_not_kept_when_frames_are_written_again() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 16, 18, 1)).astype(np.uint8)
    ds = parsed(write(Sample(frames, syntax=uid.RLELossless)))
    packed = list(generate_frames(ds.PixelData, number_of_frames=2))
    ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(packed)
    data = saved(ds)
    image, marked, restored = check(data)
    assert "ExtendedOffsetTable" in elements_of(image.source)
    for found in (marked.data, restored):
        assert "ExtendedOffsetTable" not in elements_of(found)
    tables = ("PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths")
    assert elements(restored, *tables) == elements(data, *tables)
    assert np.array_equal(parsed(restored).pixel_array[..., None], frames)


def test_an_overlay_in_unused_bits_of_a_compressed_frame_is_held_back() -> None:
    words = np.random.default_rng(0).integers(0, 1 << 16, (1, 20, 22, 1)).astype(np.uint16)
    data = write(Sample(words, stored=12, syntax=uid.RLELossless))
    _, marked, restored = check(data)
    assert not (dicom_of(read_image(marked.data, name="a")).dicom.words(0) >> 12).any()
    assert np.array_equal(dicom_of(read_image(restored, name="a")).dicom.words(0), words[0])


@pytest.mark.parametrize("syntax", [uid.JPEGLSLossless, uid.JPEG2000Lossless])
def test_a_stream_tells_that_it_has_no_bits_to_spare(syntax: str) -> None:
    words = np.random.default_rng(0).integers(0, 1 << 12, (1, 52, 54, 1)).astype(np.uint16)
    frames = dicom_of(read_image(write(Sample(words, stored=12, syntax=syntax)), name="a")).dicom
    assert stream_bits(b"".join(frames.places[0])) == 12


def test_pydicom_says_nothing_of_odd_values(caplog: pytest.LogCaptureFixture) -> None:
    sample = Sample(np.zeros((1, 16, 16, 1), np.uint16), stored=12)
    data = write(sample).replace(b"1.2.3.6\0", b"SECRET.\0")
    value = b"(\0P\x10DS\x06\0SECRET" + b"(\0Q\x10DS\x06\0SECRET"
    place = data.index(b"\xe0\x7f\x10\0OW")
    check(data[:place] + value + data[place:])
    assert "SECRET" not in caplog.text


def test_restoring_takes_the_inks_of_the_record_not_those_of_this_machine() -> None:
    image = read_image((FOLDER / "CT_small.dcm").read_bytes(), name="a")
    marks = mark_of(image)
    marked = mark_file(image, marks, logo=LOGO)
    again = read_image(marked.data, name="a")
    assert again.inks is not None
    elsewhere = replace(again, inks=again.inks[::-1].copy())
    assert (
        unmark_file(elsewhere, marks, logo=LOGO, residual=marked.residual, method="dicom-v1") == image.source
    )
