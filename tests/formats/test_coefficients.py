"""Marks in the coefficients of JPEG files: where they reach, what they leave alone, how they come off."""

from __future__ import annotations

import io
import shutil
import subprocess
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from jpeg_pictures import FILES, jpeg
from medlocker.errors import InputError, RestoreError
from medlocker.formats import (
    influence_box,
    mark_file,
    metadata_digest,
    read_image,
    unaffected_box,
    unmark_file,
)
from medlocker.formats.jpeg import extent, read_coefficients
from medlocker.formats.jpeg._blocks import touched_blocks
from medlocker.geometry import Box
from medlocker.images import Image, content_digest
from medlocker.logo import builtin_logo, render
from medlocker.mark import Mark
from medlocker.marking import mark_pixels, render_layer

LOGO = builtin_logo()
LARGE = {name: data for name, data in FILES.items() if name != "one block"}
MARKS = (Mark(30, 4, 34, 50000), Mark(2, 10, 28, 30000, rotation=5000))


def image_of(name: str) -> Image:
    return read_image(FILES[name], name=name)


@st.composite
def marks_for(draw: st.DrawFn, image: Image) -> list[Mark]:
    """One to three marks anywhere inside, edges often."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        size, rotation = draw(st.integers(1, 40)), draw(st.sampled_from([0, 3000]))
        height, width = render(LOGO, size, rotation=rotation).coverage.shape
        right, bottom = max(image.width - width, 0), max(image.height - height, 0)
        x = draw(st.one_of(st.integers(0, right), st.sampled_from([0, right])))
        y = draw(st.one_of(st.integers(0, bottom), st.sampled_from([0, bottom])))
        found.append(Mark(x, y, size, draw(st.sampled_from([1, 20000, 50000, 65535])), rotation))
    return found


def unmarked(data: bytes, marks: list[Mark], residual: bytes) -> bytes:
    marked = read_image(data, name="m")
    return unmark_file(marked, marks, logo=LOGO, residual=residual, method="jpeg-dct-v1")


@pytest.mark.parametrize("name", LARGE)
@given(data=st.data())
@settings(max_examples=12)
def test_only_touched_blocks_change_and_all_come_back(name: str, data: st.DataObject) -> None:
    image = image_of(name)
    marks = data.draw(marks_for(image))
    marked = mark_file(image, marks, logo=LOGO)
    assert (marked.method, marked.pixels) == ("jpeg-dct-v1", None)
    around, before = read_coefficients(FILES[name])
    after = read_coefficients(marked.data)[1]
    cover = np.zeros((image.height, image.width), np.bool_)
    for mark in marks:
        layer = render_layer(mark, logo=LOGO, image=image)
        cover[layer.window] |= layer.weight > 0
    masks = touched_blocks([render_layer(mark, logo=LOGO, image=image) for mark in marks], around.frame)
    for old, new, mask, component in zip(before, after, masks, around.frame.components, strict=True):
        width, height = extent(around.frame, component)
        for row, col in np.ndindex(mask.shape):
            under = cover[row * height : (row + 1) * height, col * width : (col + 1) * width]
            assert mask[row, col] == under.any()
        assert np.array_equal(old[~mask], new[~mask])
    back = unmarked(marked.data, marks, marked.residual)
    for old, new in zip(before, read_coefficients(back)[1], strict=True):
        assert np.array_equal(old, new)
    again = read_image(back, name="r")
    assert content_digest(again) == content_digest(image)
    assert metadata_digest(again) == marked.metadata == metadata_digest(image)


@pytest.mark.parametrize("name", LARGE)
@given(data=st.data())
@settings(max_examples=25)
def test_a_mark_beyond_the_reach_of_a_box_leaves_its_pixels(name: str, data: st.DataObject) -> None:
    image = image_of(name)
    x, y = data.draw(st.integers(0, image.width - 1)), data.draw(st.integers(0, image.height - 1))
    box = Box(
        x,
        y,
        data.draw(st.integers(1, min(20, image.width - x))),
        data.draw(st.integers(1, min(20, image.height - y))),
    )
    reached = influence_box(image, box)
    inside = unaffected_box(image, reached)
    assert inside is not None
    assert reached.x <= inside.x <= box.x
    assert reached.y <= inside.y <= box.y
    assert box.right <= inside.right <= reached.right
    assert box.bottom <= inside.bottom <= reached.bottom
    marks = data.draw(marks_for(image))
    layers = [render_layer(mark, logo=LOGO, image=image) for mark in marks]
    window = (slice(reached.y, reached.bottom), slice(reached.x, reached.right))
    cover = np.zeros((image.height, image.width), np.bool_)
    for layer in layers:
        cover[layer.window] |= layer.weight > 0
    if cover[window].any():
        return
    marked = mark_file(image, marks, logo=LOGO).data
    view = (slice(inside.y, inside.bottom), slice(inside.x, inside.right))
    for before, after in zip(decoded(FILES[name]), decoded(marked), strict=True):
        assert np.array_equal(before[view], after[view])


def decoded(data: bytes) -> list[np.ndarray]:
    """What three readers see."""
    return [
        simplejpeg.decode_jpeg(data, "RGB", fastdct=False, fastupsample=False),
        np.asarray(Pillow.open(io.BytesIO(data)).convert("RGB")),
        np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))[..., ::-1],
    ]


@pytest.mark.parametrize(
    ("name", "x", "y", "wanted"),
    [
        ("grey", 9, 17, Box(8, 16, 8, 8)),
        ("4:4:4", 9, 17, Box(8, 16, 8, 8)),
        ("4:2:0", 20, 20, Box(16, 16, 16, 16)),
        ("4:2:0", 17, 20, Box(0, 16, 32, 16)),  # its colour is mixed with that of column 15
        ("4:2:0", 31, 47, Box(16, 32, 32, 19)),
        ("4:2:2", 17, 16, Box(0, 16, 32, 8)),
        ("4:1:1", 35, 0, Box(0, 0, 64, 8)),
    ],
)
def test_the_reach_is_of_whole_blocks_and_a_sample_more(name: str, x: int, y: int, wanted: Box) -> None:
    assert influence_box(image_of(name), Box(x, y, 1, 1)) == wanted


@pytest.mark.parametrize("name", LARGE)
def test_readers_see_the_blend(name: str) -> None:
    image = image_of(name)
    marked = mark_file(image, MARKS, logo=LOGO)
    wanted = mark_pixels(image, MARKS, logo=LOGO).pixels
    touched = (wanted != image.pixels).any(axis=2)
    readers = decoded(marked.data)
    assert np.array_equal(readers[0], readers[1])
    assert np.array_equal(readers[0], readers[2])
    seen = readers[0][..., : wanted.shape[2]].astype(float)
    off = np.abs(seen - wanted)[touched]
    was = np.abs(image.pixels.astype(float) - wanted)[touched]
    assert off.mean() < 0.25 * was.mean()
    assert ("progressive" in name) == (
        read_image(marked.data, name="m").facts["compression"] == "progressive JPEG"
    )


def test_thumbnails_are_not_passed_on_and_come_back() -> None:
    small = jpeg(24, 24, seed=9)
    data = jpeg(exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + small) + b"behind" + small
    image = read_image(data, name="a")
    marked = mark_file(image, MARKS, logo=LOGO)
    assert small[200:240] in data
    assert small[200:240] not in marked.data
    assert marked.data.endswith(b"\xff\xd9")
    back = unmarked(marked.data, list(MARKS), marked.residual)
    assert back.endswith(b"\xff\xd9behind" + small)
    assert metadata_digest(read_image(back, name="r")) == metadata_digest(image) == marked.metadata


def test_damaged_residuals_are_refused() -> None:
    image = image_of("4:2:0")
    marked = mark_file(image, MARKS, logo=LOGO)
    plain = zlib.decompress(marked.residual)
    bad = {
        b"": "expected a residual of",
        b"junk": "the residual is damaged",
        marked.residual[:-9]: "expected a residual of",
        marked.residual + b"x": "expected a residual of",
        zlib.compress(plain[:500]): "expected a residual of",
        zlib.compress(plain[:-1]): "the residual is damaged",
        zlib.compress(
            plain[:-4] + b"\1\0\0\0" + b"\x09\0\0\0\0\xe1\0\0"
        ): "the residual does not fit this image",
        zlib.compress(plain[:-4] + b"\1\0\0\0" + b"\0\0\0\0\0\xda\0\0"): "the residual is damaged",
        zlib.compress(plain[:-4] + b"\1\0\0\0" + b"\0\0\0\0\0\xe1\5\0"): "the residual is damaged",
        zlib.compress(b"\xff" * len(plain[:-4]) + plain[-4:]): "the residual does not fit this image",
        zlib.compress(bytes(1 << 27)): "expected a residual of",
    }
    for residual, message in bad.items():
        with pytest.raises(RestoreError, match=f"^{message}"):
            unmarked(marked.data, list(MARKS), residual)
    with pytest.raises(RestoreError, match=r"^the parameters do not fit this image: expected a mark inside"):
        unmarked(marked.data, [Mark(60, 4, 34, 50000)], marked.residual)


@given(flips=st.lists(st.tuples(st.integers(0, 10**5), st.integers(1, 255)), min_size=1, max_size=3))
@settings(max_examples=40)
def test_a_flipped_residual_gives_a_picture_or_our_error(flips: list[tuple[int, int]]) -> None:
    image = image_of("4:2:0")
    marked = mark_file(image, MARKS, logo=LOGO)
    plain = bytearray(zlib.decompress(marked.residual))
    for at, value in flips:
        plain[at % len(plain)] ^= value
    try:
        back = unmarked(marked.data, list(MARKS), zlib.compress(bytes(plain)))
        read_image(back, name="r")
    except (RestoreError, InputError):
        return


def test_a_mark_outside_and_a_huge_trailer_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    image = image_of("4:2:0")
    with pytest.raises(InputError, match=r"^expected a mark inside 67 x 51 pixels, got 34 x "):
        mark_file(image, [Mark(60, 4, 34, 50000)], logo=LOGO)
    monkeypatch.setattr("medlocker.formats.jpeg._residual.MAX_WITHHELD", 20)
    data = FILES["4:2:0"] + bytes(30)
    with pytest.raises(
        InputError, match=r"^expected at most 20 bytes of previews and behind the picture, got 34$"
    ):
        mark_file(read_image(data, name="a"), MARKS, logo=LOGO)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("djpeg") is None, reason="djpeg of libjpeg-turbo is not installed")
@pytest.mark.parametrize("name", LARGE)
def test_djpeg_sees_the_same(name: str, tmp_path: Path) -> None:
    marked = mark_file(image_of(name), MARKS, logo=LOGO).data
    (tmp_path / "m.jpg").write_bytes(marked)
    shown = subprocess.run(["djpeg", "-pnm", tmp_path / "m.jpg"], capture_output=True, check=True)
    assert not shown.stderr
    picture = np.asarray(Pillow.open(io.BytesIO(shown.stdout)).convert("RGB"))
    assert np.array_equal(picture, decoded(marked)[0])
