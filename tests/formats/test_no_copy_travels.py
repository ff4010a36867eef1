"""A copy of the unmarked picture, wherever it lies in a file, is in no marked file, and comes back."""

from __future__ import annotations

import base64
import io
import re
import struct
import zlib
from collections.abc import Iterator

import pytest
from hiding_places import PICTURE, PLACES
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from medlocker.errors import InputError, RestoreError
from medlocker.formats import check_keep, mark_file, metadata_digest, read_image, unmark_file
from medlocker.images import content_digest
from medlocker.logo import builtin_logo
from medlocker.mark import Mark
from medlocker.veil import AnyMark
from veils import make_veil

LOGO = builtin_logo()
COPY = PICTURE[::2, ::-2]  # mirrored: the picture itself has no run of its bytes
NOT_WRITTEN = {
    "png: behind the end", "tiff: unreferenced", "tiff: Photoshop", "tiff: Photoshop's layers",
}  # fmt: skip
"""What restoring leaves out unless the original is kept."""

SHORT = {"dicom: preamble": 128, "dicom: padding of the pixels": 60}
"""Places that have room for so many bytes."""


def _encoded(kind: str) -> bytes:
    stream = io.BytesIO()
    Pillow.fromarray(COPY).save(stream, kind)
    return stream.getvalue()


FORMS = {
    "raw": COPY.tobytes(),
    "png": _encoded("PNG"),
    "jpeg": _encoded("JPEG"),
    "base64": base64.b64encode(COPY.tobytes()),
    "zlib": zlib.compress(COPY.tobytes()),
}


def _layers(data: bytes, depth: int = 0) -> Iterator[bytes]:
    """Yield a file, every second byte of it, and all that can be unpacked from it."""
    yield data
    if not depth:
        yield from (data[::2], data[1::2])
    if depth == 2:
        return
    for found in re.finditer(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08", data):
        try:
            inside = zlib.decompressobj(47).decompress(data[found.start() :], 1 << 20)
        except zlib.error:
            continue
        if len(inside) > 64:
            yield from _layers(inside, depth + 1)
    for found in re.finditer(rb"[A-Za-z0-9+/]{64,}", data):
        yield base64.b64decode(found[0][: len(found[0]) // 4 * 4])


def _holds(data: bytes, secret: bytes, *, at: int = 40) -> bool:
    probes = {secret[start : start + 24] for start in (at, len(secret) // 2, len(secret) - 25)}
    probes.add(COPY[30].tobytes()[:24])
    return any(probe in layer for layer in _layers(data) for probe in probes)


def _both(data: bytes, marks: list[AnyMark], keep: frozenset[str] = frozenset()) -> tuple[bytes, bytes]:
    """Return the marked file and what restoring writes."""
    image = read_image(data, name="a")
    marked = mark_file(image, marks, logo=LOGO, keep=keep)
    again = read_image(marked.data, name="m")
    restored = unmark_file(again, marks, logo=LOGO, residual=marked.residual, method=marked.method)
    back = read_image(restored, name="r")
    assert content_digest(back) == content_digest(image)
    assert metadata_digest(back) == (marked.metadata or metadata_digest(again)) == metadata_digest(image)
    return marked.data, restored


@pytest.mark.parametrize("place", PLACES)
def test_no_copy_is_in_the_marked_file_and_it_comes_back(place: str) -> None:
    for form, secret in FORMS.items():
        probe = secret[: SHORT.get(place)]
        data = PLACES[place](probe)
        assert _holds(data, probe), form  # the finder sees it
        marks: list[AnyMark] = [Mark(3, 2, 40, 40000)]
        if place.startswith("jpeg"):
            assert not _holds(_both(data, [make_veil()])[0], probe), form
        marked, restored = _both(data, marks)
        assert not _holds(marked, probe), form
        if place.startswith(("dicom", "bmp")):
            assert restored == data
        elif form != "jpeg" and place not in NOT_WRITTEN and "preview" not in place:
            assert _holds(restored, probe), form


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("png: private chunk", "private"), ("png: text", "text"), ("png: XMP", "xmp"),
        ("png: bytes behind a profile", "profiles"), ("png: EXIF maker's note", "exif"),
        ("jpeg: APP13", "private"), ("jpeg: XMP", "xmp"), ("jpeg: comment", "text"),
        ("jpeg: EXIF maker's note", "exif"), ("jpeg: private tag of a profile", "profiles"),
        ("tiff: private tag of every page", "private"), ("tiff: description", "text"), ("tiff: XMP", "xmp"),
        ("tiff: EXIF maker's note", "exif"), ("tiff: private tag of a profile", "profiles"),
        ("bmp: gap before the pixels", "trailing"), ("nifti: extension of a volume", "private"),
        ("nifti: packed behind the voxels", "trailing"),
        ("dicom: private element in a sequence", "private"),
        ("dicom: overlay", "overlays"), ("dicom: unused bits", "overlays"),
        ("dicom: curve", "waveforms"), ("dicom: waveform", "waveforms"), ("dicom: long text", "text"),
        ("dicom: profile", "profiles"), ("dicom: behind the data set", "trailing"),
        ("dicom: trailing padding", "trailing"), ("dicom: preamble", "trailing"),
    ],
)  # fmt: skip
def test_what_is_asked_for_passes_and_nothing_else(place: str, name: str) -> None:
    secret = FORMS["raw"][: SHORT.get(place)]
    data = PLACES[place](secret)
    marks: list[AnyMark] = [Mark(3, 2, 40, 40000)]
    assert _holds(_both(data, marks, frozenset((name,)))[0], secret)
    assert not _holds(_both(data, marks, check_keep(["all"]) - {name})[0], secret)


@pytest.mark.parametrize("marker", [0xDC, 0xDB])
def test_a_jpeg_with_a_copy_between_its_tables_is_refused(marker: int) -> None:
    tables = b"".join(
        b"\3" + bytes(max(v, 1) for v in FORMS["raw"][at : at + 64]) for at in range(0, 3000, 64)
    )
    plain = PLACES["jpeg: comment"](b"")
    data = plain[:20] + struct.pack(">BBH", 0xFF, marker, len(tables) + 2) + tables + plain[20:]
    with pytest.raises(InputError, match=r"^image: expected a JPEG of four quantisation tables"):
        mark_file(read_image(data, name="a"), [Mark(3, 2, 40, 40000)], logo=LOGO)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_residuals_give_our_error_or_a_file(data: st.DataObject) -> None:
    places = ["png: text", "tiff: EXIF maker's note", "tiff: private tag of every page",
              "bmp: gap before the pixels", "nifti: extension of a volume", "dicom: unused bits"]  # fmt: skip
    marks: list[AnyMark] = [Mark(3, 2, 40, 40000)]
    image = read_image(PLACES[data.draw(st.sampled_from(places))](FORMS["raw"]), name="a")
    marked = mark_file(image, marks, logo=LOGO)
    assert marked.method == "sealed-v1"
    name, size = struct.unpack_from("<BI", marked.residual)
    held = bytearray(zlib.decompress(marked.residual[5 + name : 5 + name + size]))
    for _ in range(data.draw(st.integers(1, 3))):
        held[data.draw(st.integers(0, min(len(held), 80) - 1))] ^= data.draw(st.integers(1, 255))
    packed = zlib.compress(held[: data.draw(st.sampled_from([None, -1, 20, 0]))])
    start = marked.residual[5 : 5 + name]
    broken = struct.pack("<BI", name, len(packed)) + start + packed + marked.residual[5 + name + size :]
    broken = broken[: data.draw(st.sampled_from([None, None, None, 3, 40]))]
    again = read_image(marked.data, name="m")
    try:
        read_image(unmark_file(again, marks, logo=LOGO, residual=broken, method="sealed-v1"), name="r")
    except (RestoreError, InputError):
        return


def test_known_pictures_pass_in_no_case() -> None:
    for place in ("png: editor's preview", "jpeg: JFXX", "jpeg: further pictures (MPF)", "dicom: icon",
                  "dicom: icon in a sequence", "tiff: Photoshop", "tiff: Photoshop's layers"):  # fmt: skip
        secret = FORMS["raw"]
        marked, _ = _both(PLACES[place](secret), [Mark(3, 2, 40, 40000)], check_keep(["all"]))
        assert not _holds(marked, secret), place


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"^expected metadata to keep of private, text, .* or all, got 'icons'$"
    ):
        check_keep(["xmp", "icons"])
