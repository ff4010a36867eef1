"""Compressed DICOM frames: written without loss at every depth, found in their fragments, read by others."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.encaps import encapsulate, generate_frames

from dicom_samples import FOLDER, Array, Sample
from medlocker.formats import read_image
from medlocker.formats.dicom import Layout, encode_frame
from medlocker.formats.dicom._codecs import CODECS, RLE, decode_frame, output_photometric
from medlocker.formats.dicom._frames import find_frames, frame_item, offset_table
from medlocker.formats.dicom._layout import to_pixels, to_words

OUTPUTS = sorted({codec.output for codec in CODECS.values()})


def layout(words: Array, stored: int, *, signed: bool = False, high: int | None = None) -> Layout:
    height, width, channels = words.shape
    photometric = "MONOCHROME2" if channels == 1 else "RGB"
    allocated = words.dtype.itemsize * 8
    return Layout(height, width, channels, photometric, False, allocated, stored,
                  stored - 1 if high is None else high, signed, 1, False)  # fmt: skip


@st.composite
def frames(draw: st.DrawFn) -> tuple[Array, Layout]:
    """Words with or without something in their unused bits."""
    allocated = draw(st.sampled_from((8, 16)))
    channels = draw(st.sampled_from((1, 1, 3)))
    stored = draw(st.integers(1 if allocated == 8 else 2, allocated)) if channels == 1 else allocated
    high = draw(st.integers(stored - 1, allocated - 1))
    shape = (draw(st.integers(1, 40)), draw(st.integers(1, 40)), channels)
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    dtype: Any = np.uint8 if allocated == 8 else np.uint16
    words = rng.integers(0, 1 << allocated, shape).astype(dtype)
    kind = layout(words, stored, signed=channels == 1 and draw(st.booleans()), high=high)
    if draw(st.booleans()):
        words = to_words(to_pixels(words, kind), kind, like=np.zeros_like(words))
    return words, kind


@settings(max_examples=60)
@given(frames(), st.sampled_from(OUTPUTS))
def test_frames_come_back_as_they_were(frame: tuple[Array, Layout], syntax: str) -> None:
    words, kind = frame
    again = decode_frame(encode_frame(words, syntax, kind), syntax, kind)
    assert np.array_equal(to_pixels(again, kind), to_pixels(words, kind))
    # without a sign above the sample it may appear there when it is read again
    unused = words & kind.dtype.type(kind.above)
    if syntax == RLE or (unused.any() and not kind.signed):
        assert np.array_equal(again, words)


@given(frames(), st.integers(0, 99))
def test_samples_change_and_what_lies_beside_them_stays(frame: tuple[Array, Layout], seed: int) -> None:
    words, kind = frame
    pixels = to_pixels(words, kind)
    assert pixels.max() < 1 << kind.stored
    assert np.array_equal(to_words(pixels, kind, like=words), words)
    other = np.random.default_rng(seed).integers(0, 1 << kind.stored, pixels.shape).astype(pixels.dtype)
    changed = to_words(other, kind, like=words)
    assert np.array_equal(to_pixels(changed, kind), other)
    assert np.array_equal(to_words(pixels, kind, like=changed), words)
    below = kind.dtype.type((1 << kind.shift) - 1)
    assert np.array_equal(changed & below, words & below)


def test_the_depth_that_is_stored_is_the_depth_that_is_written() -> None:
    words = np.full((8, 8, 1), 4095, np.uint16)
    kind = layout(words, 12)
    for syntax, marker, place in (
        ("1.2.840.10008.1.2.4.80", b"\xff\xf7", 4),
        ("1.2.840.10008.1.2.4.70", b"\xff\xc3", 4),
        ("1.2.840.10008.1.2.4.90", b"\xff\x51", 40),
    ):
        packed = encode_frame(words, syntax, kind)
        depth = packed[packed.index(marker) + place]
        assert depth == (11 if marker == b"\xff\x51" else 12)


@pytest.mark.parametrize(("syntax", "before", "after"), [
    ("1.2.840.10008.1.2.4.50", "YBR_FULL_422", "RGB"),
    ("1.2.840.10008.1.2.4.91", "YBR_ICT", "YBR_RCT"),
    ("1.2.840.10008.1.2.4.90", "YBR_RCT", "YBR_RCT"),
    ("1.2.840.10008.1.2.4.80", "YBR_FULL", "YBR_FULL"),
    ("1.2.840.10008.1.2.1", "YBR_FULL", "YBR_FULL"),
])  # fmt: skip
def test_colour_models_follow_what_decoding_does(syntax: str, before: str, after: str) -> None:
    assert output_photometric(syntax, before) == after


@given(st.lists(st.lists(st.binary(min_size=2, max_size=30), min_size=1, max_size=3), min_size=2, max_size=6))
def test_fragments_are_given_to_their_frames(frames: list[list[bytes]]) -> None:
    pieces: list[bytes] = []
    offsets = []
    for parts in frames:
        offsets.append(sum(map(len, pieces)))
        pieces += [frame_item(part) for part in parts]
    payload = memoryview(offset_table(offsets) + b"".join(pieces))
    found = find_frames(payload, len(frames))
    padded = [b"".join(part + b"\0" * (len(part) % 2) for part in parts) for parts in frames]
    assert [b"".join(parts) for parts in found] == padded
    stream = bytes(payload) + b"\xfe\xff\xdd\xe0\0\0\0\0"
    assert list(generate_frames(stream, number_of_frames=len(frames))) == padded


def test_a_codestream_in_a_file_of_its_own_is_found() -> None:
    words = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    kind, syntax = layout(words, 8), "1.2.840.10008.1.2.4.90"
    stream = encode_frame(words, syntax, kind)
    start = b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\x0aftyp\0\0"
    boxed = start + struct.pack(">I4s", 8 + len(stream), b"jp2c") + stream
    assert np.array_equal(decode_frame(boxed, syntax, kind), words)
    for broken in (start, start + b"\0\0\0\0abcd" + stream):
        with pytest.raises(ValueError, match="expected a codestream"):
            decode_frame(broken, syntax, kind)


def test_without_a_table_frames_end_where_their_codestreams_do() -> None:
    ended = [b"ab\xff\xd9", b"cdef", b"gh\xff\xd9"]
    payload = memoryview(b"".join([offset_table([]), *(frame_item(part) for part in ended)]))
    assert [b"".join(parts) for parts in find_frames(payload, 2)] == [ended[0], ended[1] + ended[2]]
    with pytest.raises(ValueError, match="expected a table of where frames begin"):
        find_frames(memoryview(b"".join([offset_table([]), *[frame_item(b"abcd")] * 3])), 2)
    with pytest.raises(ValueError, match="expected a fragment for each frame"):
        find_frames(payload, 4)
    with pytest.raises(ValueError, match="expected whole items"):
        find_frames(payload[:-1], 2)
    with pytest.raises(ValueError, match="expected an offset table"):
        find_frames(memoryview(b""), 1)


def test_our_frames_are_what_pydicom_makes_of_them() -> None:
    frames = [b"abcd", b"efgh12"]
    payload = offset_table([0, 12]) + b"".join(map(frame_item, frames))
    assert encapsulate(frames, has_bot=True) == payload


def test_damaged_rle_is_refused() -> None:
    words = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    kind = layout(words, 8)
    packed = encode_frame(words, RLE, kind)
    for broken in (
        struct.pack("<I", 2) + packed[4:],
        packed[:4] + struct.pack("<I", 999) + packed[8:],
        packed[:66],
    ):
        with pytest.raises((ValueError, RuntimeError)):
            decode_frame(broken, RLE, kind)


@pytest.mark.parametrize("syntax", [syntax for syntax in OUTPUTS if syntax != RLE])
def test_a_frame_of_another_size_is_refused_before_it_is_decoded(syntax: str) -> None:
    words = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    packed = bytearray(encode_frame(words, syntax, layout(words, 8)))
    at = packed.find(b"\xff\x51")
    place = at + 6 if at >= 0 else max(packed.find(b"\xff\xf7"), packed.find(b"\xff\xc3")) + 5
    packed[place : place + 2] = b"\x7f\xff"
    with pytest.raises(ValueError, match="expected a frame as large as the header says"):
        decode_frame(bytes(packed), syntax, layout(words, 8))
    with pytest.raises(ValueError, match=r"expected a (codestream|frame header)"):
        decode_frame(bytes(packed[:2]) + b"\0" * 60, syntax, layout(words, 8))


def test_lossless_jpeg_is_read() -> None:
    """pydicom has no reader for it here: the picture is that of the same series in another syntax."""
    first = read_image((FOLDER / "SC_rgb_jpeg_gdcm.dcm").read_bytes(), name="a")
    other = read_image((FOLDER / "SC_rgb_rle.dcm").read_bytes(), name="a")
    assert np.array_equal(first.pixels, other.pixels)


def test_sample_words_are_what_they_claim() -> None:
    words = np.array([[[[0xF800]]]], np.uint16)
    assert Sample(words, stored=12, signed=True).samples.ravel().tolist() == [0]


def _retold(stream: bytes, *, names: bytes = b"", adobe: int | None = None) -> bytes:
    """A JPEG without JFIF, whose components have other names, or with Adobe's word on its colours."""
    assert stream[2:4] == b"\xff\xe0"
    (length,) = struct.unpack_from(">H", stream, 4)
    start = b"" if adobe is None else b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([adobe])
    made = bytearray(stream[:2] + start + stream[4 + length :])
    if names:
        frame, scan = made.index(b"\xff\xc0"), made.index(b"\xff\xda")
        made[frame + 10 : frame + 19 : 3] = names
        made[scan + 5 : scan + 11 : 2] = names
    return bytes(made)


@pytest.mark.parametrize("told", ["RGB", "YBR_FULL_422"])
@pytest.mark.parametrize(
    ("change", "is_rgb"),
    [
        (lambda stream: stream, False),  # JFIF
        (lambda stream: _retold(stream, adobe=1), False),
        (lambda stream: _retold(stream, adobe=0), True),
        (lambda stream: _retold(stream, names=b"RGB"), True),
        (lambda stream: _retold(stream, names=b"RGB", adobe=1), False),
        (lambda stream: _retold(stream), None),
    ],
    ids=["JFIF", "Adobe 1", "Adobe 0", "R, G, B", "R, G, B but Adobe 1", "silent"],
)
def test_a_jpeg_knows_its_colours_better_than_the_header(
    change: Callable[[bytes], bytes], is_rgb: bool | None, told: str
) -> None:
    pixels = np.full((16, 16, 3), (170, 90, 60), np.uint8)
    stream = simplejpeg.encode_jpeg(pixels, 95, colorsubsampling="444")  # YCbCr, JFIF
    kind = layout(pixels, 8).with_photometric(told)
    found = decode_frame(change(stream), "1.2.840.10008.1.2.4.50", kind)[8, 8].astype(int)
    wanted = (told == "RGB") if is_rgb is None else is_rgb
    ybr = cv2.cvtColor(pixels, cv2.COLOR_RGB2YCrCb)[8, 8][[0, 2, 1]]
    assert np.abs(found - (ybr if wanted else pixels[8, 8])).max() <= 2
