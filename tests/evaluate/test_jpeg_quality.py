"""Marked JPEG files compared block by block: what is stored has changed, or what viewers spread from it."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow

from jpeg_pictures import FILES, jpeg
from medlocker.evaluate import Quality, measure_quality
from medlocker.evaluate._blocks import changed_blocks
from medlocker.formats import mark_file, read_image
from medlocker.formats.jpeg import read_coefficients
from medlocker.formats.jpeg._blocks import touched_blocks
from medlocker.formats.jpeg._coefficients import write_coefficients
from medlocker.geometry import Box
from medlocker.images import Image, viewed
from medlocker.logo import builtin_logo
from medlocker.mark import Mark
from medlocker.marking import render_layer

LOGO = builtin_logo()
KINDS = sorted(set(FILES) - {"one block"})


def read(data: bytes) -> Image:
    return read_image(data, name="a.jpg")


def compared(clean: Image, marked: Image, *boxes: Box) -> tuple[Quality, tuple[Box, ...]]:
    return measure_quality(
        viewed(clean), viewed(marked), logo=LOGO, boxes=boxes, blocks=changed_blocks(clean, marked)
    )


def differing(clean: Image, marked: Image) -> NDArray[np.bool_]:
    return np.asarray((viewed(clean) != viewed(marked)).any(axis=2))


@settings(max_examples=40)
@given(
    kind=st.sampled_from(KINDS),
    x=st.integers(0, 35),
    y=st.integers(0, 20),
    size=st.integers(12, 30),
    opacity=st.integers(20000, 65535),
)
def test_a_mark_changes_nothing_outside_of_its_blocks(
    kind: str, x: int, y: int, size: int, opacity: int
) -> None:
    clean = read(FILES[kind])
    marks = [Mark(x=x, y=y, size_px=size, opacity=opacity)]
    marked = read(mark_file(clean, marks, logo=LOGO).data)
    whole = Box(0, 0, clean.width, clean.height)
    found, windows = compared(clean, marked, whole)
    assert found.in_blocks
    assert found.psnr_outside == np.inf
    assert found.touched == np.count_nonzero(differing(clean, marked))  # regions are judged to the pixel
    frame = read_coefficients(clean.source)[0].frame
    layers = [render_layer(mark, logo=LOGO, image=clean) for mark in marks]
    allowed = np.zeros((clean.height, clean.width), bool)
    for mask, component in zip(touched_blocks(layers, frame), frame.components, strict=True):
        across, down = frame.most
        tall, wide = 8 * down // component.down, 8 * across // component.across
        allowed |= np.kron(mask, np.ones((tall, wide), bool))[: clean.height, : clean.width]
    blocks = changed_blocks(clean, marked)
    assert blocks is not None
    assert not (blocks.mask & ~allowed).any()
    assert found.area == pytest.approx(blocks.mask.mean())
    for window in windows:
        assert allowed[window.y : window.bottom, window.x : window.right].any()


def big() -> tuple[Image, Image, Mark]:
    """A photograph-like JPEG of 4:2:0, and the same with a mark in its middle."""
    clean = read(jpeg(320, 400, subsampling=2, quality=85))
    mark = Mark(x=123, y=101, size_px=100, opacity=60000)
    return clean, read(mark_file(clean, [mark], logo=LOGO).data), mark


def test_clearly_changed_is_what_the_logo_covers() -> None:
    clean, marked, mark = big()
    found, (window,) = compared(clean, marked)
    layer = render_layer(mark, logo=LOGO, image=clean)
    covered = np.count_nonzero(layer.weight) / (clean.width * clean.height)
    assert found.area > 1.12 * covered
    assert found.area_clear == pytest.approx(covered, rel=0.07)
    assert (found.marks, found.in_blocks) == (1, True)
    assert window.x % 8 == window.y % 8 == 0
    assert window.x <= mark.x < window.x + 16


def edited(image: Image, row: int, column: int) -> Image:
    """The file with another mean in one block of its brightness."""
    around, blocks = read_coefficients(image.source)
    blocks[0][row, column, 0] += 9
    return read(write_coefficients(around, blocks))


@pytest.mark.parametrize(("row", "column", "alarm"), [(20, 29, False), (2, 2, True), (39, 49, True)])
def test_one_block_beside_a_mark_is_its_own_and_one_far_away_is_not(
    row: int, column: int, alarm: bool
) -> None:
    clean, marked, _ = big()
    _, (window,) = compared(clean, marked)
    assert window.right // 8 == 28  # the first case lies one block behind it
    found, _ = compared(clean, edited(marked, row, column))
    assert found.in_blocks
    assert (found.psnr_outside < np.inf) == alarm


def test_regions_count_colour_that_is_spread_into_them() -> None:
    clean, marked, _ = big()
    blocks = changed_blocks(clean, marked)
    assert blocks is not None
    spread = differing(clean, marked) & ~blocks.mask
    assert spread.any()
    y, x = (int(places[0]) for places in np.nonzero(spread))
    found, _ = compared(clean, marked, Box(x, y, 1, 1))
    assert found.touched == 1
    assert found.psnr_outside == np.inf


def _saved(image: Image, **options: Any) -> Image:
    stream = io.BytesIO()
    Pillow.fromarray(viewed(image)).save(stream, **options)
    return read(stream.getvalue())


def test_a_file_that_was_coded_anew_is_judged_by_pixels() -> None:
    clean, marked, _ = big()
    for other in (
        _saved(marked, format="JPEG", quality=92, subsampling=2),
        _saved(marked, format="JPEG", quality=85, subsampling=0),
        _saved(marked, format="PNG"),
    ):
        assert changed_blocks(clean, other) is None
        found, _ = compared(clean, other)
        assert not found.in_blocks
        assert found.area == pytest.approx(differing(clean, other).mean())


def test_blocks_that_do_not_explain_the_pixels_are_not_believed() -> None:
    """The same coefficients, which a header calls RGB."""
    clean, marked, _ = big()
    around, blocks = read_coefficients(marked.source)
    header = tuple(
        replace(s, content=s.content.replace(b"\1\x22\0", b"R\x22\0").replace(b"\2\x11\1", b"G\x11\1")
                .replace(b"\3\x11\1", b"B\x11\1"))
        for s in around.header
    )  # fmt: skip
    names = [c.id for c in around.frame.components]
    assert names == [1, 2, 3]
    renamed = tuple(
        replace(component, id=new) for component, new in zip(around.frame.components, b"RGB", strict=True)
    )
    bare = replace(around, header=header, head=(), frame=replace(around.frame, components=renamed))
    other = read(write_coefficients(bare, blocks))
    assert changed_blocks(clean, other) is not None
    found, _ = compared(clean, other)
    assert not found.in_blocks
    assert found.area > 0.9


def test_identical_files_have_no_changed_block() -> None:
    clean, _, _ = big()
    blocks = changed_blocks(clean, clean)
    assert blocks is not None
    assert not blocks.mask.any()
    found, windows = compared(clean, clean)
    assert (found.area, found.area_clear, found.psnr_outside, windows) == (0, 0, np.inf, ())
