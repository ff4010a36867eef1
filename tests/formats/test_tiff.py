from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
import tifffile
from image_samples import Array, noise, pillow, pillow_palette, tiff
from PIL import Image as Pillow

from medlocker.errors import UnsupportedImageError
from medlocker.formats import encode_image, metadata_digest, read_image
from medlocker.images import Limits, viewed
from medlocker.logo import builtin_logo
from medlocker.mark import OPACITY_ONE, Mark
from medlocker.marking import mark_pixels

LAYOUTS: dict[str, dict[str, Any]] = {
    "one strip": {},
    "strips": {"rowsperstrip": 7},
    "tiles": {"tile": (16, 32)},
    "lzw": {"compression": "lzw", "rowsperstrip": 10},
    "lzw differenced": {"compression": "lzw", "predictor": True},
    "deflate": {"compression": "zlib", "rowsperstrip": 5},
    "deflate differenced tiles": {"compression": "zlib", "predictor": True, "tile": (16, 16)},
    "packbits": {"compression": "packbits", "rowsperstrip": 9},
    "big endian": {"byteorder": ">"},
    "bigtiff": {"bigtiff": True, "rowsperstrip": 7},
    "bigtiff deflate tiles": {"bigtiff": True, "compression": "zlib", "tile": (16, 32)},
    "big endian bigtiff": {"bigtiff": True, "byteorder": ">", "compression": "lzw"},
    "big endian lzw differenced": {"byteorder": ">", "compression": "lzw", "predictor": True},
}
KINDS = [(1, "grey"), (2, "grey-alpha"), (3, "rgb"), (4, "rgba")]


def _reread(data: bytes) -> tifffile.TiffPage:
    page = tifffile.TiffFile(io.BytesIO(data)).pages[0]
    assert isinstance(page, tifffile.TiffPage)
    return page


def _roundtrip(data: bytes, pixels: Array, kind: str) -> bytes:
    """Read, write other pixels, and let tifffile read them; returns the written file."""
    image = read_image(data, name="a.tif")
    assert image.kind == kind
    assert image.pixels.dtype == pixels.dtype
    assert np.array_equal(image.pixels, pixels)
    other = np.ascontiguousarray(pixels[::-1, ::-1])
    written = encode_image(image, other)
    before, after = _reread(data), _reread(written)
    array = after.asarray()
    if after.planarconfig == 2 and after.samplesperpixel > 1:
        array = np.moveaxis(array, 0, 2)
    assert np.array_equal(array.reshape(other.shape), other)
    assert after.compression == before.compression
    assert after.predictor == before.predictor
    assert after.photometric == before.photometric
    assert written[:4] == data[:4]
    again = read_image(written, name="a.tif")
    assert np.array_equal(again.pixels, other)
    assert metadata_digest(again) == metadata_digest(image)
    return written


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("channels", "kind"), KINDS)
def test_every_layout(channels: int, kind: str, layout: str, dtype: str) -> None:
    pixels = noise((33, 41, channels), dtype, top=50 if "pack" in layout else None)
    _roundtrip(tiff(pixels, **LAYOUTS[layout]), pixels, kind)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_separate_planes(layout: str) -> None:
    pixels = noise((33, 41, 3), "u2")
    _roundtrip(tiff(pixels, planarconfig="separate", **LAYOUTS[layout]), pixels, "rgb")


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits"])
def test_files_of_another_library(compression: str) -> None:
    pixels = noise((33, 41, 3))
    written = _roundtrip(pillow(pixels, "TIFF", compression=compression), pixels, "rgb")
    assert np.array_equal(np.asarray(Pillow.open(io.BytesIO(written))), pixels[::-1, ::-1])


def test_palette() -> None:
    colors, pixels = noise((256, 3), seed=1), noise((9, 8, 1))
    data = pillow_palette(pixels, colors, "TIFF")
    image = read_image(data, name="a.tif")
    assert image.palette is not None
    assert np.array_equal(image.palette, colors)
    _roundtrip(data, pixels, "palette")


def test_white_is_zero() -> None:
    pixels = noise((9, 8, 1), "u2")
    data = tiff(pixels, photometric="miniswhite")
    image = read_image(data, name="a.tif")
    assert image.white_is_zero
    assert np.array_equal(viewed(image), np.repeat(65535 - pixels, 3, axis=2))
    _roundtrip(data, pixels, "grey")


def test_a_mark_looks_alike_where_white_is_zero() -> None:
    pixels = noise((60, 80, 1))
    usual = read_image(tiff(pixels), name="a.tif")
    reversed_ = read_image(tiff(255 - pixels, photometric="miniswhite"), name="b.tif")
    logo, mark = builtin_logo(), Mark(x=10, y=20, size_px=30, opacity=OPACITY_ONE // 2)
    shown = viewed(usual, mark_pixels(usual, [mark], logo=logo).pixels)
    marked = mark_pixels(reversed_, [mark], logo=logo)
    difference = viewed(reversed_, marked.pixels).astype(int) - shown
    assert np.abs(difference).max() <= 1  # halves are rounded up in both
    assert np.abs(shown.astype(int) - viewed(usual)).max() > 40


def test_keeps_tags() -> None:
    pixels = noise((9, 8, 3))
    exif = Pillow.Exif()
    exif[271], exif[274] = "Maker", 6
    exif.get_ifd(34665)[37386] = 50.0
    exif.get_ifd(34853)[1] = "N"
    exif[34665] = exif[34853] = 0  # only tags that are there are written
    stream = io.BytesIO()
    Pillow.fromarray(pixels).save(
        stream, "TIFF", exif=exif, dpi=(300, 300), icc_profile=b"profile" * 20, description="d" * 9
    )
    image = read_image(stream.getvalue(), name="a.tif")
    facts = {"exif": True, "gps": True, "icc": True, "orientation": 6, "dpi": "300", "compression": "none"}
    assert dict(image.facts) | facts == dict(image.facts)
    again = Pillow.open(io.BytesIO(encode_image(image, pixels[::-1].copy())))
    found = again.getexif()
    assert (found[271], found[274], found[270]) == ("Maker", 6, "d" * 9)
    assert found.get_ifd(34665)[37386] == 50.0
    assert found.get_ifd(34853)[1] == "N"
    assert again.info["icc_profile"] == b"profile" * 20
    assert again.info["dpi"] == (300, 300)


def test_metadata_digest_sees_tags_but_not_the_layout() -> None:
    pixels = noise((9, 8, 3))

    def digest(**options: Any) -> str:
        return metadata_digest(read_image(tiff(pixels, **options), name="a"))

    assert digest(description="a") != digest(description="b")
    assert digest(description="a") == digest(description="a", compression="lzw", rowsperstrip=2)


def test_layers_and_previews_are_not_passed_on() -> None:
    jpeg = pillow(noise((8, 8, 3)), "JPEG")
    extra = [
        (37724, 7, 9, b"layers!!!", True),
        (34377, 7, 9, b"preview!!", True),
        (65000, 7, len(jpeg), jpeg, True),
    ]
    image = read_image(tiff(noise((9, 8, 3)), extratags=extra), name="a.tif")
    written = encode_image(image, image.pixels)
    assert {37724, 34377, 65000}.isdisjoint(tag.code for tag in _reread(written).tags)
    for word in (b"layers!!!", b"preview!!", jpeg[:20]):
        assert word in image.source
        assert word not in written


def test_original_pixels_are_not_left_in_the_file() -> None:
    pixels = noise((33, 41, 3))
    image = read_image(tiff(pixels), name="a.tif")
    assert pixels[3].tobytes() not in encode_image(image, np.zeros_like(pixels))


def _patched(data: bytes, tag: int, value: int) -> bytes:
    """Give a tag of a little-endian file another short value."""
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    out = bytearray(data)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, entry)[0] == tag:
            out[entry + 8 : entry + 12] = struct.pack("<I", value)
            return bytes(out)
    raise KeyError(tag)


GREY = tiff(noise((9, 8, 1)))
DEFLATE = tiff(noise((9, 8, 1)), compression="zlib")
DAMAGED = "expected a whole TIFF image, got a damaged or cut one"
REFUSED = {
    "cut": (GREY[:-9], DAMAGED),
    "header only": (GREY[:8], DAMAGED),
    "cut stream": (_patched(DEFLATE, 279, 20), DAMAGED),
    "float": (
        tiff(noise((9, 8, 1)).astype("f4")),
        "expected unsigned samples or signed ones of 16 bits, got floating-point ones of 32",
    ),
    "signed": (
        tiff(noise((9, 8, 1)).astype("i1")),
        "expected unsigned samples or signed ones of 16 bits, got signed ones of 8",
    ),
    "32 bits": (tiff(noise((9, 8, 1)).astype("u4")), "expected 8 or 16 bits, got 32"),
    "one bit": (_patched(GREY, 258, 1), "expected 8 or 16 bits, got 1"),
    "cmyk": (
        tiff(noise((9, 8, 4)), photometric="separated", extrasamples=()),
        "expected grey, RGB or 8-bit palette, got CMYK with 4 channels of 8 bits",
    ),
    "jpeg inside": (
        _patched(GREY, 259, 7),
        "expected TIFF compression none, LZW, deflate or PackBits, got JPEG",
    ),
    "wide": (_patched(GREY, 256, 70000), "expected sides of at most 65500 pixels, got 70000 x 9"),
    "no rows": (_patched(GREY, 257, 0), "expected at least one pixel, got 8 x 0"),
    "missing strips": (_patched(GREY, 278, 1), "expected 9 strips or tiles, got 1 places and 1 sizes"),
    "cut bigtiff": (tiff(noise((9, 8, 1)), bigtiff=True)[:20], DAMAGED),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_clearly(case: str) -> None:
    data, message = REFUSED[case]
    with pytest.raises(UnsupportedImageError) as caught:
        read_image(data, name="a.tif")
    assert str(caught.value) == f"a.tif: {message}"


def test_refuses_tiles_out_of_proportion() -> None:
    data = tiff(noise((9, 300, 1)), tile=(256, 256))
    with pytest.raises(
        UnsupportedImageError, match=r"^a\.tif: expected strips or tiles in proportion to the picture$"
    ):
        read_image(data, name="a.tif", limits=Limits(max_pixels=65536))
