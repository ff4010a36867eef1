"""Objects of several frames: each frame as if it were a still, damaged residuals refused."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from medlocker.errors import InputError, RestoreError
from medlocker.formats import _registry as registry
from medlocker.formats import encode_frames, mark_file, unmark_file
from medlocker.formats._losslessframes import LosslessFrames
from medlocker.images import Image, Kind, content_digest, frames_digest
from medlocker.mark import Mark
from medlocker.marking import mark_pixels
from pictures import make_image
from test_logo import arrow

MARK = Mark(x=3, y=5, size_px=30, opacity=40000, rotation=2000)
SECOND = Mark(x=20, y=10, size_px=20, opacity=65535)


class Rows:
    """Frames in memory that count how often they are decoded."""

    def __init__(self, frames: list[NDArray[Any]]) -> None:
        self.frames = frames
        self.taken: list[int] = []

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int, /) -> NDArray[Any]:
        self.taken.append(index)
        return self.frames[index]


def stack_of(kind: Kind = "grey", *, bits: int = 8, count: int = 3, white_is_zero: bool = False) -> Image:
    """An image whose frames all differ."""
    singles = [
        make_image(kind, bits=bits, seed=i, noise=kind != "palette", white_is_zero=white_is_zero)
        for i in range(count)
    ]
    frames = [single.pixels for single in singles]
    return replace(singles[0], pixels=frames[count // 2], format="frames-test", frames=Rows(frames))


@pytest.fixture(autouse=True)
def raw_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """A format that is nothing but the samples of all frames."""

    def encode(image: Image, frames: Iterator[NDArray[Any]]) -> bytes:
        return b"".join(frame.tobytes() for frame in frames)

    adapter = replace(registry._ADAPTERS["tiff"], encode=encode)
    monkeypatch.setattr(registry, "_ADAPTERS", {**registry._ADAPTERS, "frames-test": adapter})


def decoded(image: Image, data: bytes) -> Image:
    """What reading such a file gives."""
    assert image.frames is not None
    array = np.frombuffer(data, image.pixels.dtype).reshape(len(image.frames), *image.pixels.shape)
    frames = [np.ascontiguousarray(frame) for frame in array]
    return replace(image, pixels=frames[len(frames) // 2], frames=Rows(frames))


@given(
    kind=st.sampled_from([("grey", 8), ("grey", 16), ("rgb", 8), ("rgba", 16), ("palette", 8)]),
    count=st.integers(2, 5),
    reversed_=st.booleans(),
)
@settings(max_examples=25)
def test_every_frame_is_marked_like_a_still_and_comes_back(
    kind: tuple[Kind, int], count: int, reversed_: bool
) -> None:
    name, bits = kind
    image = stack_of(name, bits=bits, count=count, white_is_zero=reversed_ and name == "grey")
    assert image.frames is not None
    marked = mark_file(image, [MARK, SECOND], logo=arrow())
    again = decoded(image, marked.data)
    assert marked.method == "frames-v1"
    assert again.frames is not None
    assert marked.pixels == content_digest(again)
    for i in range(count):
        single = replace(image, pixels=image.frames[i], frames=None)
        alone = mark_pixels(single, [MARK, SECOND], logo=arrow())
        assert not np.array_equal(alone.pixels, single.pixels)
        np.testing.assert_array_equal(again.frames[i], alone.pixels)
    restored = unmark_file(
        again, [MARK, SECOND], logo=arrow(), residual=marked.residual, method=marked.method
    )
    assert content_digest(decoded(image, restored)) == content_digest(image)


def test_each_frame_is_decoded_once_and_in_order() -> None:
    image = stack_of(count=6)
    rows = image.frames
    assert isinstance(rows, Rows)
    mark_file(image, [MARK], logo=arrow())
    assert rows.taken == [0, 1, 2, 3, 4, 5]


def test_residual_as_the_format_document_says() -> None:
    image = stack_of(count=2)
    assert image.frames is not None
    marked = mark_file(image, [MARK], logo=arrow())
    expected = [struct.pack("<I", 2)]
    for i in range(2):
        own = mark_pixels(replace(image, pixels=image.frames[i], frames=None), [MARK], logo=arrow()).residual
        expected += [struct.pack("<I", len(own)), own]
    assert marked.residual == b"".join(expected)


def test_the_digest_that_is_promised_is_that_of_the_marked_frames() -> None:
    image = stack_of(count=2)
    marked = mark_file(image, [MARK], logo=arrow())
    frames = decoded(image, marked.data).frames
    assert isinstance(frames, Rows)
    assert marked.pixels == frames_digest(frames.frames, count=2, like=image.pixels)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda r: r[:3], "expected residuals of 3 frames, got another number"),
        (lambda r: b"", "expected residuals of 3 frames, got another number"),
        (lambda r: struct.pack("<I", 4) + r[4:], "expected residuals of 3 frames, got another number"),
        (lambda r: struct.pack("<I", 2) + r[4:], "expected residuals of 3 frames, got another number"),
        (lambda r: r[:-1], "the residual is cut"),
        (lambda r: r[:6], "the residual is cut"),
        (lambda r: r[:4] + b"\xff" * 4 + r[8:], "the residual is cut"),
        (lambda r: r + b"\0", "expected nothing after the residual of the last frame"),
        (lambda r: r[:8] + b"\0" * 20 + r[28:], "the residual is damaged"),
    ],
)
def test_damaged_residuals(damage: Callable[[bytes], bytes], message: str) -> None:
    image = stack_of()
    marked = mark_file(image, [MARK], logo=arrow())
    bad = damage(marked.residual)
    with pytest.raises(RestoreError, match=f"^{message}$"):
        unmark_file(decoded(image, marked.data), [MARK], logo=arrow(), residual=bad, method="frames-v1")


@given(at=st.integers(0, 10**6), value=st.integers(1, 255))
@settings(max_examples=60)
def test_any_flipped_byte_is_refused_or_gives_other_pixels(at: int, value: int) -> None:
    image = stack_of()
    marked = mark_file(image, [MARK], logo=arrow())
    bad = bytearray(marked.residual)
    bad[at % len(bad)] ^= value
    try:
        restored = unmark_file(
            decoded(image, marked.data), [MARK], logo=arrow(), residual=bytes(bad), method="frames-v1"
        )
    except RestoreError:
        return
    # zlib streams have a few bits that mean nothing; whatever is told is told by the digest
    assert len(restored) == len(marked.data)


def test_stills_and_stacks_do_not_mix() -> None:
    image = stack_of()
    with pytest.raises(RestoreError, match=r"^the method pixels-v1 does not suit this file$"):
        unmark_file(image, [MARK], logo=arrow(), residual=b"", method="pixels-v1")
    still = replace(image, frames=None)
    with pytest.raises(RestoreError, match=r"^the method frames-v1 does not suit this file$"):
        unmark_file(still, [MARK], logo=arrow(), residual=b"", method="frames-v1")
    with pytest.raises(InputError, match=r"^expected an image of several frames, got a still$"):
        LosslessFrames().mark(still, [MARK], logo=arrow())


def test_frames_that_do_not_fit_are_refused() -> None:
    image = stack_of(count=3)
    frame = image.pixels
    for frames, message in [
        ([frame] * 2, "expected 3 frames, got 2"),
        ([frame] * 4, "expected 3 frames, got more"),
        ([frame, frame[1:], frame], r"expected pixels \(48, 64, 1\) uint8, got \(47, 64, 1\) uint8"),
        ([frame, frame.astype("u2")], r"expected pixels \(48, 64, 1\) uint8, got \(48, 64, 1\) uint16"),
    ]:
        with pytest.raises(InputError, match=f"^{message}$"):
            encode_frames(image, iter(frames))
    still = make_image("rgb")
    with pytest.raises(InputError, match=r"^expected an image of several frames, got a png still$"):
        encode_frames(still, iter([still.pixels]))
