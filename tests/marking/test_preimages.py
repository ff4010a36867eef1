"""Residuals of veils: every sample comes back, in hardly more bits than must be; damage is noticed."""

from __future__ import annotations

import math
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from medlocker.errors import InputError, RestoreError
from medlocker.images import Image, Kind
from medlocker.logo import blend, builtin_logo
from medlocker.mark import Mark
from medlocker.marking import mark_pixels, unmark_pixels
from medlocker.marking._preimages import pack_choices, unpack_choices, veiled
from medlocker.veil import AnyMark
from pictures import KINDS, make_image
from veils import make_veil, veils

LOGO = builtin_logo()
BITS = st.sampled_from((8, 16))


@st.composite
def blends(draw: st.DrawFn, *, most: int = 65535) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.uint16]]:
    """Samples, colours and weights up to a bound; noise, or hardly anything but the extremes."""
    top = (1 << draw(BITS)) - 1
    dtype: Any = np.uint8 if top == 255 else np.uint16
    height, width, channels = (
        draw(st.integers(1, 12)),
        draw(st.integers(1, 40)),
        draw(st.sampled_from((1, 3))),
    )
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    under, color = rng.integers(0, top + 1, (2, height, width, channels))
    if draw(st.booleans()):
        under, color = (rng.choice([0, 1, top - 1, top], (height, width, channels)) for _ in range(2))
    weight = rng.integers(0, most + 1, (height, width))
    return under.astype(dtype), color.astype(dtype), weight.astype(np.uint16)


@given(case=blends(most=32767))
@settings(max_examples=200)
def test_below_a_half_one_bit_tells_the_original(case: Any) -> None:
    under, color, weight = case
    marked = veiled(under, color, weight)
    assert np.array_equal(marked, blend(under, color, weight))
    packed = pack_choices(under, marked, color, weight)
    assert packed is not None
    assert packed[:1] in (b"\1", b"\2")
    assert np.array_equal(unpack_choices(marked, color, weight, packed), under)


@given(case=blends())
@settings(max_examples=200)
def test_at_any_weight_what_is_packed_comes_back(case: Any) -> None:
    under, color, weight = case
    marked = veiled(under, color, weight)
    packed = pack_choices(under, marked, color, weight)
    if packed is not None:
        assert np.array_equal(unpack_choices(marked, color, weight, packed), under)


@pytest.mark.parametrize("bits", [8, 16])
def test_every_sample_under_every_colour(bits: int) -> None:
    """All 256 samples under all 256 colours, at weights around those where the number of choices changes."""
    scale = 1 if bits == 8 else 257
    dtype: Any = np.uint8 if bits == 8 else np.uint16
    under, color = np.meshgrid(np.arange(256) * scale, np.arange(256) * scale)
    under, color = (part.astype(dtype)[..., None] for part in (under, color))
    for m in (0, 1, 127, 128, 255, 256, 257, 9830, 21845, 32766, 32767):
        weight = np.full((256, 256), m, np.uint16)
        marked = veiled(under, color, weight)
        packed = pack_choices(under, marked, color, weight)
        assert packed is not None
        assert np.array_equal(unpack_choices(marked, color, weight, packed), under)


@st.composite
def windows(draw: st.DrawFn) -> tuple[Any, Any, Any, tuple[int, int]]:
    """The same with a window: colours are within it, samples often beyond."""
    under, color, weight = draw(blends(most=32767))
    top = int(np.iinfo(under.dtype).max)
    low = draw(st.integers(0, top - 1))
    high = draw(st.integers(low + 1, top))
    return under, color.clip(low, high), weight, (low, high)


@given(case=windows())
@settings(max_examples=200)
def test_samples_beyond_the_window_come_back_and_keep_their_differences(case: Any) -> None:
    under, color, weight, shown = case
    low, high = shown
    marked = veiled(under, color, weight, shown=shown)
    inside = (under >= low) & (under <= high)
    assert np.array_equal(marked[inside], blend(under, color, weight)[inside])
    for beyond, limit in ((under < low, low), (under > high, high)):
        edge = blend(np.full_like(under, limit), color, weight).astype(int)
        assert np.array_equal(marked.astype(int)[beyond] - edge[beyond], under.astype(int)[beyond] - limit)
    packed = pack_choices(under, marked, color, weight, shown=shown)
    assert packed is not None
    assert np.array_equal(unpack_choices(marked, color, weight, packed, shown=shown), under)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("opacity", [0.05, 0.12, 0.15, 0.25])
def test_residuals_are_near_the_bound(bits: int, opacity: float) -> None:
    top = (1 << bits) - 1
    rng = np.random.default_rng(1)
    dtype: Any = np.uint8 if bits == 8 else np.uint16
    under, color = rng.integers(0, top + 1, (2, 300, 300, 3)).astype(dtype)
    weight = np.full((300, 300), round(opacity * 65535), np.uint16)
    packed = pack_choices(under, veiled(under, color, weight), color, weight)
    assert packed is not None
    per_sample = 8 * len(packed) / under.size
    assert -math.log2(1 - opacity) < per_sample < 2.15 * opacity
    if opacity == 0.15:
        assert per_sample < 0.32


def test_what_has_more_than_two_choices_is_left_to_differences() -> None:
    under = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    color, weight = np.zeros_like(under), np.full((16, 16), 50000, np.uint16)
    assert pack_choices(under, blend(under, color, weight), color, weight) is None


def test_another_original_is_not_packed() -> None:
    under = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    color, weight = np.zeros_like(under), np.full((16, 16), 9000, np.uint16)
    assert pack_choices(under[::-1], blend(under, color, weight), color, weight) is None


def test_nothing_to_tell_takes_a_byte() -> None:
    under = np.zeros((4, 4, 1), np.uint8)
    weight = np.zeros((4, 4), np.uint16)
    assert pack_choices(under, under, under, weight) == b"\1"
    assert np.array_equal(unpack_choices(under, under, weight, b"\1"), under)


# ------------------------------------------------------------------------------------------ images


@given(veil=veils(), kind=st.sampled_from(KINDS), bits=BITS, noise=st.booleans(), white_is_zero=st.booleans())
@settings(max_examples=120)
def test_every_image_comes_back(veil: Any, kind: Kind, bits: int, noise: bool, white_is_zero: bool) -> None:
    image = make_image(
        kind,
        bits=8 if kind == "palette" else bits,
        noise=noise and kind != "palette",
        white_is_zero=white_is_zero and kind == "grey",
    )
    result = mark_pixels(image, [veil], logo=LOGO)
    marked = replace(image, pixels=result.pixels)
    restored = unmark_pixels(marked, [veil], logo=LOGO, residual=result.residual)
    assert np.array_equal(restored, image.pixels)
    alpha = image.pixels[..., image.color_channels :]
    assert np.array_equal(result.pixels[..., image.color_channels :], alpha)
    assert result.residual[:1] in (b"\0", b"\1", b"\2")
    if kind != "palette" and max(veil.opacity, veil.ground) <= 32767:
        assert result.residual[:1] != b"\0"


@given(veil=veils(), black=st.integers(0, 4094), width=st.integers(1, 4095), reverse=st.booleans())
@settings(max_examples=60)
def test_every_window_comes_back(veil: Any, black: int, width: int, reverse: bool) -> None:
    plain = make_image("grey", bits=16)
    pixels = plain.pixels >> 4  # 12 bits
    inks = np.linspace(black, min(black + width, 4095), 256).round().astype(np.uint16)
    image = replace(plain, pixels=pixels, inks=inks[::-1] if reverse else inks)
    result = mark_pixels(image, [veil], logo=LOGO)
    assert int(result.pixels.max()) < 4096  # what 12 bits cannot hold would be lost
    marked = replace(image, pixels=result.pixels)
    assert np.array_equal(unmark_pixels(marked, [veil], logo=LOGO, residual=result.residual), image.pixels)


def test_marks_on_a_veil_come_back() -> None:
    image = make_image(noise=True)
    marks: list[AnyMark] = [make_veil(), Mark(10, 12, 20, 60000)]
    result = mark_pixels(image, marks, logo=LOGO)
    assert result.residual[:1] == b"\0"
    marked = replace(image, pixels=result.pixels)
    assert np.array_equal(unmark_pixels(marked, marks, logo=LOGO, residual=result.residual), image.pixels)


def test_two_veils_are_refused() -> None:
    image = make_image()
    two = [make_veil(), make_veil(angle=9)]
    with pytest.raises(InputError, match=r"^expected at most one veil\Z"):
        mark_pixels(image, two, logo=LOGO)
    with pytest.raises(RestoreError, match="expected at most one veil"):
        unmark_pixels(image, two, logo=LOGO, residual=b"\0")


# ------------------------------------------------------------------------------------------ damage


def veiled_image(opacity: int = 9000, *, kind: Kind = "rgb") -> tuple[Image, Any, bytes]:
    """A marked image, its veil and its residual."""
    image = make_image(kind, noise=kind != "palette")
    veil = make_veil(opacity=opacity)
    result = mark_pixels(image, [veil], logo=LOGO)
    return replace(image, pixels=result.pixels), veil, result.residual


def bits_of(residual: bytes) -> bytes:
    return residual[1:] if residual[:1] == b"\1" else zlib.decompress(residual[1:])


@pytest.mark.parametrize("kind", ["rgb", "palette"])
@pytest.mark.parametrize("opacity", [9000, 60000])
def test_damaged_residuals_are_refused(kind: Kind, opacity: int) -> None:
    marked, veil, residual = veiled_image(opacity, kind=kind)
    wrong = [b"", residual[:1], b"\3" + residual[1:], b"\xff" + residual[1:], residual[:-1], residual + b"\0"]
    wrong += [b"\1" + residual[1:], b"\2" + bits_of(residual)] if residual[:1] == b"\2" else []
    for data in wrong:
        if data != residual:
            with pytest.raises(RestoreError):
                unmark_pixels(marked, [veil], logo=LOGO, residual=data)


def test_choices_have_one_form() -> None:
    marked, veil, residual = veiled_image()
    bits = bits_of(residual)
    image = unmark_pixels(marked, [veil], logo=LOGO, residual=residual)
    for again in (b"\1" + bits, b"\2" + zlib.compress(bits)):
        assert np.array_equal(unmark_pixels(marked, [veil], logo=LOGO, residual=again), image)
    refused = [
        b"\1" + bits[:-1],
        b"\1" + bits + b"\0",
        b"\2" + zlib.compress(bits[:-1]),
        b"\2" + zlib.compress(bits + b"\0"),
        b"\2" + zlib.compress(bits)[:-1],
        b"\2" + zlib.compress(bits) + b"\0",
        b"\2" + zlib.compress(bytes(50_000_000)),  # unpacked only as far as it can be right
        b"\0" + zlib.compress(bits),
        b"\2" + bits,
        b"\3" + zlib.compress(bits),
        b"3" + zlib.compress(bits),
    ]
    for data in refused:
        with pytest.raises(RestoreError, match=r"residual"):
            unmark_pixels(marked, [veil], logo=LOGO, residual=data)


def test_bits_behind_the_last_are_zero() -> None:
    under = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    color, weight = np.zeros_like(under), np.full((16, 16), 9000, np.uint16)
    marked = veiled(under, color, weight)
    packed = pack_choices(under, marked, color, weight)
    assert packed is not None
    bits = bits_of(packed)
    for value in range(1, 256):
        data = b"\1" + bits[:-1] + bytes([bits[-1] ^ value])
        try:
            found = unpack_choices(marked, color, weight, data)
        except RestoreError:
            continue
        assert not np.array_equal(found, under)  # another original, which its digest tells


def test_a_residual_of_another_veil_is_noticed() -> None:
    marked, veil, residual = veiled_image()
    for other in (replace(veil, phase_x=40000), replace(veil, opacity=8000), replace(veil, key="ab")):
        try:
            found = unmark_pixels(marked, [other], logo=LOGO, residual=residual)
        except RestoreError:
            continue
        assert not np.array_equal(found, make_image("rgb", noise=True).pixels)


def test_a_veil_that_does_not_fit_is_refused() -> None:
    marked, veil, residual = veiled_image()
    with pytest.raises(
        RestoreError, match=r"^the parameters do not fit this image: expected a veil for 64 x 48 pixels"
    ):
        unmark_pixels(marked, [replace(veil, size_px=65535)], logo=LOGO, residual=residual)
