from __future__ import annotations

import io
import struct

import cv2
import numpy as np
import pytest
from image_samples import Array, noise, pillow, pillow_palette
from PIL import Image as Pillow

from medlocker.errors import UnsupportedImageError
from medlocker.formats import encode_image, metadata_digest, read_image


def _check(data: bytes, pixels: Array, kind: str) -> bytes:
    image = read_image(data, name="a.bmp")
    assert image.kind == kind
    assert np.array_equal(image.pixels, pixels)
    assert encode_image(image, pixels) == data
    other = np.ascontiguousarray(pixels[::-1, ::-1])
    written = encode_image(image, other)
    again = read_image(written, name="a.bmp")
    assert np.array_equal(again.pixels, other)
    assert metadata_digest(again) == metadata_digest(image)
    return written


@pytest.mark.parametrize("width", [5, 6, 7, 8])
@pytest.mark.parametrize(("channels", "kind"), [(1, "grey"), (3, "rgb")])
def test_files_of_pillow(channels: int, kind: str, width: int) -> None:
    pixels = noise((6, width, channels))
    written = _check(pillow(pixels, "BMP", dpi=(300, 300)), pixels, kind)
    assert np.array_equal(
        np.asarray(Pillow.open(io.BytesIO(written))).reshape(pixels.shape), pixels[::-1, ::-1]
    )


def test_palette() -> None:
    colors, pixels = noise((256, 3), seed=1), noise((6, 7, 1))
    data = pillow_palette(pixels, colors, "BMP")
    image = read_image(data, name="a.bmp")
    assert image.palette is not None
    assert np.array_equal(image.palette, colors)
    _check(data, pixels, "palette")


def test_32_bits_with_masks_from_opencv() -> None:
    pixels = noise((6, 7, 4))
    data = cv2.imencode(".bmp", pixels[..., [2, 1, 0, 3]])[1].tobytes()
    _check(data, pixels, "rgba")


def test_top_down_and_facts() -> None:
    pixels = noise((6, 7, 3))
    rows = np.pad(pixels[..., ::-1].reshape(6, 21), ((0, 0), (0, 3)), constant_values=9).tobytes()
    header = struct.pack("<IiiHHIIiiII", 40, 7, -6, 1, 24, 0, 0, 11811, 11811, 0, 0)
    data = b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54) + header + rows + b"trailer"
    _check(data, pixels, "rgb")
    facts = read_image(data, name="a.bmp").facts
    assert (facts["top down"], facts["dpi"]) == (True, "300 x 300")


GOOD = pillow(noise((6, 7, 3)), "BMP")


def _patched(at: int, code: str, value: int) -> bytes:
    out = bytearray(GOOD)
    struct.pack_into(code, out, at, value)
    return bytes(out)


REFUSED = {
    "cut": (GOOD[:-1], "expected a whole BMP image, got a cut one"),
    "header only": (GOOD[:20], "expected a whole BMP image, got a damaged or cut one"),
    "one bit": (_patched(28, "<H", 1), "expected a BMP of 8, 24 or 32 bits, got 1"),
    "compressed": (_patched(30, "<I", 1), "expected a BMP without compression, got number 1"),
    "old header": (_patched(14, "<I", 12), "expected a BMP with a Windows header"),
    "no columns": (_patched(18, "<i", 0), "expected at least one pixel, got 0 x 6"),
    "negative": (_patched(18, "<i", -7), "expected at least one pixel, got -7 x 6"),
    "tall": (_patched(22, "<i", -(2**31)), "expected sides of at most 65500 pixels, got 7 x 2147483648"),
    "pixels inside the header": (_patched(10, "<I", 20), "expected a whole BMP image, got a cut one"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_clearly(case: str) -> None:
    data, message = REFUSED[case]
    with pytest.raises(UnsupportedImageError) as caught:
        read_image(data, name="a.bmp")
    assert str(caught.value) == f"a.bmp: {message}"
