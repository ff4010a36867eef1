"""PNG and TIFF files that keep 10 or 12 bits in 16, as detectors and converters write them."""

from __future__ import annotations

import io
import struct
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from image_samples import Array, loop_png, noise, tiff

from medlocker.formats import mark_file, metadata_digest, read_image, unmark_file
from medlocker.formats._keep import check_keep
from medlocker.formats._losslessframes import LosslessFrames
from medlocker.formats._losslessstills import LosslessStills
from medlocker.formats._windowed import Windowed
from medlocker.images import Image, content_digest, viewed
from medlocker.logo import Logo, builtin_logo
from medlocker.mark import OPACITY_ONE, Mark
from veils import make_veil

MARK = Mark(x=2, y=3, size_px=20, opacity=OPACITY_ONE)
HALF = replace(MARK, x=10, opacity=OPACITY_ONE // 2)


def twelve(channels: int = 1, *, low: int = 60, high: int = 2900, seed: int = 1) -> Array:
    """Samples from ``low`` to ``high``, both present; alpha is anything."""
    samples = np.random.default_rng(seed).integers(low, high + 1, (40, 36, channels)).astype("u2")
    samples[0, :2, 0] = low, high
    if channels in (2, 4):
        samples[..., -1] = noise((40, 36), "u2")
    return samples


def png(samples: Array, *extra: tuple[bytes, bytes]) -> bytes:
    return loop_png(samples, depth=8 * samples.dtype.itemsize, extra=extra)


def tagged(*tags: tuple[int, int, int, object], samples: Array | None = None, **options: object) -> bytes:
    return tiff(twelve() if samples is None else samples, extratags=[(*t, True) for t in tags], **options)


def range_of(image: Image) -> tuple[int, int] | None:
    return None if image.inks is None else (int(image.inks[0]), int(image.inks[255]))


IMAGEJ = b"ImageJ=1.54f\nmin=100.0\nmax=2000.0\n"
TOLD: dict[str, tuple[bytes, tuple[int, int] | None]] = {
    "png, its own range": (png(twelve()), (60, 2900)),
    "png, 12 significant bits": (png(twelve(), (b"sBIT", b"\x0c")), (0, 4095)),
    "png, 10 significant bits in the upper ones": (png(twelve(high=65000), (b"sBIT", b"\x0a")), None),
    "png, 10 significant bits that are not enough": (png(twelve(), (b"sBIT", b"\x0a")), (60, 2900)),
    "png, alpha of 16 significant bits": (png(twelve(2), (b"sBIT", b"\x0c\x10")), (0, 4095)),
    "png, colours": (png(twelve(4)), (60, 2900)),
    "png, upper half in use": (png(twelve(high=1 << 15)), None),
    "png, upper half just not in use": (png(twelve(high=(1 << 15) - 1)), (60, (1 << 15) - 1)),
    "png, one colour": (png(np.full((40, 36, 1), 700, "u2")), None),
    "png, our note": (png(twelve(), (b"mlWD", struct.pack(">HH", 5, 70))), (5, 70)),
    "png, our note of everything": (png(twelve(), (b"mlWD", struct.pack(">HH", 0, 65535))), (0, 65535)),
    "png, our note damaged": (png(twelve(), (b"mlWD", struct.pack(">HH", 7, 7))), (60, 2900)),
    "tiff, its own range": (tagged(), (60, 2900)),
    "tiff, MaxSampleValue": (tagged((281, 3, 1, 4095)), (0, 4095)),
    "tiff, both": (tagged((280, 3, 1, 50), (281, 3, 1, 4095)), (50, 4095)),
    "tiff, MaxSampleValue of the type": (tagged((281, 3, 1, 65535)), (60, 2900)),
    "tiff, MaxSampleValue that is exceeded": (tagged((281, 3, 1, 255)), (60, 2900)),
    "tiff, SMaxSampleValue as a float": (
        tagged((340, 11, 1, 10.0), (341, 11, 1, 3000.0), (281, 3, 1, 4095)),
        (10, 3000),
    ),
    "tiff, SMaxSampleValue that is none": (tagged((341, 11, 1, float("nan"))), (60, 2900)),
    "tiff, ImageJ": (tagged((270, 2, len(IMAGEJ), IMAGEJ), (281, 3, 1, 4095)), (100, 2000)),
    "tiff, ImageJ alike": (tagged((270, 2, len(IMAGEJ), b"xmageJ" + IMAGEJ[6:])), (60, 2900)),
    "tiff, white is zero": (tagged(photometric="miniswhite"), (2900, 60)),
    "tiff, signed": (tagged(samples=twelve().astype("i2") - 1000), (32768 - 940, 32768 + 1900)),
    "tiff, signed and told": (
        tagged((340, 8, 1, -1024), (341, 8, 1, 3071), samples=twelve().astype("i2") - 1000),
        (32768 - 1024, 32768 + 3071),
    ),
    "tiff, 8 bits": (tagged((281, 3, 1, 127), samples=noise((40, 36, 1), top=100)), None),
}


@pytest.mark.parametrize("case", TOLD)
def test_the_range_that_is_shown(case: str) -> None:
    data, expected = TOLD[case]
    assert range_of(read_image(data, name="a")) == expected


def test_the_range_is_a_fact_and_the_picture_is_stretched_to_it() -> None:
    image = read_image(png(twelve()), name="a")
    assert image.facts["shown"] == "60 to 2900"
    assert (viewed(image).min(), viewed(image).max()) == (0, 65535)
    signed = read_image(TOLD["tiff, signed"][0], name="a")
    assert signed.facts["shown"] == "-940 to 1900"
    assert np.array_equal(viewed(signed), viewed(image))


def stack(samples: Array, count: int = 3, **options: object) -> bytes:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, **options) as writer:  # type: ignore[arg-type]
        for shift in range(count):
            writer.write(samples[..., 0] // (1 + shift), photometric="minisblack", metadata=None)
    return stream.getvalue()


WHOLE = {
    "barely full": png(twelve(low=30000, high=33000)),
    "barely full, white is zero": tagged(samples=twelve(low=30000, high=33000), photometric="miniswhite"),
}
MARKED = {
    **{name: data for name, (data, shown) in TOLD.items() if shown},
    "stack": stack(twelve()),
    "big-endian stack": stack(twelve(), bigtiff=True, byteorder=">"),
    "lzw, signed, tiles": tagged(
        samples=twelve().astype("i2") - 1000, compression="lzw", predictor=True, tile=(16, 16)
    ),
    "with unknown parts": png(twelve(), (b"prIv", b"x" * 99), (b"tEXt", b"Odd\0" + b"y" * 2000)),
    "rgba tiff": tiff(twelve(4)),
    **WHOLE,
}


@pytest.mark.parametrize("keep", [(), ("all",)])
@pytest.mark.parametrize("case", MARKED)
def test_marked_within_the_range_shown_like_the_original_and_restored(
    case: str, keep: tuple[str, ...]
) -> None:
    image = read_image(MARKED[case], name="a")
    for marks in ([MARK, HALF], [make_veil()]):
        logo = builtin_logo()
        marked = mark_file(image, marks, logo=logo, keep=check_keep(keep))
        again = read_image(marked.data, name="b")
        if case not in WHOLE:
            assert range_of(again) == range_of(image)
            colors = image.color_channels
            outside = (image.pixels[..., :colors].min(), image.pixels[..., :colors].max())
            low, high = sorted(range_of(image) or (0, 0))
            assert min(outside[0], low) <= again.pixels[..., :colors].min()
            assert again.pixels[..., :colors].max() <= max(outside[1], high)
        assert marked.method in ("window-v1", "sealed-v1") or case in WHOLE
        assert marked.pixels == content_digest(again)
        restored = read_image(
            unmark_file(again, marks, logo=logo, residual=marked.residual, method=marked.method), name="c"
        )
        assert content_digest(restored) == content_digest(image)
        assert metadata_digest(restored) == metadata_digest(image)
        assert marked.metadata in (None, metadata_digest(image))
        assert range_of(restored) == range_of(image)


def test_a_white_logo_is_the_top_of_the_range() -> None:
    image = read_image(png(twelve()), name="a")
    white = Logo(np.full((8, 8, 4), 255, np.uint8))
    again = read_image(mark_file(image, [MARK], logo=white).data, name="b")
    assert again.pixels[8, 8, 0] == 2900
    assert viewed(again)[8, 8, 0] == 65535


BLACK = Logo(np.concatenate((np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 1), 255, np.uint8)), axis=2))
ALL_OF_IT = replace(MARK, x=0, y=0, size_px=36, opacity=OPACITY_ONE // 2)


@pytest.mark.parametrize("case", WHOLE)
def test_a_full_picture_that_a_dark_logo_leaves_in_the_lower_half_is_shown_as_before(case: str) -> None:
    image = read_image(WHOLE[case], name="a")
    assert image.inks is None
    corner = image.pixels.copy()
    corner[36:] = 30000
    image = read_image(
        (png(corner) if "white" not in case else tagged(samples=corner, photometric="miniswhite")), name="a"
    )
    logo = BLACK if "white" not in case else Logo(np.full((8, 8, 4), 255, np.uint8))
    marked = mark_file(image, [ALL_OF_IT], logo=logo)
    again = read_image(marked.data, name="b")
    assert marked.method == "window-v1"
    assert again.pixels.max() < 1 << 15
    top = 65535 if "white" in case else 0
    assert np.array_equal(viewed(again)[..., 0], np.abs(top - again.pixels[..., 0].astype(int)))
    plain = LosslessStills().mark(image, [ALL_OF_IT], logo=logo)
    assert marked.pixels == plain.pixels
    restored = unmark_file(again, [ALL_OF_IT], logo=logo, residual=marked.residual, method=marked.method)
    assert content_digest(read_image(restored, name="c")) == content_digest(image)


def test_full_pictures_stay_as_they_were() -> None:
    image = read_image(png(noise((40, 36, 3), "u2")), name="a")
    marked = mark_file(image, [MARK], logo=builtin_logo())
    assert marked.method == "pixels-v1"
    assert b"mlWD" not in marked.data


@pytest.mark.parametrize("marks", [[MARK, HALF], [make_veil()]], ids=["marks", "veil"])
@pytest.mark.parametrize("data", [png(twelve()), stack(twelve()), tagged(photometric="miniswhite")])
def test_files_that_were_marked_without_a_range_come_off(data: bytes, marks: list[Mark]) -> None:
    image = read_image(data, name="a")
    before = replace(image, shown=None, inks=None)
    method = LosslessStills() if image.frames is None else LosslessFrames()
    logo = BLACK if not image.white_is_zero else Logo(np.full((8, 8, 4), 255, np.uint8))
    marked = method.mark(before, marks, logo=logo)
    again = read_image(marked.data, name="b")
    assert again.inks is not None
    restored = unmark_file(again, marks, logo=logo, residual=marked.residual, method=marked.method)
    assert content_digest(read_image(restored, name="c")) == content_digest(image)


def test_a_marked_file_is_marked_again_and_both_come_off() -> None:
    image = read_image(png(twelve()), name="a")
    first = mark_file(image, [MARK], logo=builtin_logo())
    once = read_image(first.data, name="b")
    second = mark_file(once, [HALF], logo=builtin_logo(), keep=check_keep(["all"]))
    twice = read_image(second.data, name="c")
    assert second.data.count(b"mlWD") == 1
    back = unmark_file(twice, [HALF], logo=builtin_logo(), residual=second.residual, method=second.method)
    again = read_image(back, name="d")
    assert range_of(again) == range_of(image)
    original = unmark_file(again, [MARK], logo=builtin_logo(), residual=first.residual, method=first.method)
    assert content_digest(read_image(original, name="e")) == content_digest(image)
    assert Windowed().suits(image)
