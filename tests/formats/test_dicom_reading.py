"""Reading DICOM: exact pixels, refusals, nothing of a patient in any message, nothing but our own errors."""

from __future__ import annotations

import io
import re
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array

from dicom_samples import FOLDER, NATIVE, PERSON, Array, Sample, header, saved, write
from medlocker.errors import InputError, NoPixelsError, UnsupportedImageError
from medlocker.formats import encode_frames, encode_image, metadata_digest, read_image
from medlocker.formats.dicom import dicom_identity, has_dicom_name, looks_like_dicom, series_key
from medlocker.images import Limits, content_digest, viewed

FUZZED = ("CT_small.dcm", "MR_small_RLE.dcm", "examples_palette.dcm", "SC_rgb_small_odd_jpeg.dcm")
GREY = Sample(np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1))

# size, type, and two samples with their places (row, column)
TABLE: dict[str, tuple[tuple[int, ...], str, str, dict[tuple[int, int], list[int]]]] = {
    "CT_small.dcm": ((128, 128, 1), "uint16", "none", {(42, 64): [34135], (64, 32): [34146]}),
    "MR_small_expb.dcm": ((64, 64, 1), "uint16", "none, big endian", {(21, 32): [33011], (32, 16): [33029]}),
    "ExplVR_BigEnd.dcm": ((60, 80, 3), "uint8", "none, big endian", {(20, 40): [255, 255, 0]}),
    "693_J2KI.dcm": ((512, 512, 1), "uint16", "JPEG 2000", {(170, 256): [9253], (256, 128): [8240]}),
    "SC_rgb_rle_16bit.dcm": (
        (100, 100, 3), "uint16", "RLE lossless", {(33, 50): [32896, 65535, 32896]}
    ),
    "SC_ybr_full_422_uncompressed.dcm": (
        (100, 100, 3), "uint8", "none", {(33, 50): [203, 86, 75], (50, 25): [143, 192, 115]}
    ),
    "examples_palette.dcm": ((350, 800, 1), "uint8", "none", {(116, 400): [119], (175, 200): [0]}),
    "examples_overlay.dcm": ((300, 484, 1), "uint16", "none", {(100, 242): [446], (150, 121): [419]}),
    "image_dfl.dcm": ((512, 512, 1), "uint8", "deflate", {(170, 256): [164], (256, 128): [138]}),
    "JPEGLSNearLossless_16.dcm": (
        (50, 10, 1), "uint16", "JPEG-LS near-lossless", {(16, 5): [4095], (25, 2): [255]}
    ),
}  # fmt: skip


def refused(data: bytes, kind: type[InputError] = UnsupportedImageError, **limits: int) -> str:
    """The message after the name, which must be in front."""
    with pytest.raises(InputError) as caught:
        read_image(data, name="scan", limits=Limits(**limits))
    assert type(caught.value) is kind
    text = str(caught.value)
    assert text.startswith("scan: ")
    assert "SECRET" not in text + caught.value.hint
    return text.removeprefix("scan: ")


def changed(**values: Any) -> bytes:
    """A grey file with other elements; None leaves one out."""
    ds = header(GREY)
    ds.PixelData = GREY.words.tobytes()
    ds["PixelData"].VR = "OB"
    for name, value in values.items():
        if value is None:
            delattr(ds, name)
        else:
            setattr(ds, name, value)
    return saved(ds)


REFUSALS: dict[str, dict[str, Any]] = {
    "expected a photometric interpretation, got none": {"PhotometricInterpretation": None},
    "expected MONOCHROME1, MONOCHROME2, PALETTE COLOR, RGB or YBR, got another colour model or 1 samples per "
    "pixel that do not fit it": {"PhotometricInterpretation": "SECRET"},
    "expected 8 or 16 bits allocated, got 32": {"BitsAllocated": 32},
    "expected 8 or 16 bits allocated, got 1": {"BitsAllocated": 1},
    "expected 12 bits stored to lie inside 8 allocated, got another place": {"BitsStored": 12},
    "expected 8 bits stored to lie inside 8 allocated, got another place": {"HighBit": 6},
    "expected unsigned colours": {"PixelRepresentation": 2},
    "expected 64 bytes of pixels, got 62": {"PixelData": b"\0" * 62},
    "expected 64 bytes of pixels, got 128": {"PixelData": b"\1" * 128},
    "expected at least one pixel, got 8 x 0": {"Rows": 0},
    "expected at most 65535 frames, got 65536": {"NumberOfFrames": 65536},
    "expected 65408 bytes of pixels, got 64": {"NumberOfFrames": 1022},
    "expected a number of frames in (0028,0008), got something else": {"NumberOfFrames": -1},
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSALS)
def test_what_the_header_forbids_is_refused(message: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = changed(**REFUSALS[message])
    assert refused(data) == message


def test_sizes_beyond_the_limits_are_refused_before_anything_is_decoded() -> None:
    data = changed(Rows=65535, Columns=65535)
    assert refused(data) == "expected sides of at most 65500 pixels, got 65535 x 65535"
    assert refused(changed(Rows=9), max_pixels=71) == "expected at most 71 pixels, got 8 x 9"
    sample = Sample(np.zeros((3, 8, 8, 1), np.uint8))
    assert refused(write(sample), max_frames_bytes=191) == "expected at most 191 bytes of frames, got 192"


@pytest.mark.parametrize("count", [b"0 ", b"+1"])
def test_numbers_of_frames_that_some_writers_give_to_stills(count: bytes) -> None:
    data = changed(NumberOfFrames=1).replace(b"\x28\0\x08\0IS\x02\x001 ", b"\x28\0\x08\0IS\x02\0" + count)
    assert count in data
    assert read_image(data, name="a").frames is None


def test_tiles_of_a_slide_are_refused() -> None:
    words = np.zeros((4, 8, 8, 1), np.uint8)
    slide = Sample(words, elements={"SOPClassUID": uid.VLWholeSlideMicroscopyImageStorage})
    assert refused(write(slide)).startswith("expected frames of one place, got the tiles of a slide")
    one = Sample(words[:1], elements={"SOPClassUID": uid.VLWholeSlideMicroscopyImageStorage})
    assert read_image(write(one), name="a").frames is None


def test_a_few_bytes_behind_the_pixels_are_padding() -> None:
    padded = changed(PixelData=GREY.words.tobytes() + b"\x7f" * 8)
    image = read_image(padded, name="a")
    assert np.array_equal(image.pixels, GREY.words[0])
    assert b"\x7f" * 8 in encode_image(image, image.pixels)
    longer = changed(PixelData=GREY.words.tobytes() + b"\x7f" * 10)  # more than a row
    assert refused(longer) == "expected 64 bytes of pixels, got 74"


def test_floats_and_unknown_transfer_syntaxes_are_refused() -> None:
    ds = header(GREY)
    ds.FloatPixelData = b"\0" * 256
    assert refused(saved(ds)) == "expected pixels of whole numbers, got floating-point ones"
    data = write(Sample(GREY.words, syntax=uid.RLELossless))
    video = data.replace(b"1.2.840.10008.1.2.5\0", b"1.2.840.10008.1.2.6\0")
    assert (
        refused(video)
        == "expected a transfer syntax of JPEG, JPEG-LS, JPEG 2000 or RLE, got 1.2.840.10008.1.2.6"
    )
    other = data.replace(b"1.2.840.10008.1.2.5\0", b"1.2.840.10008.1.2.1\0")
    assert refused(other) == "expected pixel data as the transfer syntax says, got another way"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("test-SR.dcm", "a structured report, not an image"),
        ("reportsi.dcm", "a structured report, not an image"),
        ("rtplan.dcm", "a radiotherapy plan, not an image"),
        ("rtstruct.dcm", "a radiotherapy structure set, not an image"),
        ("rtdose.dcm", "a radiotherapy dose, not an image"),
        ("waveform_ecg.dcm", "a waveform, not an image"),
        ("liver_1frame.dcm", "a segmentation, a registration or raw data, not an image"),
        ("dicomdirtests/DICOMDIR", "a directory of files, not an image"),
        ("priv_SQ.dcm", "a DICOM object without pixels"),
    ],
)
def test_what_is_no_image_is_told_apart_from_damage(name: str, message: str) -> None:
    assert refused((FOLDER / name).read_bytes(), NoPixelsError) == message


@pytest.mark.parametrize(("start", "message"), [
    ("1.2.840.10008.5.1.4.1.1.104.1", "an encapsulated document, not an image"),
    ("1.2.840.10008.5.1.4.1.1.11.1", "a presentation state, not an image"),
])  # fmt: skip
def test_documents_and_presentation_states_are_no_images(start: str, message: str) -> None:
    assert refused(changed(SOPClassUID=start), NoPixelsError) == message


@pytest.mark.parametrize("name", TABLE)
def test_pixels_are_exactly_these(name: str) -> None:
    size, kind, compression, samples = TABLE[name]
    image = read_image((FOLDER / name).read_bytes(), name=name)
    assert (image.pixels.shape, image.pixels.dtype.name, image.facts["compression"]) == (
        size,
        kind,
        compression,
    )
    assert {place: image.pixels[place].tolist() for place in samples} == samples


@pytest.mark.parametrize("name", sorted(
    path.name for path in FOLDER.glob("*.dcm")
    if path.name.startswith(("CT_s", "MR_small", "SC_rgb", "examples_", "693", "JPEGLS", "J2K_", "GDCM"))
    # pydicom's own readers of these need licences we do not have, or refuse an empty offset table
    and not path.name.startswith(("SC_rgb_jpeg_gdcm", "SC_rgb_jpeg.dcm")) and "32bit" not in path.name
))  # fmt: skip
def test_pixels_are_those_that_pydicom_reads(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    image = read_image(data, name=name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = pixel_array(io.BytesIO(data), raw=image.facts["photometric"] != "YBR_FULL_422" or image.ybr)
        if str(image.facts["photometric"]).startswith("YBR_FULL") and not image.ybr:
            wanted = pixel_array(io.BytesIO(data))
    count = int(image.facts["frames"])
    middle = np.asarray(wanted[count // 2] if count > 1 else wanted).reshape(image.pixels.shape)
    bits = int(image.facts["bit depth"])
    samples = (middle.astype(np.int64) & (1 << bits) - 1) ^ (1 << bits - 1 if image.facts["signed"] else 0)
    assert np.array_equal(image.pixels, samples)


@settings(max_examples=60)
@given(st.sampled_from(FUZZED), st.floats(0, 1), st.data())
def test_cut_and_damaged_files_raise_nothing_but_our_own_errors(
    name: str, part: float, data: st.DataObject
) -> None:
    whole = (FOLDER / name).read_bytes()
    broken = bytearray(whole[: int(len(whole) * part)] if data.draw(st.booleans()) else whole)
    for _ in range(data.draw(st.integers(0, 6))):
        if broken:
            at = data.draw(st.integers(0, min(len(broken), 3000) - 1))
            broken[at] = data.draw(st.integers(0, 255))
    try:
        image = read_image(bytes(broken), name="scan", limits=Limits(max_pixels=1 << 20))
    except UnsupportedImageError as error:
        assert str(error).startswith("scan: ")  # noqa: PT017
        return
    assert viewed(image).shape[2] == 3
    metadata_digest(image)


@given(st.integers(0, 1 << 16))
def test_a_cut_file_is_damaged_wherever_it_is_cut(at: int) -> None:
    data = changed()
    cut = data[: at % len(data)]
    with pytest.raises(UnsupportedImageError) as caught:
        read_image(cut, name="scan")
    text = str(caught.value).removeprefix("scan: ")
    assert re.match(
        r"expected a (PNG|whole DICOM)|expected pixels, got a header alone|a DICOM object w", text
    )
    assert not text.startswith("a DICOM object") or len(cut) <= data.index(b"\x28\0\x10\0US")


def test_deflated_files_are_read_and_bombs_are_not() -> None:
    data = (FOLDER / "image_dfl.dcm").read_bytes()
    image = read_image(data, name="a")
    assert image.pixels.shape == (512, 512, 1)
    assert image.facts["compression"] == "deflate"
    meta = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True).file_meta
    start = 132 + 12 + int(meta.FileMetaInformationGroupLength)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(65)) + packer.flush()
    assert refused(data[:start] + bomb) == "expected a whole DICOM image, got a damaged or cut one"


def test_a_preamble_may_look_like_another_format_or_be_missing() -> None:
    data = changed()
    tiff = b"II*\0" + data[4:]
    assert read_image(tiff, name="a").format == "dicom"
    bare = data[132:]
    assert read_image(bare, name="a").format == "dicom"
    assert encode_image(read_image(bare, name="a"), GREY.words[0]) == bare
    for syntax in NATIVE:
        ds = header(Sample(GREY.words, syntax=syntax))
        del ds.file_meta
        stream = io.BytesIO()
        ds.PixelData = GREY.words.tobytes()
        pydicom.dcmwrite(stream, ds, implicit_vr=syntax == uid.ImplicitVRLittleEndian,
                         little_endian=syntax != uid.ExplicitVRBigEndian)  # fmt: skip
        image = read_image(stream.getvalue(), name="a")
        assert np.array_equal(image.pixels, GREY.words[0])
        assert encode_image(image, image.pixels) == stream.getvalue()


@given(st.binary(max_size=200))
def test_other_bytes_are_not_taken_for_dicom(data: bytes) -> None:
    if data[128:132] != b"DICM" and not data.startswith((b"\2\0", b"\x08\0", b"\0\x08", b"\0\2")):
        assert not looks_like_dicom(data)


def test_other_pixels_are_written_and_all_else_stays() -> None:
    sample = Sample(np.random.default_rng(0).integers(0, 1 << 16, (3, 8, 9, 1)).astype(np.uint16), stored=16)
    data = write(sample)
    image = read_image(data, name="a")
    assert image.frames is not None
    assert np.array_equal(image.pixels, image.frames[1])
    other = [frame ^ 0xFFFF for frame in sample.words]
    again = read_image(encode_frames(image, iter(other)), name="a")
    assert again.frames is not None
    assert all(np.array_equal(again.frames[i], other[i]) for i in range(3))
    assert metadata_digest(again) == metadata_digest(image)
    assert content_digest(again) != content_digest(image)


def test_padding_behind_the_pixels_is_kept_and_a_hidden_picture_refused() -> None:
    padded = changed(PixelData=GREY.words.tobytes() + bytes(40))
    image = read_image(padded, name="a")
    assert encode_image(image, image.pixels) == padded


def test_nothing_of_the_person_is_among_the_facts() -> None:
    image = read_image(changed(), name="a")
    assert PERSON in str(pydicom.dcmread(io.BytesIO(image.source)).PatientName)
    assert "SECRET" not in str(image.facts) + repr(image)
    assert not any("1.2.3" in str(value) for value in image.facts.values())


def test_series_are_told_by_their_identifier_size_and_colours(tmp_path: Path) -> None:
    def key(**values: Any) -> tuple[str | None, tuple[str, str] | None]:
        path = tmp_path / "a.dcm"
        path.write_bytes(changed(**values))
        return series_key(path), dicom_identity(path)

    first, identity = key()
    assert first is not None
    assert identity is not None
    assert key(PatientName="Roe", SOPInstanceUID="1.2.3.9")[0] == first
    others = [key(SeriesInstanceUID="1.2.9"), key(Rows=9), key(PhotometricInterpretation="MONOCHROME1")]
    assert len({first, *(other[0] for other in others)}) == 4
    assert key(SOPInstanceUID="1.2.3.9")[1] != identity
    assert identity == key(Rows=9)[1]
    assert key(SeriesInstanceUID=None) == (None, None)
    assert key(SOPInstanceUID=None)[1] is None
    (tmp_path / "b.dcm").write_bytes(b"\0" * 300)
    (tmp_path / "bare").write_bytes(changed()[132:])  # without a preamble
    (tmp_path / "c.png").write_bytes(b"\x89PNG" + changed())
    assert series_key(tmp_path / "b.dcm") is None
    assert series_key(tmp_path / "c.png") is None
    assert series_key(tmp_path / "bare") == first
    assert series_key(tmp_path / "missing.dcm") is None
    assert has_dicom_name(Path("x.IMA"))
    assert not has_dicom_name(Path("x.png"))


def test_an_unknown_sequence_of_undefined_length_is_passed_over() -> None:
    inner = b"\x10\0\x10\0\4\0\0\0Doe " + b"\xfe\xff\x0d\xe0\0\0\0\0"  # implicit inside, by the standard
    unknown = (
        b"\x11\0\x02\x10UN\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff" + inner
        + b"\xfe\xff\xdd\xe0\0\0\0\0"
    )  # fmt: skip
    data = changed()
    place = data.index(b"\x28\0\x02\0US")
    image = read_image(data[:place] + unknown + data[place:], name="a")
    assert np.array_equal(image.pixels, GREY.words[0])
    cut = unknown[:-8]
    assert "expected an item in element (" in refused(data[:place] + cut + data[place:])


def test_nesting_has_an_end() -> None:
    start = b"\x08\0\x18\x22SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
    data = changed()
    place = data.index(b"\x28\0\x02\0US")
    assert refused(data[:place] + start * 5000 + data[place:]) == (
        "expected a whole DICOM image, got a damaged or cut one"
    )


def test_a_dataset_in_memory_is_what_the_samples_say() -> None:
    words: Array = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1)
    assert np.array_equal(read_image(write(Sample(words)), name="a").pixels, words[0])
    assert isinstance(header(GREY), Dataset)
