"""NIfTI volumes: what nibabel reads is what is marked, everything else stays."""

from __future__ import annotations

import gzip
import io
import math
import tracemalloc
import zlib
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_samples import Array, noise
from nifti_samples import CLASSES, PERSON, RGB, nifti, patched
from stack_checks import all_frames, check_stack, marks

from medlocker.errors import UnsupportedImageError
from medlocker.formats import encode_frames, encode_image, metadata_digest, read_image
from medlocker.images import Limits
from medlocker.mark import Mark

DAMAGED = "expected a whole NIfTI image, got a damaged or cut one"
MARK = Mark(x=2, y=3, size_px=20, opacity=50000)


def voxels(shape: tuple[int, ...], dtype: str, *, seed: int = 0) -> Array:
    """Random samples over the whole range."""
    bounds = np.iinfo(dtype)
    rng = np.random.default_rng(seed)
    return rng.integers(bounds.min, int(bounds.max) + 1, shape).astype(dtype)


def by_nibabel(data: bytes, version: int) -> Array:
    """Stored samples, first axis fastest."""
    content = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    picture = CLASSES[version].from_bytes(content)
    stored = np.asarray(picture.dataobj.get_unscaled())
    return stored.astype(stored.dtype.newbyteorder("="))


def content_of(data: bytes) -> bytes:
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


@given(
    data=st.data(),
    shape=st.sampled_from([(31, 26, 4), (31, 26, 2), (26, 31, 3, 2), (26, 30, 1, 3), (26, 30, 2, 1, 2)]),
    dtype=st.sampled_from(["u1", "i1", "i2", "u2"]),
    version=st.sampled_from([1, 2]),
    order=st.sampled_from("<>"),
    packed=st.booleans(),
    extension=st.sampled_from([b"", b"notes of somebody"]),
    trailing=st.sampled_from([b"", b"what follows"]),
    scaling=st.sampled_from([(1.0, 0.0), (0.5, -1024.0), (-2.0, 3.0), (0.0, 0.0)]),
)
@settings(max_examples=60)
def test_marks_and_restores(
    data: st.DataObject,
    shape: tuple[int, ...],
    dtype: str,
    version: int,
    order: str,
    packed: bool,
    extension: bytes,
    trailing: bytes,
    scaling: tuple[float, float],
) -> None:
    stored = voxels(shape, dtype)
    file = nifti(
        stored,
        version=version,
        order=order,
        packed=packed,
        slope=scaling[0],
        inter=scaling[1],
        extension=extension,
        trailing=trailing,
    )
    image = read_image(file, name="a.nii")
    assert image.facts["frames"] == math.prod(shape[2:])
    assert image.facts["byte order"] == ("little" if order == "<" else "big")
    flip = 0 if dtype[0] == "u" else 1 << (8 * int(dtype[1]) - 1)
    slices = stored.reshape(*shape[:2], -1, order="F")
    unsigned = slices.view(f"u{dtype[1]}") ^ np.array(flip, f"u{dtype[1]}")
    for number, found in enumerate(all_frames(image)):
        assert np.array_equal(found[..., 0], unsigned[..., number].T)
    middle = np.ravel_multi_index([n // 2 for n in shape[2:]], shape[2:], order="F")
    assert np.array_equal(image.pixels, all_frames(image)[int(middle)])
    marked, restored = check_stack(
        file, data.draw(marks(shape[1], shape[0])), name="a.nii", method="window-v1", keep=["all"]
    )
    assert (marked[:2] == b"\x1f\x8b") == packed
    before, after = content_of(file), content_of(marked)
    start = len(before) - stored.nbytes - len(trailing)
    assert after[:start] == before[:start]
    assert after[start + stored.nbytes :] == trailing
    assert content_of(restored) == before
    if not packed:
        assert restored == file
    # another library reads the same samples
    again = by_nibabel(marked, version).reshape(*shape[:2], -1, order="F")
    shown = all_frames(read_image(marked, name="a"))
    for number, found in enumerate(shown):
        assert np.array_equal(found[..., 0] ^ flip, again[..., number].T.view(f"u{dtype[1]}"))


@pytest.mark.parametrize("packed", [False, True])
def test_colours(packed: bool) -> None:
    stored = noise((31, 26, 3, 3)).view(RGB)[..., 0]
    file = nifti(stored, packed=packed)
    image = read_image(file, name="a.nii")
    assert image.kind == "rgb"
    frames = all_frames(image)
    for number in range(3):
        for channel, name in enumerate("RGB"):
            assert np.array_equal(frames[number][..., channel], stored[..., number][name].T)
    _, restored = check_stack(file, [MARK], name="a.nii")
    assert content_of(restored) == content_of(file)


def test_colours_with_alpha_keep_it() -> None:
    rgba = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1"), ("A", "u1")])
    file = nifti(noise((31, 26, 3, 4)).view(rgba)[..., 0])
    image = read_image(file, name="a.nii")
    assert image.kind == "rgba"
    marked, _ = check_stack(file, [MARK], name="a.nii")
    for old, new in zip(all_frames(image), all_frames(read_image(marked, name="a")), strict=True):
        assert np.array_equal(old[..., 3], new[..., 3])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", [(31, 26), (31, 26, 1)])
def test_a_single_slice_is_a_still(shape: tuple[int, ...], packed: bool) -> None:
    file = nifti(voxels(shape, "i2"), packed=packed)
    image = read_image(file, name="a.nii")
    assert image.frames is None
    assert "frames" not in image.facts
    written = encode_image(image, image.pixels[::-1].copy())
    again = read_image(written, name="a")
    assert np.array_equal(again.pixels, image.pixels[::-1])
    assert metadata_digest(again) == metadata_digest(image)
    assert content_of(encode_image(again, image.pixels)) == content_of(file)


def test_gzip_files_have_no_name_and_no_time() -> None:
    stream = io.BytesIO()
    with gzip.GzipFile("JANE.nii", "wb", fileobj=stream, mtime=123456789) as file:
        file.write(nifti(voxels((31, 26, 2), "i2")))
    data = stream.getvalue()
    assert b"JANE.nii" in data
    image = read_image(data, name="a")
    written = encode_frames(image, iter(all_frames(image)))
    assert written[:8] == b"\x1f\x8b\x08\0\0\0\0\0"
    assert written == encode_frames(image, iter(all_frames(image)))
    assert b"JANE" not in written


def test_gzip_files_of_several_members() -> None:
    file = nifti(voxels((31, 26, 9), "i2"))
    parts = [file[i : i + 3000] for i in range(0, len(file), 3000)]
    data = b"".join(gzip.compress(part) for part in parts)
    for padding in (b"", bytes(100)):
        assert content_of(check_stack(data + padding, [MARK], method="window-v1")[1]) == file
    with pytest.raises(UnsupportedImageError, match=f"^a: {DAMAGED}$"):
        read_image(data + b"\0more", name="a")


def test_free_text_is_never_shown() -> None:
    file = nifti(voxels((31, 26, 2), "i2"), extension=PERSON, trailing=PERSON)
    assert PERSON in file
    image = read_image(file, name="a")
    assert "DOE" not in repr(image)
    assert {key: image.facts[key] for key in ("version", "voxels", "voxel size", "signed", "scaled")} == {
        "version": "NIfTI-1",
        "voxels": "31 x 26 x 2",
        "voxel size": "1 x 1 x 2.5 mm",
        "signed": True,
        "scaled": False,
    }
    assert image.facts["extension bytes"] == 16


def test_metadata_digest_sees_header_extension_and_rest_but_no_voxel() -> None:
    stored = voxels((31, 26, 2), "i2")

    def digest(**options: Any) -> str:
        return metadata_digest(read_image(nifti(options.pop("stored", stored), **options), name="a"))

    same = [digest(), digest(stored=stored[::-1]), digest(packed=True)]
    assert len(set(same)) == 1
    others = [digest(slope=2.0), digest(extension=b"x"), digest(trailing=b"x"), digest(calibration=(0, 9))]
    assert len({same[0], *others}) == 5


FILE = nifti(voxels((31, 26, 2), "i2"))
TWO = nifti(voxels((31, 26, 2), "i2"), version=2)
FLOATS = "expected NIfTI voxels of 8, 16 or 32 bit integers, or RGB, got "
PAIR = "expected a NIfTI in one file, got the header of a pair of .hdr and .img"
AXES = "expected 1 to 7 axes of at least one voxel"
REFUSED = {
    "float": (nifti(np.zeros((31, 26, 2), "f4")), FLOATS + "32-bit floating-point ones"),
    "double": (nifti(np.zeros((31, 26, 2), "f8")), FLOATS + "64-bit floating-point ones"),
    "64 bits": (patched(nifti(np.zeros((31, 26, 2), "f8")), 70, "<h", 1024), FLOATS + "64-bit integers"),
    "32 bits apart": (
        nifti(np.arange(31 * 26 * 2, dtype="i4").reshape(31, 26, 2) * 50),
        "expected 32-bit voxels whose values fit into 16 bits, got values too far apart",
    ),
    "complex": (nifti(np.zeros((31, 26, 2), "c8")), FLOATS + "complex numbers"),
    "pair": (patched(FILE, 344, "4s", b"ni1\0"), PAIR),  # type: ignore[arg-type]
    "pair 2": (patched(TWO, 4, "4s", b"ni2\0"), PAIR),  # type: ignore[arg-type]
    "analyze": (
        patched(FILE, 344, "4s", bytes(4)),  # type: ignore[arg-type]
        "expected a NIfTI in one file, got another header of its size",
    ),
    "bits": (patched(FILE, 72, "<h", 8), "expected voxels of 16 bits, got 8"),
    "no axes": (patched(FILE, 40, "<h", 0), AXES),
    "many axes": (patched(FILE, 40, "<h", 8), AXES),
    "negative": (patched(FILE, 46, "<h", -2), AXES),
    "wide": (
        patched(TWO, 24, "<q", 70000),
        "expected sides of at most 65500 pixels, got 70000 x 26",
    ),
    "long": (patched(TWO, 40, "<q", 70000), "expected at most 65535 frames, got 70000"),
    "endless": (patched(TWO, 40, "<q", 2**62), f"expected at most 65535 frames, got {2**62}"),
    "more than there is": (
        patched(FILE, 46, "<h", 3),
        "expected a whole NIfTI image, got a cut one",
    ),
    "cut": (FILE[:-1], "expected a whole NIfTI image, got a cut one"),
    "header only": (TWO[:100], DAMAGED),
    "start": (patched(FILE, 108, "<f", 100), DAMAGED),
    "start between bytes": (patched(FILE, 108, "<f", 352.5), DAMAGED),
    "start nowhere": (patched(FILE, 108, "<f", math.nan), DAMAGED),
    "start at infinity": (patched(FILE, 108, "<f", math.inf), DAMAGED),
    "text in gzip": (
        gzip.compress(b"no volume at all"),
        "expected a NIfTI in a gzip file, got something else in it",
    ),
    "nothing in gzip": (gzip.compress(b""), "expected a NIfTI in a gzip file, got something else in it"),
    "cut gzip": (gzip.compress(FILE)[:-9], DAMAGED),
    "checksum": (gzip.compress(FILE)[:-5] + bytes(5), DAMAGED),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_clearly(case: str) -> None:
    data, message = REFUSED[case]
    with pytest.raises(UnsupportedImageError) as caught:
        read_image(data, name="a.nii")
    assert str(caught.value) == f"a.nii: {message}"


def test_hints() -> None:
    with pytest.raises(UnsupportedImageError) as caught:
        read_image(REFUSED["float"][0], name="a")
    assert "convert to int16" in caught.value.hint
    with pytest.raises(UnsupportedImageError) as caught:
        read_image(REFUSED["pair"][0], name="a")
    assert caught.value.hint == "convert it to .nii or .nii.gz"


def _bomb(size: int) -> bytes:
    machine = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = machine.compress(FILE)
    return b"".join([head, *(machine.compress(bytes(1 << 20)) for _ in range(size)), machine.flush()])


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("holds more", "expected no more than was announced"),
        ("promises more", "expected as much as was announced"),
    ],
)
def test_gzip_bombs_cost_no_memory(kind: str, cause: str) -> None:
    data = _bomb(200) if kind == "holds more" else gzip.compress(patched(TWO, 40, "<q", 60000))
    tracemalloc.start()
    with pytest.raises(UnsupportedImageError, match=f"^a: {DAMAGED}$") as caught:
        read_image(data, name="a")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(caught.value.__cause__) == cause
    assert peak < 8 << 20


def test_limits() -> None:
    read_image(FILE, name="a", limits=Limits(max_frames=2, max_frames_bytes=3224))
    packed = gzip.compress(FILE)
    for data, limits, message in [
        (FILE, Limits(max_frames=1), "expected at most 1 frames, got 2"),
        (FILE, Limits(max_frames_bytes=3223), "expected at most 3223 bytes of frames, got 3224"),
        (packed, Limits(max_file_bytes=3500), "expected at most 3500 bytes uncompressed, got 3576"),
        (packed, Limits(max_pixels=20), "expected at most 20 pixels, got 31 x 26"),
    ]:
        with pytest.raises(UnsupportedImageError, match=f"^a: {message}$"):
            read_image(data, name="a", limits=limits)


@given(data=st.data(), version=st.sampled_from([1, 2]), packed=st.booleans(), order=st.sampled_from("<>"))
@settings(max_examples=150)
def test_flipped_bytes_and_cuts_give_one_clear_refusal_or_valid_frames(
    data: st.DataObject, version: int, packed: bool, order: str
) -> None:
    file = bytearray(nifti(voxels((9, 8, 3), "i2"), version=version, order=order))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.one_of(st.integers(0, 260), st.integers(0, len(file) - 1)))
        file[at] = data.draw(st.integers(0, 255))
    del file[data.draw(st.one_of(st.just(len(file)), st.integers(0, len(file)))) :]
    whole = bytearray(gzip.compress(file)) if packed else file
    if packed and data.draw(st.booleans()):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    refused = ""
    try:
        image = read_image(bytes(whole), name="a")
        frames = [image.pixels] if image.frames is None else all_frames(image)
    except UnsupportedImageError as error:
        refused = str(error)
    if refused:
        assert refused.startswith("a: expected ")
        assert "\n" not in refused
        return
    for frame in frames:
        assert (frame.shape, frame.dtype) == (image.pixels.shape, image.pixels.dtype)
    written = encode_image(image, frames[0]) if image.frames is None else encode_frames(image, iter(frames))
    assert content_of(written) == content_of(bytes(whole))


def test_memory_is_content_and_output_only() -> None:
    stored = np.zeros((256, 256, 64), "i2")
    file = nifti(stored)
    tracemalloc.start()
    image = read_image(file, name="a")
    frames = image.frames
    assert frames is not None
    written = encode_frames(image, (frames[i] for i in range(64)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(written) == len(file)
    assert peak < 2.2 * len(file)  # the pieces and the whole
    assert nibabel.Nifti1Image.from_bytes(written).shape == (256, 256, 64)
