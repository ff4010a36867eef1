"""TIFF files of several pages: frames of one object if alike, refused if not."""

from __future__ import annotations

import io
import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from image_samples import Array, noise, tiff
from PIL import Image as Pillow
from stack_checks import all_frames, check_stack, marks

from medlocker.errors import InputError, UnsupportedImageError
from medlocker.formats import encode_frames, encode_image, read_image
from medlocker.images import Limits
from medlocker.mark import Mark

DAMAGED = "expected a whole TIFF image, got a damaged or cut one"
PHOTOMETRIC = {1: "minisblack", 2: "minisblack", 3: "rgb", 4: "rgb"}
LAYOUTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tiles": {"tile": (16, 16)},
    "lzw": {"compression": "lzw", "predictor": True, "rowsperstrip": 7},
    "deflate": {"compression": "zlib", "rowsperstrip": 11},
    "packbits": {"compression": "packbits"},
}


def stack(pages: list[Array], *, bigtiff: bool = False, byteorder: str = "<", **options: Any) -> bytes:
    """A file of pages, (H, W, C) each."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, bigtiff=bigtiff, byteorder=byteorder) as writer:  # type: ignore[arg-type]
        for number, page in enumerate(pages):
            more: dict[str, Any] = {"extrasamples": ["unassalpha"]} if page.shape[2] in (2, 4) else {}
            writer.write(
                page[..., 0] if page.shape[2] == 1 else page,
                photometric=PHOTOMETRIC[page.shape[2]],
                metadata=None,
                description=f"page {number}",
                **more,
                **options,
            )
    return stream.getvalue()


@given(
    data=st.data(),
    count=st.integers(2, 5),
    channels=st.integers(1, 4),
    dtype=st.sampled_from(["u1", "u2"]),
    layout=st.sampled_from(sorted(LAYOUTS)),
    byteorder=st.sampled_from("<>"),
    bigtiff=st.booleans(),
)
@settings(max_examples=40)
def test_marks_and_restores(
    data: st.DataObject, count: int, channels: int, dtype: str, layout: str, byteorder: str, bigtiff: bool
) -> None:
    pages = [noise((37, 43, channels), dtype, seed=i) for i in range(count)]
    file = stack(pages, bigtiff=bigtiff, byteorder=byteorder, **LAYOUTS[layout])
    image = read_image(file, name="a.tif")
    assert image.facts["frames"] == count
    assert np.array_equal(image.pixels, pages[count // 2])
    for found, page in zip(all_frames(image), pages, strict=True):
        assert np.array_equal(found, page)
    marked, _ = check_stack(file, data.draw(marks(37, 43)), name="a.tif")
    # another library sees the same pages with their own tags
    assert marked[:4] == file[:4]
    with tifffile.TiffFile(io.BytesIO(marked)) as other, tifffile.TiffFile(io.BytesIO(file)) as source:
        assert len(other.pages) == count
        for number, (after, before) in enumerate(zip(other.pages, source.pages, strict=True)):
            assert isinstance(after, tifffile.TiffPage)
            assert isinstance(before, tifffile.TiffPage)
            assert after.description == f"page {number}"
            assert (after.compression, after.predictor, after.is_tiled) == (
                before.compression,
                before.predictor,
                before.is_tiled,
            )
            pixels = after.asarray().reshape(37, 43, channels)
            assert np.array_equal(pixels, all_frames(read_image(marked, name="a"))[number])


def test_files_of_another_library() -> None:
    pages = [Pillow.fromarray(noise((37, 43, 3), seed=i)) for i in range(3)]
    stream = io.BytesIO()
    pages[0].save(stream, "TIFF", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    marked, _ = check_stack(stream.getvalue(), [Mark(x=2, y=3, size_px=20, opacity=50000)])
    again = Pillow.open(io.BytesIO(marked))
    frames = all_frames(read_image(marked, name="a"))
    for number in range(3):
        again.seek(number)
        assert np.array_equal(np.asarray(again), frames[number])


def test_palettes() -> None:
    pages = [Pillow.fromarray(noise((37, 43, 3), seed=i)).quantize(200) for i in range(2)]
    same, other = io.BytesIO(), io.BytesIO()
    copy = pages[0].rotate(180)
    pages[0].save(same, "TIFF", save_all=True, append_images=[copy])
    check_stack(same.getvalue(), [Mark(x=2, y=3, size_px=20, opacity=50000)])
    pages[0].save(other, "TIFF", save_all=True, append_images=[pages[1]])
    with pytest.raises(
        UnsupportedImageError, match=r"^a: expected one palette for all pages, got another on page 2$"
    ):
        read_image(other.getvalue(), name="a")


def test_a_file_written_here_comes_back_byte_for_byte() -> None:
    image = read_image(stack([noise((37, 43, 1), seed=i) for i in range(3)]), name="a")
    own = encode_frames(image, iter(all_frames(image)))
    _, restored = check_stack(own, [Mark(x=2, y=3, size_px=20, opacity=50000)])
    assert restored == own


def test_imagej_stacks_keep_their_description() -> None:
    stream = io.BytesIO()
    pixels = noise((4, 37, 43), "u2")
    tifffile.imwrite(stream, pixels, imagej=True, metadata={"axes": "ZYX", "spacing": 2.5, "unit": "mm"})
    marked, _ = check_stack(stream.getvalue(), [Mark(x=2, y=3, size_px=20, opacity=50000)])
    with tifffile.TiffFile(io.BytesIO(marked)) as again:
        assert again.imagej_metadata is not None
        assert (again.imagej_metadata["images"], again.imagej_metadata["spacing"]) == (4, 2.5)


@pytest.mark.parametrize("kind", ["imagej", "shaped"])
def test_stacks_with_a_single_directory_are_refused(kind: str) -> None:
    stream = io.BytesIO()
    options: dict[str, Any] = {"imagej": True} if kind == "imagej" else {}
    tifffile.imwrite(stream, noise((4, 37, 43), "u2"), truncate=True, photometric="minisblack", **options)
    with pytest.raises(UnsupportedImageError) as caught:
        read_image(stream.getvalue(), name="a")
    assert str(caught.value) == "a: expected a TIFF with a directory for each of its 4 pages, got 1"
    assert "truncate=False" in caught.value.hint


def test_a_page_taken_out_of_a_stack_is_a_still() -> None:
    # its description still tells of four
    told = "ImageJ=1.11a\nimages=4\nslices=4\n"
    image = read_image(tiff(noise((9, 8, 1)), description=told), name="a")
    assert image.frames is None


def _second(first: bytes, **options: Any) -> bytes:
    stream = io.BytesIO(first)
    tifffile.imwrite(stream, append=True, metadata=None, **options)
    return stream.getvalue()


def _links(data: bytes | bytearray) -> list[int]:
    """Where a little-endian classic file tells the places of its pages."""
    found = [4]
    while True:
        (at,) = struct.unpack_from("<I", data, found[-1])
        if not at:
            return found
        (count,) = struct.unpack_from("<H", data, at)
        found.append(at + 2 + 12 * count)


def _patched_last(data: bytes, tag: int, value: int) -> bytes:
    """Give a short tag of the last page of a little-endian classic file another value."""
    out = bytearray(data)
    (at,) = struct.unpack_from("<I", data, _links(data)[-2])
    own = next(i for i in range(at + 2, len(data), 12) if struct.unpack_from("<H", data, i)[0] == tag)
    out[own + 8 : own + 12] = struct.pack("<I", value)
    return bytes(out)


GREY = noise((20, 30, 1))
ONE = stack([GREY])
SMALLER = "expected pages in one size only, got a TIFF with smaller versions or outlines of its pages"


def _pyramid() -> bytes:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(noise((64, 64)), subifds=1, metadata=None)
        writer.write(noise((32, 32)), subfiletype=1, metadata=None)
    return stream.getvalue()


REFUSED = {
    "size": (
        _second(ONE, data=noise((10, 30))),
        "expected pages of one size and kind, got 30 x 20 grey of 8 bits on page 1 and "
        "30 x 10 grey of 8 bits on page 2",
    ),
    "depth": (
        _second(ONE, data=noise((20, 30), "u2")),
        "expected pages of one size and kind, got 30 x 20 grey of 8 bits on page 1 and "
        "30 x 20 grey of 16 bits on page 2",
    ),
    "kind": (
        _second(stack([GREY, GREY]), data=noise((20, 30, 3)), photometric="rgb"),
        "expected pages of one size and kind, got 30 x 20 grey of 8 bits on page 1 and "
        "30 x 20 rgb of 8 bits on page 3",
    ),
    "white": (
        _second(ONE, data=GREY[..., 0], photometric="miniswhite"),
        "expected pages of one size and kind, got 30 x 20 grey of 8 bits on page 1 and "
        "30 x 20 grey of 8 bits with white as zero on page 2",
    ),
    "float": (
        _second(ONE, data=GREY[..., 0].astype("f4")),
        "expected unsigned samples or signed ones of 16 bits, got floating-point ones of 32",
    ),
    "thumbnail": (_second(ONE, data=GREY[..., 0], subfiletype=1), SMALLER),
    "outline": (_patched_last(_second(ONE, data=GREY[..., 0], subfiletype=1), 254, 4), SMALLER),
    "pyramid": (_pyramid(), SMALLER),
    "cut": (stack([GREY, GREY])[:-400], DAMAGED),
}


@pytest.mark.parametrize("case", REFUSED)
def test_pages_that_differ_are_refused(case: str) -> None:
    data, message = REFUSED[case]
    with pytest.raises(UnsupportedImageError) as caught:
        read_image(data, name="a.tif")
    assert str(caught.value) == f"a.tif: {message}"


@pytest.mark.parametrize("back_to", [0, 1])
def test_pages_in_a_circle_are_refused(back_to: int) -> None:
    data = bytearray(stack([GREY] * 3))
    links = _links(data)
    assert len(links) == 4
    data[links[-1] : links[-1] + 4] = data[links[back_to] : links[back_to] + 4]
    with pytest.raises(UnsupportedImageError, match=f"^a: {DAMAGED}$") as caught:
        read_image(bytes(data), name="a")
    assert str(caught.value.__cause__) == "expected pages that do not follow each other in a circle"


def test_pages_that_share_long_tags_are_refused() -> None:
    note = (65000, 7, 20000, bytes(20000), True)
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(GREY[..., 0], metadata=None, extratags=[note])
        for _ in range(60):
            writer.write(GREY[..., 0], metadata=None, extratags=[(65000, 7, 8, bytes(8), True)])
    data = bytearray(stream.getvalue())
    places = [struct.unpack_from("<I", data, link)[0] for link in _links(data)[:-1]]
    first = next(at for at in range(places[0] + 2, len(data), 12) if data[at : at + 2] == b"\xe8\xfd")
    for place in places[1:]:
        own = next(at for at in range(place + 2, len(data), 12) if data[at : at + 2] == b"\xe8\xfd")
        data[own : own + 12] = data[first : first + 12]
    with pytest.raises(UnsupportedImageError, match=f"^a: {DAMAGED}$"):
        read_image(bytes(data), name="a")


def test_limits() -> None:
    data = stack([GREY] * 4)
    assert read_image(data, name="a", limits=Limits(max_frames=4, max_frames_bytes=2400)).frames is not None
    with pytest.raises(UnsupportedImageError, match=r"^a: expected at most 3 frames, got 4$"):
        read_image(data, name="a", limits=Limits(max_frames=3))
    with pytest.raises(UnsupportedImageError, match=r"^a: expected at most 2399 bytes of frames, got 2400$"):
        read_image(data, name="a", limits=Limits(max_frames_bytes=2399))


def test_a_damaged_page_is_refused_when_it_is_decoded() -> None:
    data = bytearray(stack([GREY] * 3, compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        at = file.pages[0].dataoffsets[0]
    data[at + 2 : at + 40] = bytes(38)
    image = read_image(bytes(data), name="a")  # models are shown the middle page
    assert image.frames is not None
    with pytest.raises(UnsupportedImageError, match=f"^a: {DAMAGED}$"):
        image.frames[0]


@given(data=st.data(), bigtiff=st.booleans(), layout=st.sampled_from(sorted(LAYOUTS)))
@settings(max_examples=150)
def test_flipped_bytes_and_cuts_give_one_clear_refusal_or_valid_frames(
    data: st.DataObject, bigtiff: bool, layout: str
) -> None:
    file = bytearray(stack([GREY[:16, :16]] * 3, bigtiff=bigtiff, **LAYOUTS[layout]))
    for _ in range(data.draw(st.integers(0, 4))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    del file[data.draw(st.one_of(st.just(len(file)), st.integers(0, len(file)))) :]
    try:
        image = read_image(bytes(file), name="a")
        frames = [image.pixels] if image.frames is None else all_frames(image)
    except UnsupportedImageError as error:
        text = str(error)
    else:
        text = ""
    if text:
        assert text.startswith("a: expected ")
        assert "\n" not in text
        return
    for frame in frames:
        assert (frame.shape, frame.dtype) == (image.pixels.shape, image.pixels.dtype)
    if image.frames is not None:
        again = read_image(encode_frames(image, iter(frames)), name="a")
        assert all(np.array_equal(a, b) for a, b in zip(all_frames(again), frames, strict=True))


def test_the_pixels_of_one_page_are_not_the_file() -> None:
    image = read_image(stack([GREY] * 3), name="a")
    with pytest.raises(InputError, match=r"^expected 3 frames, got the pixels of one$"):
        encode_image(image, image.pixels)


def test_memory_does_not_grow_with_the_pages() -> None:
    # 64 pages of 256 KiB that compress well
    file = stack([np.full((512, 512, 1), i, np.uint8) for i in range(64)], compression="zlib")
    tracemalloc.start()
    check = read_image(file, name="a")
    encode_frames(check, (check.frames[i] for i in range(64)))  # type: ignore[index]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 512 * 512 + 2 * len(file)


@pytest.mark.parametrize("side", [8, 9])
def test_slices_of_an_imagej_stack_stay_in_one_run(side: int) -> None:
    slices = np.random.default_rng(side).integers(0, 256, (3, side, side)).astype(np.uint8)
    stream = io.BytesIO()
    tifffile.imwrite(stream, slices, imagej=True)
    image = read_image(stream.getvalue(), name="stack.tif")
    changed = slices ^ 255
    data = encode_frames(image, iter([page[..., None] for page in changed]))
    with tifffile.TiffFile(io.BytesIO(data)) as again:
        first = again.pages[0].dataoffsets[0]
        assert np.array_equal(np.frombuffer(data, np.uint8, changed.size, first), changed.ravel())
        assert np.array_equal(again.asarray(), changed)
        assert all(
            np.array_equal(page.asarray(), one) for page, one in zip(again.pages, changed, strict=True)
        )
