"""Veils on files of every format: what is kept out stays to the last coefficient, and all comes back."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image as Pillow

import jpeg_pictures
from dicom_samples import FOLDER, Sample, sample_kinds, write
from every_format import every_file
from medlocker.errors import InputError
from medlocker.formats import (
    MarkedFile,
    influence_box,
    mark_file,
    metadata_digest,
    read_image,
    unaffected_box,
    unmark_file,
)
from medlocker.formats.jpeg import extent, read_coefficients
from medlocker.geometry import Box
from medlocker.images import Image, content_digest
from medlocker.logo import builtin_logo
from medlocker.mark import Mark
from medlocker.veil import AnyMark, Veil
from veils import make_veil, veils

LOGO = builtin_logo()
JPEGS = {name: data for name, data in jpeg_pictures.FILES.items() if name != "one block"}
FILES = {name: data for name, data in every_file().items() if not name.endswith(".jpg")}


def all_frames(image: Image) -> list[Any]:
    frames = image.frames
    return [image.pixels] if frames is None else [frames[i] for i in range(len(frames))]


def back(marked: MarkedFile, marks: list[AnyMark]) -> bytes:
    image = read_image(marked.data, name="m")
    return unmark_file(image, marks, logo=LOGO, residual=marked.residual, method=marked.method)


def check(data: bytes, veil: Veil) -> None:
    """Put a veil on a file, look at it, and take it off again."""
    image = read_image(data, name="x")
    kept_out = tuple(influence_box(image, box) for box in veil.keep_out if box.right <= image.width)
    veil = replace(veil, keep_out=tuple(box for box in kept_out if box.bottom <= image.height))
    marked = mark_file(image, [veil], logo=LOGO)
    again = read_image(marked.data, name="m")
    assert marked.pixels in (None, content_digest(again))
    for before, after in zip(all_frames(image), all_frames(again), strict=True):
        for box in veil.keep_out:
            inner = unaffected_box(image, box)
            assert inner is not None
            window = np.s_[inner.y : inner.bottom, inner.x : inner.right]
            assert np.array_equal(before[window], after[window])
    restored = read_image(back(marked, [veil]), name="r")
    assert content_digest(restored) == content_digest(image)
    assert metadata_digest(restored) == (marked.metadata or metadata_digest(again))
    for before, after in zip(all_frames(image), all_frames(restored), strict=True):
        assert np.array_equal(before, after)


@pytest.mark.parametrize("name", FILES)
@given(veil=veils(width=60, height=50))
@settings(max_examples=2)
def test_every_file_comes_back(name: str, veil: Veil) -> None:
    check(FILES[name], veil)


@given(sample=sample_kinds(), veil=veils(width=20, height=20))
@settings(max_examples=60)
def test_dicom_of_every_kind_comes_back(sample: Sample, veil: Veil) -> None:
    data = write(sample)
    veil = replace(veil, size_px=min(veil.size_px, 18))  # at most twice the longer side
    check(data, veil)
    if sample.syntax not in ("1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"):
        marked = mark_file(read_image(data, name="x"), [veil], logo=LOGO)
        assert back(marked, [veil]) == data


SHIPPED = (
    "CT_small", "MR_small", "MR_small_bigendian", "JPEG2000", "SC_rgb_rle_16bit_2frame", "693_J2KI",
    "J2K_pixelrep_mismatch", "MR_small_padded", "examples_overlay", "image_dfl",
)  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_files_of_pydicom_come_back(name: str) -> None:
    check((FOLDER / f"{name}.dcm").read_bytes(), make_veil(keep_out=(Box(1, 2, 8, 6),)))


def test_no_bit_beside_the_samples_changes() -> None:
    """Overlays of old lie in the bits above a sample, and stay there if that is asked for."""
    words = np.random.default_rng(3).integers(0, 1 << 16, (1, 40, 40, 1)).astype(np.uint16)
    data = write(Sample(words, stored=12))
    keep = frozenset(("overlays",))
    marked = mark_file(read_image(data, name="x"), [make_veil()], logo=LOGO, keep=keep)
    again = np.frombuffer(marked.data[-len(words.tobytes()) :], "<u2").reshape(words.shape)
    assert (again != words).mean() > 0.3
    assert np.array_equal(again >> 12, words >> 12)


# --------------------------------------------------------------------------------------------- JPEG


@pytest.mark.parametrize("name", JPEGS)
@given(veil=veils(width=67, height=51))
@settings(max_examples=8)
def test_jpeg_files_come_back_byte_for_byte(name: str, veil: Veil) -> None:
    check(JPEGS[name], veil)
    image = read_image(JPEGS[name], name="x")
    marked = mark_file(image, [veil], logo=LOGO)
    assert back(marked, [veil]) == JPEGS[name]


def test_of_a_box_that_is_not_of_blocks_nothing_may_be_sure_to_stay() -> None:
    image = read_image(JPEGS["4:1:1"], name="x")
    assert unaffected_box(image, Box(33, 9, 20, 24)) is None
    assert unaffected_box(image, influence_box(image, Box(33, 9, 1, 1))) is not None


@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize("grain", [1, 2, 3, 4])
def test_coefficients_under_a_keep_out_stay(name: str, grain: int) -> None:
    image = read_image(JPEGS[name], name="x")
    box = influence_box(image, Box(18, 9, 12, 10))
    veil = make_veil(
        grain_px=grain, period_px=20, size_px=24, ground=9000, opacity=20000, keep_out=(box,), soft_px=1
    )
    marked = mark_file(image, [veil], logo=LOGO)
    around, before = read_coefficients(JPEGS[name])
    after = read_coefficients(marked.data)[1]
    changed = 0
    for old, new, component in zip(before, after, around.frame.components, strict=True):
        width, height = extent(around.frame, component)
        rows = slice(box.y // height, -(-box.bottom // height))
        cols = slice(box.x // width, -(-box.right // width))
        assert np.array_equal(old[rows, cols], new[rows, cols])
        changed += int((old != new).any(axis=2).sum())
    assert changed > 10


def test_the_mean_of_a_black_block_stays() -> None:
    """It is -1024 at the finest step, one less than any other coefficient may be."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96)).astype(np.uint8)
    pixels[:32, :40] = 0
    stream = io.BytesIO()
    Pillow.fromarray(pixels).save(stream, "JPEG", quality=100)
    image = read_image(stream.getvalue(), name="x")
    box = influence_box(image, Box(4, 4, 20, 20))
    marked = mark_file(image, [make_veil(keep_out=(box,), grain_px=2)], logo=LOGO)
    (before,), (after,) = (read_coefficients(data)[1] for data in (stream.getvalue(), marked.data))
    assert before[0, 0, 0] == -1024
    part = np.s_[box.y // 8 : box.bottom // 8, box.x // 8 : box.right // 8]
    assert np.array_equal(before[part], after[part])


def test_a_jpeg_has_a_veil_alone() -> None:
    image = read_image(JPEGS["4:2:0"], name="x")
    others: tuple[AnyMark, ...] = (make_veil(angle=1), Mark(2, 3, 20, 40000))
    for other in others:
        with pytest.raises(InputError, match=r"^expected a veil alone on a JPEG\Z"):
            mark_file(image, [make_veil(), other], logo=LOGO)
