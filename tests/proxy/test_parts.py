"""Frames, long values, transfer syntaxes: for files of every kind that pydicom has."""

from __future__ import annotations

import importlib
import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.data import get_testdata_file

from dicom_samples import Sample, write
from medlocker.certificates import IndexEntry
from medlocker.errors import InputError, MedlockerError, UnsupportedImageError


def module(name: str) -> Any:
    return importlib.import_module(f"medlocker.proxy.{name}")


Frames, as_plain_file = module("_frames").Frames, module("_frames").as_plain_file
describe, bulk_value = module("_described").describe, module("_described").bulk_value
Wanted, read_accept = module("_accept").Wanted, module("_accept").read_accept
frame_kind, syntax_for = module("_retrieving")._frame_kind, module("_retrieving")._syntax_for
NotAcceptableError = module("_answers").NotAcceptableError
DigestTable = module("_digests").DigestTable
OCTETS = "application/octet-stream"
EXPLICIT, RLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"


def file(name: str) -> bytes:
    return Path(str(get_testdata_file(name))).read_bytes()


NATIVE = ["CT_small.dcm", "rtdose.dcm", "SC_rgb_small_odd.dcm", "MR_small_implicit.dcm"]
PACKED = [
    *("MR_small_RLE.dcm", "SC_rgb_rle_2frame.dcm", "MR_small_jpeg_ls_lossless.dcm"),
    *("J2K_pixelrep_mismatch.dcm", "JPEG2000.dcm"),
]
TWO_FRAMES = "SC_rgb_rle_2frame.dcm"


@pytest.mark.parametrize("name", NATIVE)
def test_native_frames_are_pieces_of_the_pixels(name: str) -> None:
    frames, whole = Frames(file(name)), pydicom.dcmread(io.BytesIO(file(name))).PixelData
    pieces = b"".join(frames.stored(k + 1) for k in range(frames.count))
    assert pieces == whole[: len(pieces)]
    assert len(whole) - len(pieces) in (0, 1)  # a byte makes the length even


@pytest.mark.parametrize("name", PACKED)
def test_packed_frames_are_those_that_pydicom_finds(name: str) -> None:
    frames, dataset = Frames(file(name)), pydicom.dcmread(io.BytesIO(file(name)))
    wanted = list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=frames.count))
    assert [frames.stored(k + 1) for k in range(frames.count)] == wanted
    # and uncompressed they are its pixels, in the order that the header tells
    plain = Frames(as_plain_file(file(name)))
    assert [frames.plain(k + 1) for k in range(frames.count)] == [
        plain.stored(k + 1) for k in range(frames.count)
    ]


@pytest.mark.parametrize("name", PACKED)
def test_an_uncompressed_file_has_the_same_pixels_and_uids(name: str) -> None:
    before = pydicom.dcmread(io.BytesIO(file(name)))
    after = pydicom.dcmread(io.BytesIO(as_plain_file(file(name))))
    assert (after.SOPInstanceUID, after.file_meta.TransferSyntaxUID) == (before.SOPInstanceUID, EXPLICIT)
    np.testing.assert_array_equal(after.pixel_array, before.pixel_array)


def test_frames_of_big_endian_files_are_turned() -> None:
    frames = Frames(file("MR_small_bigendian.dcm"))
    assert frames.plain(1) == pydicom.dcmread(str(get_testdata_file("MR_small.dcm"))).PixelData


def test_pixel_order_follows_the_header() -> None:
    words = np.arange(2 * 4 * 6 * 3, dtype=np.uint8).reshape(2, 4, 6, 3)
    data = write(Sample(words, "RGB", planar=1))
    assert Frames(data).stored(2) == np.moveaxis(words[1], 2, 0).tobytes()


def test_uncompressed_frames_follow_the_header_too() -> None:
    dataset = pydicom.dcmread(io.BytesIO(file(TWO_FRAMES)))
    pixels = dataset.pixel_array[1]
    dataset.PlanarConfiguration = 1
    stream = io.BytesIO()
    dataset.save_as(stream)
    assert Frames(stream.getvalue()).plain(2) == np.moveaxis(pixels, 2, 0).tobytes()


@pytest.mark.parametrize("number", [0, 3, -1, 10**9])
def test_frames_that_are_not_there(number: int) -> None:
    with pytest.raises(InputError, match="the instance has 2"):
        Frames(file(TWO_FRAMES)).stored(number)


def test_files_without_frames() -> None:
    with pytest.raises(UnsupportedImageError, match="no frames"):
        Frames(file("reportsi.dcm"))


def test_long_values_are_found_where_the_header_points() -> None:
    inner, item = Dataset(), Dataset()
    inner.add_new(0x00091001, "OB", b"inner" * 1000)
    item.add_new(0x00400275, "SQ", [Dataset(), inner])
    data = pydicom.dcmread(io.BytesIO(file("CT_small.dcm")))
    data.add_new(0x00400100, "SQ", [item])
    data.add_new(0x00291010, "OB", b"outer" * 1000)
    data.add_new(0x00291011, "OB", b"short")
    stream = io.BytesIO()
    data.save_as(stream)
    told = json.loads(describe(stream.getvalue(), bulk="http://here/bulkdata"))
    assert told["00291011"]["InlineBinary"]
    outer = told["00291010"]["BulkDataURI"]
    deep = told["00400100"]["Value"][0]["00400275"]["Value"][1]["00091001"]["BulkDataURI"]
    for address, wanted in ((outer, b"outer" * 1000), (deep, b"inner" * 1000)):
        assert bulk_value(stream.getvalue(), address.removeprefix("http://here/bulkdata/")) == wanted
    assert "7FE00010" not in told


@pytest.mark.parametrize(
    "place", ["00100010", "00291010.0", "00400100.5.00091001", "ZZ", "99999999", "00080018"]
)
def test_only_long_values_are_given(place: str) -> None:
    with pytest.raises(InputError, match="no such value"):
        bulk_value(file("CT_small.dcm"), place)


def test_numbers_that_json_does_not_know() -> None:
    data = pydicom.dcmread(io.BytesIO(file("CT_small.dcm")))
    data.add_new(0x00189087, "FD", float("nan"))
    stream = io.BytesIO()
    data.save_as(stream)
    assert json.loads(describe(stream.getvalue(), bulk=""))["00189087"]["Value"] == [None]


@given(st.binary(max_size=400), st.integers(0, 600), st.integers(1, 255))
def test_damaged_files_are_one_error(noise: bytes, at: int, flip: int) -> None:
    whole = bytearray(file("CT_small.dcm")[:2000])
    whole[132 + at % 1800] ^= flip
    for data in (bytes(whole), b"\0" * 128 + b"DICM" + noise, noise):
        for read in (Frames, lambda data: describe(data, bulk=""), module("_parts").names_of, as_plain_file):
            with suppress(MedlockerError):  # and nothing else
                read(data)


def test_what_clients_take() -> None:
    told = read_accept(
        ['multipart/related; type="application/dicom"; transfer-syntax=*, application/json;q=0.5']
    )
    assert told == [Wanted("application/dicom", True, "*"), Wanted("application/json", False, "")]
    assert read_accept([]) == [Wanted("*/*", None, "")]
    assert read_accept(["image/jls;q=0", "x;q=nan", ",,;", "*/*;q=0.1"]) == [Wanted("*/*", None, "")]


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("*/*", RLE),
        ('multipart/related; type="application/dicom"', RLE),
        ('multipart/related; type="application/dicom"; transfer-syntax=*', RLE),
        (f'multipart/related; type="application/dicom"; transfer-syntax={RLE}', RLE),
        (f'multipart/related; type="application/dicom"; transfer-syntax="{EXPLICIT}"', EXPLICIT),
        ("application/dicom; transfer-syntax=1.2.840.10008.1.2.4.90", None),
        ("text/html", None),
    ],
)
def test_files_as_they_are_or_uncompressed(accept: str, wanted: str | None) -> None:
    if wanted is None:
        with pytest.raises(NotAcceptableError):
            syntax_for(read_accept([accept]), RLE)
    else:
        assert syntax_for(read_accept([accept]), RLE) == wanted


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("*/*", ("image/dicom-rle", RLE)),
        (
            'multipart/related; type="application/octet-stream"; transfer-syntax=*',
            ("application/octet-stream", RLE),
        ),
        ('multipart/related; type="application/octet-stream"', ("application/octet-stream", EXPLICIT)),
        ("multipart/related; type=image/dicom-rle", ("image/dicom-rle", RLE)),
        (
            "multipart/related; type=image/jls, application/octet-stream;q=0.5",
            ("application/octet-stream", EXPLICIT),
        ),
        ("multipart/related; type=image/jpeg", None),
    ],
)
def test_frames_as_they_are_or_uncompressed(accept: str, wanted: tuple[str, str] | None) -> None:
    frames = Frames(file("MR_small_RLE.dcm"))
    if wanted is None:
        with pytest.raises(NotAcceptableError):
            frame_kind(read_accept([accept]), frames)
    else:
        assert frame_kind(read_accept([accept]), frames) == wanted


def test_digests_that_begin_alike_are_told_apart() -> None:
    digests = ["0" * 63 + "1", "0" * 63 + "2", "f" * 64, "8" + "0" * 63]
    table = DigestTable(IndexEntry(k + 5, f"{k}.dcm", digest, "a" * 64) for k, digest in enumerate(digests))
    assert [table.numbers(digest) for digest in digests] == [[5, 6], [5, 6], [7], [8]]
    assert table.numbers("1" * 64) == []
    assert DigestTable([]).numbers("1" * 64) == []
