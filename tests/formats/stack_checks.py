"""What must hold for objects of several frames of every format."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from image_samples import Array

from medlocker.formats import check_keep, mark_file, metadata_digest, read_image, unmark_file
from medlocker.images import Image, content_digest
from medlocker.logo import builtin_logo
from medlocker.mark import Mark
from medlocker.marking import mark_pixels, render_layer


def all_frames(image: Image) -> list[Array]:
    """Decode them all."""
    frames = image.frames
    assert frames is not None
    return [frames[i] for i in range(len(frames))]


@st.composite
def marks(draw: st.DrawFn, height: int, width: int) -> list[Mark]:
    """One or two marks inside, which may overlap."""
    found = []
    for _ in range(draw(st.integers(1, 2))):
        size = draw(st.integers(4, min(height, width) // 2))
        mark = Mark(
            x=draw(st.integers(0, width - size)),
            y=draw(st.integers(0, height - size)),
            size_px=size,
            opacity=draw(st.integers(20000, 65535)),
        )
        found.append(mark)
    return found


def check_stack(
    data: bytes,
    chosen: list[Mark],
    *,
    name: str = "a",
    method: str = "frames-v1",
    keep: Collection[str] = (),
) -> tuple[bytes, bytes]:
    """Mark a file in memory and take the marks off; returns the marked and the restored file."""
    image, logo = read_image(data, name=name), builtin_logo()
    before = all_frames(image)
    marked = mark_file(image, chosen, logo=logo, keep=check_keep(keep))
    again = read_image(marked.data, name=name)
    assert (again.kind, again.format, again.pixels.dtype) == (image.kind, image.format, image.pixels.dtype)
    assert dict(again.facts) == dict(image.facts)
    assert marked.method == method
    assert marked.pixels == content_digest(again)
    assert metadata_digest(again) == metadata_digest(image)
    touched = np.zeros((image.height, image.width), np.bool_)
    for mark in chosen:
        layer = render_layer(mark, logo=logo, image=replace(image, frames=None))
        touched[layer.window] |= layer.weight > 0
    assert touched.any()
    for old, new in zip(before, all_frames(again), strict=True):
        assert np.array_equal(old[~touched], new[~touched])
        # the still of the same pixels, marked alone, is the reference
        alone = mark_pixels(replace(image, pixels=old, frames=None), chosen, logo=logo)
        assert np.array_equal(alone.pixels, new)
    restored = unmark_file(again, chosen, logo=logo, residual=marked.residual, method=marked.method)
    original = read_image(restored, name=name)
    assert content_digest(original) == content_digest(image)
    assert metadata_digest(original) == metadata_digest(image)
    return marked.data, restored
