"""What a marked picture says of itself: others read it, and it comes off to the byte."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from image_samples import loop_png, noise, pillow, png_chunk, tiff
from PIL import Image as Pillow

from every_format import every_file
from medlocker.errors import InputError, RestoreError
from medlocker.formats import (
    LAYERED,
    MarkedFile,
    check_keep,
    layer_between,
    mark_file,
    metadata_digest,
    read_image,
    told_by,
    unmark_file,
    with_layers,
    without_layers,
)
from medlocker.formats._edits import Edit, pack_edits
from medlocker.formats._packet import build_packet, read_packet
from medlocker.images import content_digest
from medlocker.logo import builtin_logo
from medlocker.mark import Mark
from medlocker.provenance import SOURCE_TYPE, Provenance

LOGO = builtin_logo()
MARK = Mark(x=1, y=1, size_px=14, opacity=40000, key="ab" * 16)
TOLD = Provenance("0123456789abcdef" * 2, "1.2.3")
HAS_OWN = "no XMP of this program: the file has its own"
XMP = "http://ns.adobe.com/xap/1.0/"
FORMATS = sorted(name for name in every_file() if name.endswith((".png", ".jpg", ".tif")))


def marked(data: bytes, *, told: Provenance | None = TOLD, keep: str = "") -> MarkedFile:
    image = read_image(data, name="x")
    return mark_file(image, [MARK], logo=LOGO, provenance=told, keep=check_keep([keep] if keep else []))


def taken_off(file: MarkedFile) -> tuple[bytes, str, bytes]:
    method, residual = with_layers(file.method, file.residual, file.layers)
    assert method == LAYERED
    return without_layers(file.data, method=method, residual=residual)


def restored(file: MarkedFile) -> bytes:
    method, residual = with_layers(file.method, file.residual, file.layers)
    plain, method, residual = without_layers(file.data, method=method, residual=residual)
    return unmark_file(read_image(plain, name="x"), [MARK], logo=LOGO, residual=residual, method=method)


@pytest.mark.parametrize("name", FORMATS)
def test_it_is_around_the_very_file_that_there_was_before(name: str) -> None:
    data = every_file()[name]
    file, plain = marked(data), marked(data, told=None)
    assert taken_off(file) == (plain.data, plain.method, plain.residual)
    again = read_image(file.data, name=name)
    assert content_digest(again) == content_digest(read_image(plain.data, name=name))
    assert told_by(again) == TOLD
    assert told_by(read_image(plain.data, name=name)) is None
    back = read_image(restored(file), name=name)
    assert content_digest(back) == content_digest(read_image(data, name=name))
    assert metadata_digest(back) == file.metadata


@pytest.mark.parametrize("name", ["rgb.bmp", "byte.nii", "rgb.nii"])
def test_formats_without_a_place_stay_as_they_were(name: str) -> None:
    data = every_file()[name]
    assert marked(data).data == marked(data, told=None).data
    assert not marked(data).layers


def _variant(draw: st.DrawFn) -> bytes:
    height, width = draw(st.integers(20, 40)), draw(st.integers(20, 40))
    channels = draw(st.sampled_from([1, 3, 4]))
    pixels = noise((height, width, channels), seed=draw(st.integers(0, 99)))
    kind = draw(st.sampled_from(["png", "interlaced", "jpeg", "progressive", "tiff", "pages"]))
    if kind == "png":
        return pillow(pixels, "PNG", optimize=draw(st.booleans()))
    if kind == "interlaced":
        return loop_png(noise((height, width, 3)), depth=8, interlaced=True)
    if kind in ("jpeg", "progressive"):
        colour = pixels[..., : 1 if channels == 1 else 3]
        return pillow(colour, "JPEG", progressive=kind == "progressive", quality=draw(st.integers(30, 100)))
    order: Literal["<", ">"] = draw(st.sampled_from(("<", ">")))
    big = draw(st.booleans())
    options: dict[str, Any] = {} if draw(st.booleans()) else {"tile": (16, 16)}
    if kind == "tiff":
        return tiff(pixels, byteorder=order, bigtiff=big, **options)
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, byteorder=order, bigtiff=big) as writer:
        for page in range(draw(st.integers(2, 3))):
            writer.write(noise((height, width, 3), seed=page), photometric="rgb", metadata=None, **options)
    return stream.getvalue()


@given(st.composite(_variant)())
@settings(max_examples=60, deadline=None)
def test_every_variant_comes_off_to_the_byte(data: bytes) -> None:
    file, plain = marked(data), marked(data, told=None)
    assert len(file.layers) == 1
    assert taken_off(file) == (plain.data, plain.method, plain.residual)
    assert content_digest(read_image(file.data, name="x")) == content_digest(read_image(plain.data, name="x"))
    assert content_digest(read_image(restored(file), name="x")) == content_digest(read_image(data, name="x"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_pillow_reads_it(kind: str) -> None:
    file = marked(pillow(noise((40, 50, 3)), kind))
    with Pillow.open(io.BytesIO(file.data)) as picture:
        told = picture.getxmp()["xmpmeta"]["RDF"]["Description"]
    assert told["CreatorTool"] == "medlocker 1.2.3"
    assert told["DigitalSourceType"] == SOURCE_TYPE
    assert told["description"]["Alt"]["li"]["text"].endswith(
        f"not for diagnosis by AI; release {TOLD.release}"
    )
    assert told["relation"]["Bag"]["li"] == f"urn:medlocker:release:{TOLD.release}"
    assert told["History"]["Seq"]["li"]["softwareAgent"] == "medlocker 1.2.3"
    assert told["History"]["Seq"]["li"]["action"] == "edited"


def test_it_is_xml_with_nothing_else_in_it() -> None:
    packet = build_packet(TOLD).decode("utf-8")
    texts = [text.strip() for text in ElementTree.fromstring(packet).itertext() if text.strip()]
    assert sorted(texts) == sorted(
        ["medlocker 1.2.3"] * 2
        + [SOURCE_TYPE, TOLD.description, f"urn:medlocker:release:{TOLD.release}", "edited", "/"]
    )
    assert read_packet(build_packet(TOLD)) == TOLD


def test_tifffile_reads_all_pages_and_the_packet() -> None:
    data = every_file()["pages.tif"]
    with tifffile.TiffFile(io.BytesIO(marked(data).data)) as file:
        assert len(file.pages) == 3
        first = file.pages[0]
        assert isinstance(first, tifffile.TiffPage)
        assert first.tags[700].value == build_packet(TOLD)
        assert [tag.code for tag in first.tags] == sorted(tag.code for tag in first.tags)
    plain = tifffile.imread(io.BytesIO(marked(data, told=None).data))
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(marked(data).data)), plain)


def test_a_tiffs_entries_stay_in_order() -> None:
    data = tiff(noise((40, 50, 3)), extratags=[(33432, 2, 0, "somebody, 2026", True)])
    with tifffile.TiffFile(io.BytesIO(marked(data).data)) as file:
        first = file.pages[0]
        assert isinstance(first, tifffile.TiffPage)
        codes = [tag.code for tag in first.tags]
    assert codes == sorted(codes)
    assert codes[-2:] == [700, 33432]


def test_in_a_jpeg_jfif_and_exif_stay_in_front() -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Pillow.fromarray(noise((40, 50, 3))).save(stream, "JPEG", exif=exif, dpi=(72, 72))
    starts = [content[:14] for content in _segments(marked(stream.getvalue()).data)]
    assert [start.partition(b"\0")[0] for start in starts[:3]] == [b"JFIF", b"Exif", b"http://ns.adob"]
    assert told_by(read_image(marked(stream.getvalue()).data, name="x")) == TOLD


def _segments(data: bytes) -> list[bytes]:
    """The contents of a JPEG's segments before the first scan."""
    at, found = 2, []
    while data[at + 1] != 0xDA:
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        found.append(data[at + 4 : at + 2 + size])
        at += 2 + size
    return found


def _with_own(kind: str, packet: bytes = b"<x>own</x>") -> bytes:
    data = pillow(noise((40, 50, 3)), kind)
    if kind == "PNG":
        return data[:33] + png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet) + data[33:]
    if kind == "JPEG":
        body = XMP.encode() + b"\0" + packet
        return data[:2] + struct.pack(">BBH", 0xFF, 0xE1, len(body) + 2) + body + data[2:]
    return tiff(noise((40, 50, 3)), extratags=[(700, 1, len(packet), packet, True)])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_a_packet_of_its_own_that_passes_is_left_alone(kind: str) -> None:
    file = marked(_with_own(kind), keep="xmp")
    assert file.notes == (HAS_OWN,)
    assert not file.layers
    assert b"<x>own</x>" in file.data
    assert b"medlocker" not in file.data
    sealed = marked(_with_own(kind))
    assert b"<x>own</x>" not in sealed.data
    assert told_by(read_image(sealed.data, name="x")) == TOLD
    back = restored(sealed)
    assert b"<x>own</x>" in back
    assert metadata_digest(read_image(back, name="x")) == metadata_digest(
        read_image(_with_own(kind), name="x")
    )


@pytest.mark.parametrize("name", ["rgb.png", "rgb.jpg", "rgb.tif", "pages.tif", "ct.dcm", "big.dcm"])
def test_marked_twice_and_restored_twice(name: str) -> None:
    first = marked(every_file()[name])
    other = replace(TOLD, release="f" * 32)
    second = marked(first.data, told=other)
    assert told_by(read_image(second.data, name="x")) == other
    once = read_image(restored(second), name="x")
    assert told_by(once) == TOLD
    assert metadata_digest(once) == metadata_digest(read_image(first.data, name="x"))
    assert content_digest(once) == content_digest(read_image(first.data, name="x"))
    if name.endswith((".jpg", ".dcm")):  # the very bytes: what else was sealed comes off too
        assert once.source == first.data
        back = read_image(restored(replace(first, data=once.source)), name="x")
        assert content_digest(back) == content_digest(read_image(every_file()[name], name="x"))


def test_two_packets_and_huge_and_foreign_ones() -> None:
    packet = build_packet(TOLD)
    chunk = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)
    data = pillow(noise((40, 50, 3)), "PNG")
    twice = data[:33] + chunk + chunk + data[33:]
    assert told_by(read_image(twice, name="x")) == TOLD
    assert len(marked(twice).layers) == 1  # both are sealed
    assert read_packet(packet + b" ") is None
    assert read_packet(packet.replace(b"1.2.3", b"1.2.4", 1)) is None
    assert read_packet(packet * 100) is None
    assert read_packet(packet[:-1]) is None
    assert read_packet(b"") is None


@pytest.mark.parametrize("name", ["grey.png", "422.jpg", "big16.tif"])
def test_layers_of_another_file_are_refused(name: str) -> None:
    file = marked(every_file()[name])
    method, residual = with_layers(file.method, file.residual, file.layers)
    for damaged in (
        b"",
        residual[:1],
        residual[:20],
        b"\xff" + residual[1:],
        residual[:1] + b"\0" + residual[2:],
    ):
        with pytest.raises(RestoreError, match="does not belong to it"):
            without_layers(file.data, method=method, residual=damaged)
    with pytest.raises(RestoreError, match="does not belong to it"):
        without_layers(file.data[:10], method=method, residual=residual)


@given(st.binary(max_size=80), st.binary(max_size=80))
@settings(deadline=None)
def test_hostile_layers_end_in_one_error(data: bytes, residual: bytes) -> None:
    try:
        plain, method, _ = without_layers(data, method=LAYERED, residual=residual)
    except RestoreError:
        return
    assert method != LAYERED
    assert len(plain) <= len(data) + len(residual)


def test_layers_in_layers_and_too_many_are_refused() -> None:
    layer = pack_edits([Edit(0, 1, b"")])
    method, residual = with_layers("pixels-v1", b"r", [layer] * 4)
    assert without_layers(b"abcdefg", method=method, residual=residual) == (b"efg", "pixels-v1", b"r")
    nested, many = with_layers(method, residual, [layer]), with_layers("pixels-v1", b"", [layer] * 5)
    for _, wrong in (nested, many):
        with pytest.raises(RestoreError):
            without_layers(b"abcdefg", method=LAYERED, residual=wrong)


@given(st.binary(min_size=16, max_size=60), st.binary(max_size=30), st.data())
@settings(deadline=None)
def test_a_layer_takes_off_what_was_put_in(plain: bytes, added: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(plain)))
    start = data.draw(st.binary(min_size=16, max_size=16))
    for told in (plain[:at] + added + plain[at:], start + plain[16:] + added):
        layer = layer_between(plain, told)
        assert layer is not None
        method, residual = with_layers("m", b"", [layer])
        assert without_layers(told, method=method, residual=residual) == (plain, "m", b"")
    assert layer_between(plain + b"ab", b"a" + plain) is None


@pytest.mark.parametrize(("release", "version"), [("x", "1"), ("A" * 32, "1"), ("a" * 32, "1 <b>")])
def test_only_ids_and_versions_are_told(release: str, version: str) -> None:
    with pytest.raises(InputError):
        Provenance(release, version)
