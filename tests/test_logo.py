from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from medlocker.errors import InputError
from medlocker.logo import (
    Hardening,
    Logo,
    blend,
    builtin_logo,
    fit_color,
    load_logo,
    render,
    unblend,
    weights,
)
from medlocker.logo._logo import MAX_FILE_BYTES

ONE = 65535


def png(picture: Pillow.Image, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind)
    return stream.getvalue()


def arrow(*, height: int = 30, width: int = 50) -> Logo:
    """A logo without any symmetry: 3 coloured areas, a hole, a soft edge."""
    rgba = np.zeros((height, width, 4), np.uint8)
    rgba[:, :, :3] = (200, 40, 90)
    rgba[: height // 2, : width // 3, :3] = (10, 220, 30)
    rgba[height // 2 :, width // 2 :, :3] = (30, 60, 250)
    rgba[..., 3] = 255
    rgba[height // 3 : height // 2, width // 2 : width - 5, 3] = 0
    rgba[:, : width // 5, 3] = np.linspace(20, 255, height).astype(np.uint8)[:, None]
    rgba[rgba[..., 3] == 0] = 0
    return Logo(rgba)


# ------------------------------------------------------------------------------------------- blending


def in_python(under: int, color: int, opacity: int, coverage: int) -> int:
    m = (opacity * coverage * 2 + 255) // (2 * 255)  # round(opacity * coverage / 255); no ties: 255 is odd
    return (under * (ONE - m) + color * m + 32767) // ONE


@settings(max_examples=200)
@given(
    data=st.data(), bits=st.sampled_from([8, 16]), opacity=st.integers(0, ONE), coverage=st.integers(0, 255)
)
def test_blending_is_the_formula(data: st.DataObject, bits: int, opacity: int, coverage: int) -> None:
    level = st.one_of(st.integers(0, (1 << bits) - 1), st.sampled_from([0, 1, (1 << bits) - 1]))
    under, color = data.draw(level), data.draw(level)
    dtype: Any = np.uint8 if bits == 8 else np.uint16
    weight = weights(np.array([[coverage]], np.uint8), opacity)
    got = blend(np.array([[[under]]], dtype), np.array([[[color]]], dtype), weight)
    assert got.dtype == dtype
    assert int(got[0, 0, 0]) == in_python(under, color, opacity, coverage)


def test_all_blends_of_one_byte() -> None:
    under = np.arange(256, dtype=np.uint8)[:, None, None].repeat(256, axis=1)
    color = np.arange(256, dtype=np.uint8)[None, :, None].repeat(256, axis=0)
    for m in (0, 1, 127, 25558, 32767, 32768, 65534, 65535):
        weight = np.full((256, 256), m, np.uint16)
        mixed = blend(under, color, weight)
        wanted = (under.astype(object) * (ONE - m) + color.astype(object) * m + 32767) // ONE
        assert (mixed == wanted).all()
        back = unblend(mixed, color, weight)
        if m == ONE:
            assert (mixed == color).all()
            assert not back.any()
        else:
            off = np.abs(back.astype(int) - under)
            assert off.max() <= 0.5 / (1 - m / ONE) + 1


@given(opacity=st.integers(0, ONE), coverage=st.integers(0, 255))
def test_weights_are_rounded_products(opacity: int, coverage: int) -> None:
    got = weights(np.array([[coverage]], np.uint8), opacity)
    assert got.dtype == np.uint16
    assert int(got[0, 0]) == round(opacity * coverage / 255)


# ------------------------------------------------------------------------------------------ rendering


def digest(logo: Logo, size_px: int, rotation: int = 0, hardening: Hardening | None = None) -> str:
    raster = render(logo, size_px, rotation=rotation, hardening=hardening)
    parts = [raster.color, raster.coverage, *([] if raster.solid is None else [raster.solid])]
    value = hashlib.sha256()
    for part in parts:
        value.update(repr((part.shape, str(part.dtype))).encode())
        value.update(part.tobytes())
    return value.hexdigest()[:16]


HARD = Hardening(b"0123456789abcdef", warp_256=512, texture=20, opaque_permille=150)

# what was once marked must be rendered the same for ever: a changed line here breaks restoring
REFERENCE: list[tuple[int, int, Hardening | None, str]] = [
    (1, 0, None, "164a45dce69c910c"),
    (7, 0, None, "7517ea1415bcb4cc"),
    (50, 0, None, "733ac0bc692c897e"),
    (33, 0, None, "85833ef5d3bdce57"),
    (64, 0, None, "48f844155a73d4b6"),
    (200, 0, None, "c81e3be7d8f1daa1"),
    (33, 5461, None, "e5769dee0b01eb38"),
    (40, 16384, None, "072a42ac91124482"),
    (57, 40000, None, "f77e05224c68c869"),
    (12, 65535, None, "9f258938332e59d8"),
    (40, 0, HARD, "99fba99d08852297"),
    (90, 9999, HARD, "c01485887d5ec46c"),
]


@pytest.mark.parametrize(("size_px", "rotation", "hardening", "wanted"), REFERENCE)
def test_pixels_are_those_of_the_reference(
    size_px: int, rotation: int, hardening: Hardening | None, wanted: str
) -> None:
    assert digest(arrow(), size_px, rotation, hardening) == wanted


@settings(max_examples=40)
@given(size_px=st.integers(1, 90), rotation=st.integers(0, ONE))
def test_rendering_repeats_itself_and_fits(size_px: int, rotation: int) -> None:
    logo = arrow()
    first, second = render(logo, size_px, rotation=rotation), render(arrow(), size_px, rotation=rotation)
    np.testing.assert_array_equal(first.color, second.color)
    np.testing.assert_array_equal(first.coverage, second.coverage)
    assert first.color.shape == (*first.coverage.shape, 3)
    assert max(first.coverage.shape) <= int(1.42 * size_px) + 2
    assert not first.color[first.coverage == 0].any()
    np.testing.assert_array_equal(first.support, first.coverage > 0)


def test_full_size_is_the_logo_itself() -> None:
    logo = arrow()
    raster = render(logo, 50)
    np.testing.assert_array_equal(raster.coverage, logo.rgba[..., 3])
    np.testing.assert_array_equal(raster.color, logo.rgba[..., :3])


def test_quarter_turns_are_exact() -> None:
    logo = arrow()
    for quarters in (1, 2, 3):
        raster = render(logo, 50, rotation=16384 * quarters)
        np.testing.assert_array_equal(raster.coverage, np.rot90(logo.rgba[..., 3], quarters))
        np.testing.assert_array_equal(raster.color, np.rot90(logo.rgba[..., :3], quarters))


def test_shrinking_averages() -> None:
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[..., 3] = 255
    rgba[:, ::2, :3] = 200
    raster = render(Logo(rgba), 16)
    assert (raster.color[2:-2, 2:-2] == 100).all()
    assert (raster.coverage[2:-2, 2:-2] == 255).all()


@pytest.mark.parametrize("size_px", [0, -1, 65536])
def test_sizes_out_of_range(size_px: int) -> None:
    with pytest.raises(InputError, match=f"^expected a logo size of 1 to 65535 px, got {size_px}$"):
        render(arrow(), size_px)


def test_hardening_depends_on_its_key() -> None:
    other = Hardening(b"0123456789abcdeg", warp_256=512, texture=20, opaque_permille=150)
    assert digest(arrow(), 40, 0, HARD) != digest(arrow(), 40, 0, other)
    raster = render(arrow(), 60, hardening=HARD)
    assert raster.solid is not None
    assert (raster.coverage[raster.solid] == 255).all()
    share = raster.solid.sum() / (raster.coverage == 255).sum()
    assert 0.05 < share < 0.4


def test_colours_for_an_image() -> None:
    color = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    grey = fit_color(color, channels=1, bits=8)
    assert grey[0, :, 0].tolist() == [76, 150, 29, 255]
    assert fit_color(color, channels=1, bits=16)[0, :, 0].tolist() == [76 * 257, 150 * 257, 29 * 257, 65535]
    assert fit_color(color, channels=3, bits=16).dtype == np.uint16
    assert fit_color(color, channels=3, bits=8) is not color
    np.testing.assert_array_equal(fit_color(color, channels=3, bits=8), color)


# -------------------------------------------------------------------------------------------- reading


def test_margins_are_cut_and_hidden_colours_removed() -> None:
    rgba = np.full((20, 30, 4), 77, np.uint8)
    rgba[..., 3] = 0
    rgba[5:11, 8:20, 3] = 255
    rgba[7, 9, 3] = 0
    logo = load_logo(png(Pillow.fromarray(rgba)), name="l.png")
    assert logo.rgba.shape == (6, 12, 4)
    assert logo.rgba[2, 1].tolist() == [0, 0, 0, 0]
    assert logo.notes == ()


def test_a_logo_survives_its_png() -> None:
    logo = arrow()
    again = load_logo(logo.to_png(), name="l.png")
    np.testing.assert_array_equal(again.rgba, logo.rgba)
    assert again.digest == logo.digest
    assert builtin_logo().digest == load_logo(builtin_logo().to_png(), name="b").digest


def test_the_digest_knows_the_shape() -> None:
    rgba = np.full((2, 8, 4), 255, np.uint8)
    assert Logo(rgba).digest != Logo(rgba.reshape(4, 4, 4)).digest


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
def test_a_logo_without_alpha(kind: str) -> None:
    logo = load_logo(png(Pillow.new("RGB", (7, 5), (9, 9, 9)), kind), name="l.x")
    assert logo.rgba.shape == (5, 7, 4)
    assert (logo.rgba[..., 3] == 255).all()
    assert logo.notes == ("logo l.x has no alpha channel: it covers its whole rectangle",)


def test_a_palette_logo_with_transparency() -> None:
    picture = Pillow.new("P", (4, 4), 1)
    picture.putpalette([0, 0, 0, 200, 100, 50])
    picture.putpixel((0, 0), 0)
    picture.info["transparency"] = 0
    logo = load_logo(png(picture), name="l.png")
    assert logo.rgba[0, 0].tolist() == [0, 0, 0, 0]
    assert logo.rgba[1, 1].tolist() == [200, 100, 50, 255]
    assert logo.notes == ()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "logo l.png: expected a picture, got a file that cannot be decoded"),
        (b"no picture at all", "logo l.png: expected a picture, got a file that cannot be decoded"),
        (png(Pillow.new("RGBA", (9, 9), (1, 2, 3, 255)))[:-30], None),
        (
            png(Pillow.new("RGBA", (9, 9), (1, 2, 3, 0))),
            "logo l.png: expected something visible, got a fully transparent picture",
        ),
        (
            png(Pillow.new("L", (4097, 1))),
            "logo l.png: expected at most 4096 pixels a side, got 4097 x 1",
        ),
        (
            bytes(MAX_FILE_BYTES + 1),
            f"logo l.png: expected at most {MAX_FILE_BYTES} bytes, got {MAX_FILE_BYTES + 1}",
        ),
    ],
    ids=["empty", "text", "cut", "transparent", "huge", "heavy"],
)
def test_what_is_no_logo(data: bytes, message: str | None) -> None:
    with pytest.raises(InputError) as caught:
        load_logo(data, name="l.png")
    assert str(caught.value) == (
        message or "logo l.png: expected a picture, got a file that cannot be decoded"
    )
