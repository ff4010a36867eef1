"""JPEG files of every chroma sampling the standard knows: read as by another library, or refused by name."""

from __future__ import annotations

import io
import itertools
import struct

import numpy as np
import pytest
import simplejpeg
from PIL import Image as Pillow

from medlocker.errors import UnsupportedImageError
from medlocker.formats import read_image
from medlocker.formats.jpeg import read_coefficients
from medlocker.formats.jpeg._coefficients import JpegStructure, write_coefficients
from medlocker.formats.jpeg._stream import DQT, Component, Frame, Segment

Factors = tuple[tuple[int, int], ...]
BOTH = [(across, down) for across in range(1, 5) for down in range(1, 5)]
ALL = [
    factors
    for factors in itertools.product(BOTH, repeat=3)
    if sum(across * down for across, down in factors) <= 10  # more do not fit into one scan
]


def sound(factors: Factors) -> bytes:
    """A whole file whose components have these factors, each (across, down)."""
    components = tuple(Component(k + 1, across, down, 0) for k, (across, down) in enumerate(factors))
    frame = Frame(0xC0, 43, 37, components)
    rng = np.random.default_rng(0)
    blocks = []
    for component in components:
        own = np.zeros((*frame.blocks(component), 64), np.int16)
        own[..., 0] = rng.integers(-60, 60, own.shape[:2])
        own[..., 1] = rng.integers(-20, 20, own.shape[:2])
        blocks.append(own)
    described = b"".join(bytes([c.id, c.across << 4 | c.down, 0]) for c in components)
    start = Segment(0xC0, struct.pack(">BHHB", 8, 37, 43, len(components)) + described)
    tables = Segment(DQT, b"\0" + bytes([4]) * 64)
    return write_coefficients(JpegStructure(frame, (tables, start), (), (), b""), blocks)


def test_every_sampling_is_read_rightly_or_refused_by_its_name() -> None:
    read, refused = [], {}
    for factors in ALL:
        data = sound(factors)
        try:
            image = read_image(data, name="a.jpg")
        except UnsupportedImageError as error:
            refused[factors] = (str(error), error.hint)
        else:
            read.append(factors)
            assert np.array_equal(image.pixels, np.asarray(Pillow.open(io.BytesIO(data)).convert("RGB")))
            assert len(read_coefficients(data)[1]) == 3
    for usual in ((1, 1), (2, 1), (2, 2), (1, 2), (4, 1), (1, 4)):
        assert (usual, (1, 1), (1, 1)) in read
    assert ((2, 2), (1, 2), (1, 2)) in read
    assert len(read) == 12
    for factors, (message, hint) in refused.items():
        assert message == (
            "a.jpg: expected a JPEG of chroma sampling 4:4:4, 4:2:2, 4:2:0, 4:4:0, 4:1:1 or 4:4:1, "
            "got components of " + ", ".join(f"{across}x{down}" for across, down in factors)
        )
        assert hint == "this chroma sampling is not supported: convert the image to PNG, which loses nothing"


@pytest.mark.parametrize("factors", [((2, 2), (1, 2), (2, 1)), ((1, 1), (2, 2), (1, 1))])
def test_an_unknown_sampling_is_refused_before_anything_is_decoded(
    factors: Factors, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decoded(*_: object, **__: object) -> None:
        raise AssertionError("expected no decoding")

    monkeypatch.setattr(simplejpeg, "decode_jpeg", decoded)
    with pytest.raises(UnsupportedImageError, match=r"chroma sampling .* got components of \dx\d, "):
        read_image(sound(factors), name="a.jpg")


def test_a_grey_image_may_have_any_factors() -> None:
    for both in BOTH:
        data = sound((both,))
        pixels = read_image(data, name="a.jpg").pixels[..., 0]
        assert np.array_equal(pixels, np.asarray(Pillow.open(io.BytesIO(data))))
