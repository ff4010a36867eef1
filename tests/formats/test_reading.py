"""Whatever the bytes are: one clear refusal or a valid image."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_samples import exif_block, loop_png, noise, pillow, pillow_palette, tiff

from medlocker.errors import UnsupportedImageError
from medlocker.formats import encode_image, metadata_digest, read_image
from medlocker.images import CHANNELS, Image, Limits, pixel_digest

_RGB = noise((12, 9, 3), top=40)
SAMPLES = {
    "png": pillow(_RGB, "PNG", exif=exif_block()),
    "png interlaced": loop_png(_RGB, depth=8, interlaced=True),
    "png palette": loop_png(noise((9, 8, 1), top=4), depth=2, color=3, palette=noise((4, 3))),
    "png 16": loop_png(noise((5, 6, 2), "u2"), depth=16),
    "tiff": tiff(_RGB),
    "tiff lzw": tiff(_RGB, compression="lzw", predictor=True, tile=(16, 16)),
    "tiff deflate": tiff(_RGB.astype("u2"), compression="zlib", byteorder=">"),
    "tiff packbits": tiff(_RGB, compression="packbits", rowsperstrip=2),
    "bmp": pillow(_RGB, "BMP"),
    "bmp palette": pillow_palette(noise((6, 7, 1)), noise((256, 3)), "BMP"),
    "jpeg": pillow(_RGB, "JPEG", exif=b"Exif\0\0" + exif_block()),
    "jpeg progressive": pillow(_RGB, "JPEG", progressive=True),
}


def _check(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            image = read_image(data, name="some file")
        except UnsupportedImageError as error:
            text = str(error)
            assert text.startswith("some file: expected ")
            assert "\n" not in text
            assert not text.endswith(".")
            return
        assert isinstance(image, Image)
        assert image.pixels.shape == (image.height, image.width, CHANNELS[image.kind])
        assert image.pixels.flags.c_contiguous
        assert image.pixels.dtype in (np.uint8, np.uint16)
        if image.format == "jpeg":
            return  # cannot hold chosen pixels
        again = read_image(encode_image(image, image.pixels), name="some file")
        assert np.array_equal(again.pixels, image.pixels)
        assert metadata_digest(again) == metadata_digest(image)


@pytest.mark.parametrize("sample", SAMPLES)
@given(data=st.data())
@settings(max_examples=40)
def test_flipped_bytes(sample: str, data: st.DataObject) -> None:
    damaged = bytearray(SAMPLES[sample])
    for _ in range(data.draw(st.integers(1, 4))):
        # headers and tables are at both ends: look there more often than in the pixels
        at = data.draw(st.one_of(st.integers(0, 200), st.integers(-200, -1), st.integers(0, 10**6)))
        damaged[at % len(damaged)] = data.draw(st.integers(0, 255))
    _check(bytes(damaged))


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_truncation(sample: str) -> None:
    whole = SAMPLES[sample]
    step = max(1, len(whole) // 150)
    for size in (*range(0, len(whole) - 1, step), len(whole) - 1):
        with pytest.raises(UnsupportedImageError, match=r"^cut: expected "):
            read_image(whole[:size], name="cut")


@given(
    start=st.sampled_from([b"", b"BM", b"II*\0", b"MM\0*", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a"]),
    rest=st.binary(max_size=200),
)
@settings(max_examples=150)
def test_garbage(start: bytes, rest: bytes) -> None:
    _check(start + rest)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "a: expected a PNG, TIFF, BMP, JPEG, DICOM or NIfTI image, got an empty file"),
        (b"image,label\n", "a: expected a PNG, TIFF, BMP, JPEG, DICOM or NIfTI image, got something else"),
        (pillow(_RGB[..., :1], "GIF"), "a: expected a PNG, TIFF, BMP, JPEG, DICOM or NIfTI image, got a GIF"),
    ],
)
def test_other_files(data: bytes, message: str) -> None:
    with pytest.raises(UnsupportedImageError) as caught:
        read_image(data, name="a")
    assert str(caught.value) == message


@pytest.mark.parametrize("sample", SAMPLES)
def test_limits(sample: str) -> None:
    data = SAMPLES[sample]
    with pytest.raises(UnsupportedImageError, match=f"^a: expected at most 10 bytes, got {len(data)}$"):
        read_image(data, name="a", limits=Limits(max_file_bytes=10))
    with pytest.raises(UnsupportedImageError, match=r"^a: expected at most 20 pixels, got [0-9]+ x [0-9]+$"):
        read_image(data, name="a", limits=Limits(max_pixels=20))


@pytest.mark.parametrize("sample", SAMPLES)
def test_content_decides_and_digests_are_stable(sample: str) -> None:
    image = read_image(SAMPLES[sample], name="wrong.xyz")
    assert image.format == sample.split()[0]
    written = image.source if image.format == "jpeg" else encode_image(image, image.pixels)
    again = read_image(written, name="a")
    assert pixel_digest(again.pixels) == pixel_digest(image.pixels)
    assert {"bit depth", "kind", "compression", "icc", "exif", "gps"} <= set(image.facts)
    assert all(isinstance(value, str | int) and len(str(value)) < 40 for value in image.facts.values())
