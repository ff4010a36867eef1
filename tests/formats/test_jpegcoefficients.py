"""JPEG files taken apart and put together: other readers agree, metadata stay, hostile files are refused."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_samples import exif_block
from PIL import Image as Pillow

from jpeg_pictures import FILES, jpeg
from medlocker.errors import UnsupportedImageError
from medlocker.formats import check_keep, metadata_digest, read_image
from medlocker.formats.jpeg import read_coefficients
from medlocker.formats.jpeg._coefficients import write_coefficients
from medlocker.formats.jpeg._jpeglib import encode_coefficients
from medlocker.formats.jpeg._previews import restored_metadata, without_previews
from medlocker.formats.jpeg._stream import APP1, COM, DRI, SOS, Segment, parse_stream


@pytest.mark.parametrize("name", FILES)
def test_the_same_coefficients_give_the_same_pictures(name: str) -> None:
    data = FILES[name]
    around, blocks = read_coefficients(data)
    written = write_coefficients(around, blocks)
    assert np.array_equal(
        np.asarray(Pillow.open(io.BytesIO(written))), np.asarray(Pillow.open(io.BytesIO(data)))
    )
    before, after = read_image(data, name="a"), read_image(written, name="b")
    assert np.array_equal(before.pixels, after.pixels)
    assert metadata_digest(before) == metadata_digest(after)
    assert before.facts == after.facts
    for one, other in zip(blocks, read_coefficients(written)[1], strict=True):
        assert np.array_equal(one, other)
    assert not any(segment.marker == DRI for segment in parse_stream(written).segments)
    assert len(written) <= 1.02 * len(data) + 700  # tables of their own weigh in small files


def test_everything_around_stays_in_its_place() -> None:
    data = jpeg(exif=b"Exif\0\0" + exif_block(), comment=b"hello", icc_profile=b"p" * 70000, dpi=(300, 300))
    end = len(data) - 2
    assert data[end:] == b"\xff\xd9"
    tail = Segment(COM, b"behind the scan").to_bytes()
    data = data[:end] + tail + data[end:] + b"trailing bytes"
    around, blocks = read_coefficients(data)
    assert [segment.content for segment in around.tail] == [b"behind the scan"]
    assert around.trailer == b"trailing bytes"
    written = write_coefficients(around, blocks)
    assert written.endswith(tail + b"\xff\xd9trailing bytes")
    old, new = (
        [s.to_bytes() for s in parse_stream(one).segments if s.is_metadata] for one in (data, written)
    )
    assert old == new
    assert len(old) == 6
    assert Pillow.open(io.BytesIO(written)).info["icc_profile"] == b"p" * 70000
    digests = {
        metadata_digest(read_image(one, name="a")) for one in (data, data[:-1], jpeg(), jpeg(quality=91))
    }
    assert len(digests) == 4


def _patched(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


def _first_scan_only(data: bytes) -> bytes:
    stream = parse_stream(data)
    first = next(i for i, s in enumerate(stream.segments) if s.marker == SOS)
    return b"\xff\xd8" + b"".join(s.to_bytes() for s in stream.segments[: first + 1]) + b"\xff\xd9"


def _tables_again(data: bytes) -> bytes:
    stream = parse_stream(data)
    again = b"".join(s.to_bytes() for s in stream.segments if s.marker == 0xDB)
    return data[:-2] + again + data[-2:]


SAMPLING = FILES["4:4:4"].index(b"\xff\xc0") + 11
NOT_WRITABLE = {
    "scans missing": (
        _first_scan_only(FILES["4:2:0, progressive"]),
        "expected a progressive JPEG with all its scans",
    ),
    "tables twice": (
        _tables_again(FILES["4:2:0"]),
        "expected a JPEG with its quantisation tables before the first scan",
    ),
    "sampling": (_patched(FILES["4:4:4"], SAMPLING, b"\x43"), "expected a JPEG with usual sampling factors"),
    "names": (
        _patched(FILES["4:4:4"], SAMPLING + 2, b"\x01"),
        "expected a JPEG with different names for its components",
    ),
}


@pytest.mark.parametrize("case", NOT_WRITABLE)
def test_what_would_not_come_out_as_it_went_in_is_refused(case: str) -> None:
    data, message = NOT_WRITABLE[case]
    with pytest.raises(UnsupportedImageError) as caught:
        read_coefficients(data)
    assert str(caught.value) == f"image: {message}"


@pytest.mark.parametrize(("at", "value"), [(0, -1025), (0, 1024), (1, -1024), (63, 1024)])
def test_coefficients_without_a_code_are_refused_before_the_library_sees_them(
    capfd: pytest.CaptureFixture[str], at: int, value: int
) -> None:
    around, blocks = read_coefficients(FILES["4:2:0"])
    blocks[1][0, 0, at] = value
    with pytest.raises(
        UnsupportedImageError, match=r"^image: expected coefficients as an 8-bit JPEG has them$"
    ):
        write_coefficients(around, blocks)
    with pytest.raises(ValueError, match=r"^expected the frame's number of blocks$"):
        encode_coefficients(blocks[::-1], around.frame)
    assert capfd.readouterr().err == ""


def test_the_darkest_and_brightest_means_have_codes() -> None:
    around, blocks = read_coefficients(FILES["grey"])
    blocks[0][:] = 0
    blocks[0][..., 0] = np.where(np.indices(blocks[0].shape[:2]).sum(axis=0) % 2, -1024, 1023)
    again = read_coefficients(write_coefficients(around, blocks))[1]
    assert np.array_equal(again[0], blocks[0])


@given(data=st.data(), name=st.sampled_from(sorted(FILES)))
@settings(max_examples=80)
def test_a_damaged_file_is_refused_or_comes_back(data: st.DataObject, name: str) -> None:
    damaged = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.one_of(st.integers(0, 700), st.integers(0, 10**5)))
        damaged[at % len(damaged)] = data.draw(st.integers(0, 255))
    try:
        image = read_image(bytes(damaged), name="a")
        written = write_coefficients(*read_coefficients(image.source))
    except UnsupportedImageError:
        return
    assert np.array_equal(read_image(written, name="b").pixels, image.pixels)


def test_pictures_beside_the_picture_are_held_back() -> None:
    small = jpeg(16, 16)
    jfif = b"JFIF\0\1\2\0\0\1\0\1"
    exif = Segment(APP1, b"Exif\0\0" + exif_block(thumbnail=small))
    segments = (
        Segment(0xE0, jfif + b"\2\1" + b"rgbrgb"),
        Segment(0xE0, b"JFXX\0\x10" + small),
        exif,
        Segment(APP1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>"),
        Segment(APP1, b"http://ns.adobe.com/xap/1.0/\0<xmpGImg:image>AAAA"),
        Segment(APP1, b"http://ns.adobe.com/xmp/extension/\0AAAA"),
        Segment(0xE2, b"ICC_PROFILE\0\1\1" + b"profile"),
        Segment(0xE2, b"MPF\0II*\0"),
        Segment(0xE5, b"maker" + small),
        Segment(0xE5, b"goes on"),
        Segment(0xE6, b"maker without"),
        Segment(0xEB, b"JP claims"),
        Segment(0xED, b"Photoshop 3.0\0text"),
        Segment(0xEE, b"Adobe\0\x64\0\0\0\0\1"),
        Segment(COM, b"a comment"),
        Segment(COM, small),
    )
    keep = check_keep(["all"])
    passed, withheld = without_previews(segments, keep=keep)
    contents = [segment.content for segment in passed]
    assert contents[0] == jfif + b"\0\0"
    assert contents[1].startswith(b"Exif\0\0")
    assert len(contents[1]) == len(exif.content)
    assert b"Cam\0" in contents[1]
    assert [one[:5] for one in contents[2:]] == [b"http:", b"ICC_P", b"maker", b"Photo", b"Adobe", b"a com"]
    assert b"maker without" in contents
    assert small[200:240] not in b"".join(contents)
    assert [one.index for one in withheld] == [0, 1, 2, 4, 5, 7, 8, 9, 11, 15]
    assert [one.index for one in withheld if one.changed] == [0, 2]
    assert restored_metadata(passed, withheld) == segments
    assert without_previews(passed, keep=keep) == (passed, ())
    with pytest.raises(ValueError, match=r"^expected a segment where one was held back$"):
        restored_metadata(passed[:2], withheld[-1:])
    # without being asked for, less passes
    passed, withheld = without_previews(segments)
    assert [segment.content[:5] for segment in passed] == [b"JFIF\0", b"Exif\0", b"Adobe", b"a com"]
    assert b"Cam\0" in passed[1].content
    assert len(passed[1].content) < len(exif.content)
    assert restored_metadata(passed, withheld) == segments
    assert without_previews(passed) == (passed, ())


def test_lengths_that_lead_nowhere() -> None:
    whole = FILES["4:2:0"]
    frame = whole.index(b"\xff\xc0")
    for size in (0, 1, 5, 16, 18, 20000):
        data = _patched(whole, frame + 2, struct.pack(">H", size))
        with pytest.raises(UnsupportedImageError, match=r"^a: expected "):
            read_image(data, name="a")
