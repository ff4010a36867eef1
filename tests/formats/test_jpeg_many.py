"""JPEG files with further pictures behind the first: cameras' large previews, stereo pairs, gain maps."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Pillow

from jpeg_pictures import jpeg
from medlocker.formats import check_keep, mark_file, metadata_digest, read_image, unmark_file
from medlocker.images import content_digest
from medlocker.logo import builtin_logo
from medlocker.mark import OPACITY_ONE, Mark
from medlocker.veil import AnyMark
from veils import make_veil

MARK = Mark(x=2, y=3, size_px=30, opacity=OPACITY_ONE // 2)


def pair() -> bytes:
    """Two pictures in one file, written by Pillow."""
    first, second = (Pillow.open(io.BytesIO(jpeg(seed=seed))) for seed in (0, 1))
    stream = io.BytesIO()
    first.save(stream, "MPO", save_all=True, append_images=[second])
    return stream.getvalue()


def second(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Pillow.open(io.BytesIO(data)) as picture:
        picture.seek(1)
        return np.asarray(picture)


@pytest.mark.parametrize("keep", [(), ("all",)])
@pytest.mark.parametrize("marks", [[MARK], [MARK, replace(MARK, x=20)], [make_veil()]])
def test_the_second_picture_is_sealed_and_opens_after_restoring(
    marks: list[AnyMark], keep: tuple[str, ...]
) -> None:
    data = pair()
    image = read_image(data, name="a")
    marked = mark_file(image, marks, logo=builtin_logo(), keep=check_keep(keep))
    with Pillow.open(io.BytesIO(marked.data)) as picture:
        assert getattr(picture, "n_frames", 1) == 1
    again = read_image(marked.data, name="b")
    assert content_digest(again) != content_digest(image)
    restored = unmark_file(again, marks, logo=builtin_logo(), residual=marked.residual, method=marked.method)
    assert restored == data
    assert np.array_equal(second(restored), second(data))
    assert marked.metadata == metadata_digest(image)


def test_single_pictures_have_the_method_that_older_versions_know() -> None:
    image = read_image(jpeg(), name="a")
    assert mark_file(image, [MARK], logo=builtin_logo()).method == "jpeg-dct-v1"
    pictures = mark_file(read_image(pair(), name="a"), [MARK], logo=builtin_logo())
    assert pictures.method == "jpeg-file-v1"
