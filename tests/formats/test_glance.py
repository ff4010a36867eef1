"""What headers tell of a file that is too large to be decoded for a look."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from image_samples import png_file, png_header
from nifti_samples import nifti, patched

import every_format
from dicom_samples import Sample, write
from medlocker.errors import UnsupportedImageError
from medlocker.formats import glance_image, read_image
from runs import Shell

FILES = every_format.every_file()


@pytest.fixture
def shell(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capfd, monkeypatch)


@pytest.mark.parametrize("name", FILES)
def test_headers_tell_what_reading_tells(name: str) -> None:
    image, seen = read_image(FILES[name], name=name), glance_image(FILES[name], name=name)
    frames = 1 if image.frames is None else len(image.frames)
    assert (seen.format, seen.width, seen.height, seen.frames) == (
        image.format,
        image.width,
        image.height,
        frames,
    )
    assert seen.pixel_bytes == frames * image.pixels.nbytes
    assert dict(seen.facts) == {k: v for k, v in image.facts.items() if k not in ("shown", "contrast")}


def tiff_of_pages(count: int) -> bytes:
    """Pages of one pixel."""
    body = bytearray(b"II*\0" + struct.pack("<I", 8))
    tags = {256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: 1, 279: 1}
    size = 2 + 12 * len(tags) + 4
    for number in range(count):
        at = len(body)
        body += struct.pack("<H", len(tags))
        for tag, value in tags.items():
            body += struct.pack("<HHII", tag, 4, 1, at + size if tag == 273 else value)
        body += struct.pack("<I", at + size + 2 if number < count - 1 else 0) + b"\7\0"
    return bytes(body)


LARGE = {
    "a.png": (png_file(png_header(10_000, 9_900, depth=16, color=6), (b"IDAT", b"x")), (9_900, 10_000, 1)),
    "a.tif": (tiff_of_pages(2_001), (1, 1, 2_001)),
    "a.nii.gz": (
        gzip.compress(patched(nifti(np.zeros((9, 8, 1), "i2")), 42, "<3h", 1000, 900, 1600)),
        (900, 1000, 1600),
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_inspect_decodes_no_pixels_of_large_files(name: str, shell: Shell, tmp_path: Path) -> None:
    data, (height, width, frames) = LARGE[name]
    (tmp_path / name).write_bytes(data)
    seen = shell("inspect", name, "--json", cwd=tmp_path).json
    assert (seen["height"], seen["width"], seen.get("frames", 1)) == (height, width, frames)
    assert seen["bytes"] == len(data)
    assert seen["pixel digest"] == "not worked out for more than 75 MB or 2000 frames"


def test_inspect_tells_the_digest_of_others(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff_of_pages(3))
    assert len(shell("inspect", "a.tif", "--json", cwd=tmp_path).json["pixel digest"]) == 64


def dicom_of_elements(count: int, *, nested: bool) -> bytes:
    data = write(Sample(np.zeros((1, 8, 8, 1), "u1"), "MONOCHROME2"))
    at = data.index(struct.pack("<HH", 0x0028, 0x0002))
    if not nested:
        some = b"".join(struct.pack("<HH2sH", 0x0019, 0x1000, b"LO", 0) for _ in range(count))
    else:
        item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
        some = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + item * count
        some += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return data[:at] + some + data[at:]


ELEMENTS = "expected a whole DICOM image: expected at most 200000 elements"
SMALL = (b"IDAT", zlib.compress(bytes(16 * 6)))
REFUSED = {
    "chunks": (
        png_file(png_header(5, 6), *((b"prVt", b""),) * 100_001, SMALL),
        "expected a PNG of at most 100000 chunks besides those of pixels",
    ),
    "chunks of pixels": (
        png_file(png_header(5, 6), SMALL, *((b"IDAT", b""),) * 250_000),
        "expected a PNG of at most 250000 chunks",
    ),
    "exif": (
        png_file(png_header(5, 6), (b"eXIf", bytes((1 << 24) + 1)), SMALL),
        "expected EXIF of at most 16777216 bytes, got 16777217",
    ),
    "elements": (dicom_of_elements(200_001, nested=False), ELEMENTS),
    "items": (dicom_of_elements(200_001, nested=True), ELEMENTS),
    "pages in a circle": (
        tiff_of_pages(2)[:-6] + struct.pack("<IH", 8, 0),
        "expected a whole TIFF image, got a damaged or cut one",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_takes_too_long_is_refused_with_and_without_pixels(case: str) -> None:
    data, message = REFUSED[case]
    for look in (read_image, glance_image):
        with pytest.raises(UnsupportedImageError) as caught:
            look(data, name="a")
        assert str(caught.value) == f"a: {message}"


def test_many_elements_within_the_limit_are_read() -> None:
    assert read_image(dicom_of_elements(2_000, nested=True), name="a").width == 8
