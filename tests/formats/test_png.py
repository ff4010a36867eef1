from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_samples import (
    exif_block,
    loop_png,
    noise,
    pillow,
    pillow_palette,
    png_chunks,
    png_file,
    png_header,
)
from PIL import Image as Pillow

from medlocker.errors import InputError, UnsupportedImageError
from medlocker.formats import (
    check_keep,
    encode_image,
    mark_file,
    metadata_digest,
    read_image,
    unmark_file,
)
from medlocker.images import viewed
from medlocker.logo import builtin_logo
from medlocker.mark import OPACITY_ONE, Mark

PALETTE = noise((7, 3), seed=3)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize(("channels", "kind"), [(1, "grey"), (2, "grey-alpha"), (3, "rgb"), (4, "rgba")])
def test_reads_every_kind_with_every_filter(channels: int, kind: str, dtype: str, interlaced: bool) -> None:
    pixels = noise((11, 13, channels), dtype)
    image = read_image(loop_png(pixels, depth=8 * int(dtype[1]), interlaced=interlaced), name="a.png")
    assert image.kind == kind
    assert image.pixels.dtype == np.dtype(dtype)
    assert np.array_equal(image.pixels, pixels)
    assert image.facts["interlaced"] is interlaced


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("depth", [2, 4, 8])
def test_keeps_palette_and_its_depth(depth: int, interlaced: bool) -> None:
    colors = PALETTE[: min(7, 1 << depth)]
    pixels = noise((9, 10, 1), top=len(colors))
    data = loop_png(pixels, depth=depth, color=3, palette=colors, interlaced=interlaced)
    image = read_image(data, name="a.png")
    assert image.kind == "palette"
    assert np.array_equal(image.pixels, pixels)
    assert image.palette is not None
    assert np.array_equal(image.palette, colors)
    other = pixels[::-1]
    again = Pillow.open(io.BytesIO(encode_image(image, other)))
    assert np.array_equal(np.asarray(again.convert("RGB")), colors[other[..., 0]])
    assert png_chunks(encode_image(image, other))[0][1][8] == depth
    assert np.array_equal(viewed(image), colors[pixels[..., 0]])


@pytest.mark.parametrize(
    ("shape", "dtype"), [((9, 8, 1), "u1"), ((9, 8, 3), "u1"), ((9, 8, 4), "u1"), ((9, 8, 1), "u2")]
)
def test_reads_what_pillow_writes(shape: tuple[int, int, int], dtype: str) -> None:
    pixels = noise(shape, dtype)
    assert np.array_equal(read_image(pillow(pixels, "PNG"), name="a.png").pixels, pixels)


def test_reads_a_pillow_palette_with_transparency() -> None:
    pixels = noise((9, 8, 1), top=7)
    data = pillow_palette(pixels, PALETTE, "PNG", transparency=2, bits=4)
    image = read_image(data, name="a.png")
    assert np.array_equal(image.pixels, pixels)
    assert image.facts["transparency"] is True
    assert metadata_digest(read_image(encode_image(image, pixels), name="a")) == metadata_digest(image)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_opencv_reads_what_is_written(channels: int, dtype: str) -> None:
    image = read_image(loop_png(noise((20, 17, channels), dtype), depth=8 * int(dtype[1])), name="a.png")
    other = noise((20, 17, channels), dtype, seed=1)
    array = cv2.imdecode(np.frombuffer(encode_image(image, other), np.uint8), cv2.IMREAD_UNCHANGED)
    assert array is not None
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    assert np.array_equal(array.reshape(20, 17, channels)[..., order], other)


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.integers(1, 4),
    dtype=st.sampled_from(["u1", "u2"]),
    smooth=st.booleans(),
)
@settings(max_examples=60)
def test_writes_any_size_exactly(height: int, width: int, channels: int, dtype: str, smooth: bool) -> None:
    image = read_image(
        loop_png(noise((height, width, channels), dtype), depth=8 * int(dtype[1])), name="a.png"
    )
    other = noise((height, width, channels), dtype, seed=2)
    if smooth:  # makes another filter win
        other = np.cumsum(other % 3, axis=1 if width > height else 0).astype(dtype)
    data = encode_image(image, other)
    assert np.array_equal(read_image(data, name="a.png").pixels, other)
    assert metadata_digest(read_image(data, name="a.png")) == metadata_digest(image)


def test_large_rows_are_written_in_blocks() -> None:
    pixels = np.cumsum(noise((700, 1100, 3), top=3), axis=0).astype(np.uint8)
    image = read_image(pillow(pixels, "PNG", compress_level=1), name="a.png")
    data = encode_image(image, pixels[::-1])
    assert np.array_equal(np.asarray(Pillow.open(io.BytesIO(data))), pixels[::-1])


@pytest.mark.parametrize(("axis", "kind"), [(1, 1), (0, 2), (None, 0)])
def test_chooses_the_filter_that_shrinks_most(axis: int | None, kind: int) -> None:
    pixels = noise((64, 64, 1), top=3)
    if axis is None:
        pixels *= 90
    else:
        start = noise((64, 1, 1) if axis else (1, 64, 1), seed=5)
        pixels = (start + np.cumsum(pixels, axis=axis)).astype(np.uint8)
    image = read_image(pillow(pixels, "PNG"), name="a.png")
    stream = b"".join(data for name, data in png_chunks(encode_image(image, pixels)) if name == b"IDAT")
    assert set(zlib.decompress(stream)[::65]) == {kind}


def test_keeps_every_other_chunk_in_its_order() -> None:
    chunks = [
        png_header(4, 3),
        (b"gAMA", struct.pack(">I", 45455)),
        (b"pHYs", struct.pack(">IIB", 11811, 11811, 1)),
        (b"tEXt", b"Comment\0hello"),
        (b"eXIf", exif_block()),
        (b"prIv", b"\x00\x01"),
        (b"IDAT", zlib.compress(bytes(3 * 13))),
        (b"tIME", bytes(7)),
        (b"zTXt", b"Late\0\0" + zlib.compress(b"text")),
    ]
    image = read_image(png_file(*chunks), name="a.png")
    written = png_chunks(encode_image(image, noise((3, 4, 3))))
    assert [c for c in written if c[0] != b"IDAT"] == [c for c in chunks if c[0] != b"IDAT"]
    assert [c[0] for c in written].index(b"IDAT") == 6
    assert dict(image.facts) | {"orientation": 6, "exif": True, "gps": True, "dpi": "300 x 300"} == dict(
        image.facts
    )


@pytest.mark.parametrize(
    "changed",
    [(b"tEXt", b"Comment\0other"), (b"tEXu", b"Comment\0hello"), (b"gAMA", b"\0\0\0\1")],
)
def test_metadata_digest_sees_every_chunk(changed: tuple[bytes, bytes]) -> None:
    def build(extra: tuple[bytes, bytes]) -> str:
        data = png_file(png_header(1, 1), extra, (b"IDAT", zlib.compress(bytes(4))))
        return metadata_digest(read_image(data, name="a"))

    assert build(changed) != build((b"tEXt", b"Comment\0hello"))


def test_thumbnails_and_layers_are_not_passed_on() -> None:
    jpeg = pillow(noise((8, 8, 3)), "JPEG")
    profile = b"\nexif\n%8d\n" % len(jpeg) + jpeg.hex().encode()
    chunks = [
        png_header(4, 3),
        (b"mkBS", b"layers"),
        (b"eXIf", exif_block(thumbnail=jpeg)),
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile)),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<xmpGImg:image>/9j/</xmpGImg:image>"),
        (b"IDAT", zlib.compress(bytes(3 * 13))),
    ]
    image = read_image(png_file(*chunks), name="a.png")
    data = encode_image(image, image.pixels)
    assert [kind for kind, _ in png_chunks(data)] == [b"IHDR", b"eXIf", b"IDAT"]
    assert jpeg[2:40] not in data
    assert image.facts["previews not passed on"] == 4
    again = read_image(data, name="a.png")
    assert (again.facts["orientation"], again.facts["gps"]) == (6, True)
    assert metadata_digest(again) == metadata_digest(image)


def _with_data(raw: bytes, *header_args: int, **header: int) -> bytes:
    return png_file(png_header(*header_args, **header), (b"IDAT", zlib.compress(raw)))


GOOD = loop_png(noise((6, 5, 3)), depth=8)
REFUSED = {
    "cut in the pixels": (GOOD[:60], "expected a whole PNG image, got a cut one"),
    "cut before the end": (GOOD[:-12], "expected a whole PNG image, got a cut one"),
    "damaged chunk": (GOOD[:50] + b"\xff" + GOOD[51:], "expected a whole PNG image, got a damaged chunk"),
    "too few rows": (_with_data(bytes(16 * 5), 5, 6), "expected a whole PNG image, got a damaged or cut one"),
    "too many rows": (
        _with_data(bytes(16 * 7), 5, 6),
        "expected a whole PNG image, got a damaged or cut one",
    ),
    "unknown filter": (
        _with_data(b"\x09" * 16 * 6, 5, 6),
        "expected a whole PNG image, got a damaged or cut one",
    ),
    "no checksum": (
        png_file(png_header(5, 6), (b"IDAT", zlib.compress(bytes(16 * 6))[:-4])),
        "expected a whole PNG image, got a damaged or cut one",
    ),
    "one byte too many": (
        _with_data(bytes(16 * 6 + 1), 5, 6),
        "expected a whole PNG image, got a damaged or cut one",
    ),
    "wrong checksum": (
        png_file(png_header(5, 6), (b"IDAT", zlib.compress(bytes(16 * 6))[:-1] + b"\x07")),
        "expected a whole PNG image, got a damaged or cut one",
    ),
    "no rows": (_with_data(b"", 5, 0), "expected at least one pixel, got 5 x 0"),
    "bomb": (_with_data(b"", 10000, 10000), "expected a whole PNG image, got a damaged or cut one"),
    "wide": (_with_data(b"", 65501, 1), "expected sides of at most 65500 pixels, got 65501 x 1"),
    "huge": (_with_data(b"", 65500, 65500), "expected at most 100000000 pixels, got 65500 x 65500"),
    "one bit": (
        _with_data(bytes(12), 5, 6, depth=1, color=0),
        "expected 8 or 16 bits, got a black-and-white image of 1 bit",
    ),
    "grey of 4 bits": (
        _with_data(bytes(24), 5, 6, depth=4, color=0),
        "expected 8 or 16 bits for grey, got 4 bits",
    ),
    "odd header": (_with_data(bytes(24), 5, 6, depth=5), "expected a PNG header as the standard defines it"),
    "animated": (
        png_file(png_header(5, 6), (b"acTL", bytes(8)), (b"IDAT", zlib.compress(bytes(96)))),
        "expected a single picture, got an animated PNG",
    ),
    "no palette": (_with_data(bytes(36), 5, 6, color=3), "expected a palette of 1 to 256 colours"),
    "palette too large": (
        png_file(png_header(1, 1, depth=2, color=3), (b"PLTE", bytes(15)), (b"IDAT", zlib.compress(b"\0\0"))),
        "expected a palette of 1 to 4 colours",
    ),
    "index too large": (
        png_file(png_header(1, 1, color=3), (b"PLTE", bytes(6)), (b"IDAT", zlib.compress(b"\0\2"))),
        "expected palette indices below the palette's size",
    ),
    "no pixels": (png_file(png_header(5, 6)), "expected a PNG with pixels"),
    "no header": (png_file((b"gAMA", bytes(4))), "expected a PNG that begins with its header"),
    "unknown critical chunk": (
        png_file(png_header(5, 6), (b"ABCD", b""), (b"IDAT", b"")),
        "expected a PNG with known critical chunks in their order",
    ),
    "two runs": (
        png_file(png_header(5, 6), (b"IDAT", b""), (b"tIME", bytes(7)), (b"IDAT", b"")),
        "expected the PNG's pixels in one run of chunks",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_clearly(case: str) -> None:
    data, message = REFUSED[case]
    with pytest.raises(UnsupportedImageError) as caught:
        read_image(data, name="a.png")
    assert str(caught.value) == f"a.png: {message}"


def test_refuses_pixels_that_do_not_fit() -> None:
    image = read_image(GOOD, name="a.png")
    with pytest.raises(InputError, match=r"^expected pixels \(6, 5, 3\) uint8, got \(6, 5, 3\) uint16$"):
        encode_image(image, image.pixels.astype(np.uint16))
    indexed = read_image(loop_png(noise((3, 3, 1), top=7), depth=8, color=3, palette=PALETTE), name="a.png")
    with pytest.raises(InputError, match=r"^expected palette indices below 7, got 7$"):
        encode_image(indexed, np.full((3, 3, 1), 7, np.uint8))


@pytest.mark.parametrize("tail", [b"", b"x", b"\0" * 9 + b"left over" * 999])
@pytest.mark.parametrize("chunks", [(), ((b"prIv", b"own"),)])
def test_what_follows_the_last_chunk_is_sealed_and_comes_back(
    tail: bytes, chunks: tuple[tuple[bytes, bytes], ...]
) -> None:
    data = loop_png(noise((40, 36, 3)), depth=8, extra=chunks) + tail
    image = read_image(data, name="a")
    mark = Mark(x=2, y=3, size_px=20, opacity=OPACITY_ONE)
    marked = mark_file(image, [mark], logo=builtin_logo(), keep=check_keep(["all"]))
    assert marked.data.endswith(b"IEND\xaeB`\x82")
    assert (marked.method == "sealed-v1") == bool(tail)
    again = read_image(marked.data, name="b")
    restored = unmark_file(again, [mark], logo=builtin_logo(), residual=marked.residual, method=marked.method)
    assert restored.endswith(b"IEND\xaeB`\x82" + tail)
    assert np.array_equal(read_image(restored, name="c").pixels, image.pixels)
