from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medlocker.errors import InputError, RestoreError
from medlocker.images import Image, Kind
from medlocker.logo import builtin_logo, fit_color, pack_overlay, render
from medlocker.mark import Mark
from medlocker.marking import covered_px, likeness, mark_pixels, render_layer, unmark_pixels
from pictures import KINDS, make_image
from test_logo import arrow, in_python

KEY = "00112233445566778899aabbccddeeff"
depths = [(kind, bits) for kind in KINDS for bits in (8, 16) if (kind, bits) != ("palette", 16)]


@st.composite
def marks_for(draw: st.DrawFn, image: Image) -> list[Mark]:
    """One to three marks anywhere inside, edges and corners often, so that they overlap often too."""
    marks = []
    for _ in range(draw(st.integers(1, 3))):
        hard = draw(st.booleans())
        mark = Mark(
            x=0,
            y=0,
            size_px=draw(st.integers(1, 30)),
            opacity=draw(st.one_of(st.integers(0, 65535), st.sampled_from([0, 1, 25559, 65534, 65535]))),
            rotation=draw(st.one_of(st.just(0), st.integers(0, 65535))),
            key=KEY if hard else "",
            warp_256=draw(st.integers(0, 700)) if hard else 0,
            texture=draw(st.integers(0, 60)) if hard else 0,
            opaque_permille=draw(st.integers(0, 1000)) if hard else 0,
        )
        height, width = render(arrow(), mark.size_px, rotation=mark.rotation).coverage.shape
        x = draw(st.one_of(st.integers(0, image.width - width), st.sampled_from([0, image.width - width])))
        y = draw(
            st.one_of(st.integers(0, image.height - height), st.sampled_from([0, image.height - height]))
        )
        marks.append(replace(mark, x=x, y=y))
    return marks


@pytest.mark.parametrize(("kind", "bits"), depths)
@settings(max_examples=15)
@given(data=st.data(), seed=st.integers(0, 1000), noise=st.booleans(), white_is_zero=st.booleans())
def test_unmarking_gives_the_original_back(
    kind: Kind, bits: int, data: st.DataObject, seed: int, noise: bool, white_is_zero: bool
) -> None:
    reversed_too = white_is_zero and kind == "grey"
    image = make_image(kind, bits=bits, seed=seed, noise=noise, white_is_zero=reversed_too)
    before = image.pixels.copy()
    marks = data.draw(marks_for(image))
    marked = mark_pixels(image, marks, logo=arrow())
    np.testing.assert_array_equal(image.pixels, before)
    assert marked.pixels.dtype == image.pixels.dtype
    np.testing.assert_array_equal(
        marked.pixels[..., image.color_channels :], before[..., image.color_channels :]
    )
    support = np.zeros((image.height, image.width), np.bool_)
    for mark in marks:
        raster = render(arrow(), mark.size_px, rotation=mark.rotation, hardening=mark.hardening)
        height, width = raster.coverage.shape
        support[mark.y : mark.y + height, mark.x : mark.x + width] |= raster.support
    # nothing outside the logos' own pixels, and never the alpha channel
    np.testing.assert_array_equal(marked.pixels[~support], before[~support])
    again = unmark_pixels(replace(image, pixels=marked.pixels), marks, logo=arrow(), residual=marked.residual)
    np.testing.assert_array_equal(again, before)
    if kind == "palette":
        assert image.palette is not None
        assert marked.pixels.max() < len(image.palette)


@pytest.mark.parametrize(("kind", "bits"), [(k, b) for k, b in depths if k != "palette"])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_marked_pixels_are_the_formula(kind: Kind, bits: int, white_is_zero: bool) -> None:
    if white_is_zero and kind != "grey":
        return
    image = make_image(kind, bits=bits, height=40, width=60, white_is_zero=white_is_zero, noise=True)
    mark = Mark(x=5, y=3, size_px=40, opacity=40000, rotation=3000)
    marked = mark_pixels(image, [mark], logo=arrow())
    raster = render(arrow(), 40, rotation=3000)
    color = fit_color(raster.color, channels=image.color_channels, bits=bits)
    top = (1 << bits) - 1
    rng = np.random.default_rng(2)
    height, width = raster.coverage.shape
    for y, x in zip(rng.integers(0, height, 200), rng.integers(0, width, 200), strict=True):
        for c in range(image.color_channels):
            logo = int(color[y, x, c])
            wanted = in_python(
                int(image.pixels[3 + y, 5 + x, c]),
                top - logo if white_is_zero else logo,
                40000,
                int(raster.coverage[y, x]),
            )
            assert int(marked.pixels[3 + y, 5 + x, c]) == wanted


def test_palette_pixels_get_the_nearest_entry() -> None:
    image = make_image("palette", height=40, width=60)
    assert image.palette is not None
    mark = Mark(x=5, y=3, size_px=40, opacity=40000)
    marked = mark_pixels(image, [mark], logo=arrow())
    layer = render_layer(mark, logo=arrow(), image=image)
    for y, x in [(0, 0), (10, 10), (20, 35), (12, 30), (7, 25)]:
        under = image.palette[image.pixels[3 + y, 5 + x, 0]]
        m = int(layer.weight[y, x])
        wanted = [
            (int(under[c]) * (65535 - m) + int(layer.color[y, x, c]) * m + 32767) // 65535 for c in range(3)
        ]
        distances = ((image.palette.astype(int) - wanted) ** 2).sum(axis=1)
        got = int(marked.pixels[3 + y, 5 + x, 0])
        assert distances[got] == distances.min()


def test_solid_strokes_are_opaque() -> None:
    image = make_image("rgb", noise=True)
    mark = Mark(x=1, y=2, size_px=40, opacity=20000, key=KEY, opaque_permille=1000)
    layer = render_layer(mark, logo=arrow(), image=image)
    marked = mark_pixels(image, [mark], logo=arrow())
    full = render(arrow(), 40, hardening=mark.hardening).coverage == 255
    assert (layer.weight[full] == 65535).all()
    np.testing.assert_array_equal(marked.pixels[layer.window][full], layer.color[full])


def test_overlapping_marks_are_all_undone_before_the_residual() -> None:
    image = make_image("rgb")
    marks = [Mark(x=x, y=2, size_px=40, opacity=25000) for x in (2, 6, 10)]
    together = len(mark_pixels(image, marks, logo=arrow()).residual)
    alone = [len(mark_pixels(image, [mark], logo=arrow()).residual) for mark in marks]
    assert together < sum(alone)  # differences of a few levels only


@pytest.mark.parametrize(("x", "y"), [(25, 0), (0, 25), (24, 20)])
def test_marks_must_lie_inside(x: int, y: int) -> None:
    image = make_image("rgb", height=48, width=64)
    message = f"^expected a mark inside 64 x 48 pixels, got 40 x 24 at \\({x}, {y}\\)$"
    mark = Mark(x=x, y=y, size_px=40, opacity=1)
    if x <= 24 and y <= 24:
        mark_pixels(image, [mark], logo=arrow())
        return
    with pytest.raises(InputError, match=message):
        mark_pixels(image, [mark], logo=arrow())


def test_foreign_parameters_do_not_unmark() -> None:
    image = make_image("rgb")
    mark = Mark(x=3, y=4, size_px=30, opacity=40000)
    marked = mark_pixels(image, [mark], logo=arrow())
    stored = replace(image, pixels=marked.pixels)
    with pytest.raises(RestoreError, match=r"^expected a residual of \d+ bytes, got another length$"):
        unmark_pixels(stored, [replace(mark, size_px=20)], logo=arrow(), residual=marked.residual)
    with pytest.raises(RestoreError, match=r"^the parameters do not fit this image: expected a mark inside"):
        unmark_pixels(stored, [replace(mark, x=60)], logo=arrow(), residual=marked.residual)
    moved = unmark_pixels(stored, [replace(mark, x=4)], logo=arrow(), residual=marked.residual)
    assert not np.array_equal(moved, image.pixels)  # the digest of the pixels tells


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": -1}, "mark: expected x of 0 to 65534, got -1"),
        ({"y": 65535}, "mark: expected y of 0 to 65534, got 65535"),
        ({"size_px": 0}, "mark: expected size_px of 1 to 65535, got 0"),
        ({"opacity": 65536}, "mark: expected opacity of 0 to 65535, got 65536"),
        ({"opacity": 0.5}, "mark: expected opacity of 0 to 65535, got 0.5"),
        ({"rotation": True}, "mark: expected rotation of 0 to 65535, got True"),
        ({"key": "xy"}, "mark: expected a hexadecimal key"),
        ({"key": 5}, "mark: expected a hexadecimal key"),
        ({"warp_256": 1}, "mark: expected a key of 1 to 64 bytes for a hardened mark"),
        ({"key": "00" * 65}, "mark: expected a key of 1 to 64 bytes for a hardened mark"),
    ],
)
def test_marks_out_of_range(change: dict[str, Any], message: str) -> None:
    value = Mark(x=1, y=2, size_px=3, opacity=4).to_json() | change
    with pytest.raises(InputError) as caught:
        Mark.from_json(value)
    assert str(caught.value) == message


def test_marks_as_json() -> None:
    mark = Mark(x=1, y=2, size_px=3, opacity=4, rotation=5, key=KEY, warp_256=6, texture=7, opaque_permille=8)
    assert Mark.from_json(mark.to_json()) == mark
    assert mark.hardening is not None
    assert Mark(x=1, y=2, size_px=3, opacity=4, key=KEY).hardening is None
    values: list[object] = [{}, [], None, mark.to_json() | {"z": 1}]
    for value in values:
        with pytest.raises(
            InputError, match=r"^mark: expected the fields x, y, size_px, opacity, rotation, key,"
        ):
            Mark.from_json(value)


def test_likeness_falls_with_the_texture_and_area_is_what_changes() -> None:
    image = make_image(height=90, width=110)
    plain = Mark(x=10, y=20, size_px=40, opacity=50000, rotation=3000)
    rng = np.random.default_rng(0)
    seen = [likeness(plain, logo=builtin_logo())]
    for levels in (16, 64, 127):
        cells = (levels * rng.choice([-1, 1], size=(12, 12, 3))).astype(np.int8)
        textured = replace(plain, overlay=pack_overlay(cells))
        seen.append(likeness(textured, logo=builtin_logo()))
        changed = (mark_pixels(image, [textured], logo=builtin_logo()).pixels != image.pixels).any(axis=2)
        assert covered_px(textured, logo=builtin_logo()) >= changed.sum() > 0
    assert seen[0] == 1 > seen[1] > seen[2] > seen[3] > 0.3
