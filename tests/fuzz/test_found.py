"""What fuzzing found and no nasty file of test_nasty shows: each was a crash, a hang, or a traceback."""

from __future__ import annotations

import os
import socket
import struct
import time
import tracemalloc
import zlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nasty_parts import field, onnx_model
from pydicom import uid

from dicom_samples import Sample, write
from medlocker.certificates import Ledger, Owner
from medlocker.certificates._dsse import sign_statement
from medlocker.certificates._statement import PREDICATE_TYPE, read_statement
from medlocker.cli._console import print_json
from medlocker.errors import InputError, MalformedError, MedlockerError, ModelError, UnsupportedImageError
from medlocker.files import read_limited
from medlocker.formats import mark_file, read_image
from medlocker.formats._ifd import Entry, weight
from medlocker.formats.dicom import Layout, encode_frame, series_key
from medlocker.formats.dicom._codecs import decode_frame
from medlocker.formats.dicom._palette import check_segments
from medlocker.logo import Hardening, Logo, builtin_logo, render, rendered_size
from medlocker.mark import Mark
from medlocker.marking import render_layer
from medlocker.modelfiles.onnxfile import open_onnx
from medlocker.regions import load_regions
from patience import HANGS_S
from pictures import make_image
from runs import fill, medlocker, picture, tiny_model

_FEW = ("--budget", "3", "--preset", "paper", "--no-ledger")


def test_room_is_made_for_the_file_and_not_for_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "small"
    path.write_bytes(b"abc")
    tracemalloc.start()
    try:
        assert read_limited(path, max_bytes=1 << 30, what="x") == b"abc"
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_file_that_tells_no_size_is_read_and_limited() -> None:
    path = Path("/proc/self/status")  # regular, of 0 bytes
    assert read_limited(path, max_bytes=1 << 20, what="x").startswith(b"Name:")
    with pytest.raises(InputError, match=r"^x status: expected at most 10 bytes\Z"):
        read_limited(path, max_bytes=10, what="x")


def test_a_damaged_ledger_is_refused_at_once(
    tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.ledger.sqlite"
    with Ledger(path, owner.signing) as ledger:
        ledger.record("00" * 32, release="11" * 16, marked="22" * 32)
    sound = path.read_bytes()
    monkeypatch.setattr("medlocker.certificates._ledger._BUSY_S", HANGS_S)
    started = time.monotonic()
    for at in (18, 28, 47, 56, 100):  # versions, sizes, the form of its texts, the first page's header
        path.write_bytes(sound[:at] + b"\xff" + sound[at + 1 :])
        for leftover in tmp_path.glob("*-*"):
            leftover.unlink()
        with suppress(MedlockerError), Ledger(path, owner.signing) as ledger:
            len(ledger)
    assert time.monotonic() - started < HANGS_S  # it waited for nobody


def test_names_of_bytes_in_a_ledger_are_refused(tmp_path: Path, owner: Owner) -> None:
    path = tmp_path / "x.ledger.sqlite"
    Ledger(path, owner.signing).close()
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE marking", b"CREATE \xffABLE marking"))
    with pytest.raises(InputError, match=r"^ledger x\.ledger\.sqlite: expected a medlocker ledger$"):
        Ledger(path, owner.signing)


def test_a_signed_predicate_that_is_no_object_is_refused(owner: Owner) -> None:
    data = sign_statement(PREDICATE_TYPE, 7, subjects={}, key=owner.signing)  # type: ignore[arg-type]
    with pytest.raises(MalformedError, match="expected a JSON object"):
        read_statement(data, owner=owner.signing.public)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_json_that_cannot_be_printed_is_an_error_of_ours(
    value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        InputError, match=r"^expected finite numbers and less nesting, got what JSON cannot hold\Z"
    ):
        print_json({"facts": value})
    assert capsys.readouterr().out == ""


def test_a_model_that_fails_to_load_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(onnx_model([field(1, b"\xff\xfe") + field(2, "answer") + field(4, "Flatten")]))
    with pytest.raises(ModelError, match="ONNX Runtime cannot open it"):
        open_onnx(path, stated_sha256=None, card="x.card.json", threads=1, gpu=False)
    assert capfd.readouterr().out == ""


# ----------------------------------------------------------------------------------------------------- DICOM

_GREY = Sample(np.zeros((1, 16, 16, 1), np.uint8))


def test_a_header_that_is_no_place_for_changes_fails_one_image() -> None:
    data = write(_GREY)
    # the length of the meta information has no value, so that the next element lies where it would be
    at, following = data.index(b"\2\0\0\0UL"), data.index(b"\2\0\3\0UI")
    twisted = data[: at + 6] + b"\0\0" + data[following:]
    image = read_image(twisted, name="x")
    with pytest.raises(
        UnsupportedImageError, match=r"^image: expected a whole DICOM image, got a damaged or cut one\Z"
    ):
        mark_file(image, [Mark(1, 1, 8, 40000)], logo=builtin_logo())


def test_noise_that_is_longer_than_the_encoder_thinks_is_written() -> None:
    for seed in range(20):
        layout = Layout(9 + seed % 4, 9, 1, "MONOCHROME2", False, 8, 4, 6, False, 1, False)
        samples = np.random.default_rng(seed).integers(0, 16, (layout.height, layout.width, 1))
        words = (samples << layout.shift).astype(np.uint8)
        data = encode_frame(words, uid.JPEGLSLossless, layout)
        np.testing.assert_array_equal(decode_frame(data, uid.JPEGLSLossless, layout), words)


def _deflated_bomb(path: Path) -> Path:
    sample = replace(_GREY, syntax=uid.DeflatedExplicitVRLittleEndian)
    data = write(sample)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = data.index(b"\x02\0\x10\0UI")
    (length,) = struct.unpack_from("<H", data, start + 6)
    end = start + 8 + length
    while data[end : end + 2] == b"\2\0":
        (length,) = struct.unpack_from("<H", data, end + 6)
        end += 8 + length
    body = zlib.decompressobj(-15).decompress(data[end:])
    packed = packer.compress(body) + packer.compress(bytes(100 << 20)) + packer.flush()
    path.write_bytes(data[:end] + packed)
    return path


def test_a_deflated_bomb_is_not_inflated_for_its_header(tmp_path: Path) -> None:
    path = _deflated_bomb(tmp_path / "x.dcm")
    tracemalloc.start()
    try:
        assert series_key(path) is None
        assert tracemalloc.get_traced_memory()[1] < 50 << 20
    finally:
        tracemalloc.stop()


def _words(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}H", *numbers)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((0, 1, 5, 1, 65535, 5, 1, 2, 5), "expected a palette of at most 65536 colours"),
        ((0, 1, 5, 2, 9, 0, 0, 1, 65535, 9), "expected discrete and linear segments"),
        ((0, 1, 5, 2, 1), "expected whole segments"),
        ((7, 1, 5), "expected discrete and linear segments"),
    ],
)
def test_segments_that_stand_for_too_much_are_refused(words: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        check_segments(_words(*words), bits=16, order="<")


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_segments_of_a_palette_are_let_through(bits: int, order: Any) -> None:
    place = (2, 2, 0, 0) if bits == 16 else (2, 2, *((0,) * 4))
    numbers = (0, 2, 1, 9, 1, 120, 40, *place, 1, 132, 7)
    data = struct.pack(f"{order}{len(numbers)}{'H' if bits == 16 else 'B'}", *numbers)
    check_segments(data, bits=bits, order=order)


def test_the_weight_of_entries_counts_what_is_below_them() -> None:
    short, long = Entry(1, 3, 1, b"\0\0"), Entry(2, 2, 100, bytes(100))
    assert weight((short,)) == 12
    assert weight((short, long)) == 12 + 108
    assert weight((Entry(34665, 4, 1, b"", (short, long)),)) == 12 + 12 + 108


def test_a_mark_too_large_is_refused_before_it_is_rendered() -> None:
    image, logo = make_image(height=40, width=50), builtin_logo()
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"^expected a mark inside 50 x 40 pixels, got \d{4} x \d{4} at"):
            render_layer(Mark(1, 1, 3000, 40000, rotation=8000), logo=logo, image=image)
        # rendered, it would be 3,000 pixels wide at four bytes each, and a few copies of that
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@given(
    sides=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    size_px=st.integers(1, 60),
    rotation=st.one_of(st.sampled_from([0, 16384, 32768, 49152]), st.integers(0, 65535)),
    warp_256=st.sampled_from([0, 900]),
)
def test_the_size_is_known_before_rendering(
    sides: tuple[int, int], size_px: int, rotation: int, warp_256: int
) -> None:
    logo = Logo(np.full((*sides, 4), 255, np.uint8))
    raster = render(logo, size_px, rotation=rotation, hardening=Hardening(b"key", warp_256=warp_256))
    width, height = rendered_size(logo, size_px, rotation=rotation)
    assert raster.coverage.shape == (height, width)


# ----------------------------------------------------------------------------------------------------- names


def test_names_that_the_system_refuses_are_told_in_one_sentence(tmp_path: Path, owner_name: Path) -> None:
    for command in (["inspect"], ["status"], ["verify", "--owner", f"{owner_name}.sign.pub"]):
        answer = medlocker(*command, "a" * 5000, cwd=tmp_path)
        assert answer.code == 2
        assert len(answer.err.splitlines()) == 1
        assert answer.err.startswith("error: ")
        assert answer.err.endswith("file name too long\n")


def test_pipes_and_sockets_in_a_folder_are_waited_for_by_nobody(tmp_path: Path, owner_name: Path) -> None:
    source = fill(tmp_path / "in", 1)
    for name in ("pipe", "pipe.png", "pipe.dcm", "1.2.3"):
        os.mkfifo(source / name)
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(source)  # the path of a socket may not be long
        try:
            listener.bind("socket.png")
        finally:
            os.chdir(here)
        model = tiny_model(tmp_path)
        answer = medlocker(
            "protect",
            source,
            "--model",
            model,
            "--owner",
            owner_name,
            "--out",
            tmp_path / "out",
            *_FEW,
            "--json",
        )
    assert answer.code == 1
    assert answer.json["marked"] == 1
    told = sorted(line for line in answer.err.splitlines() if line.startswith("failed: "))
    assert told == [
        "failed: image pipe.dcm: expected a regular file",
        "failed: image pipe.png: expected a regular file",
        "failed: image socket.png: no such device or address",
    ]


def test_a_pipe_among_segmentations_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.dcm")
    (tmp_path / "mask.png").write_bytes(picture())
    assert load_regions(tmp_path).source.names == ("mask.png",)


def test_hostile_names_become_files_in_the_release_or_are_refused(tmp_path: Path, owner_name: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    good = [b"Case.png", b"case.png", b"-rf.png", b"a" * 251 + b".png", "\u202egnp.png".encode(), b" .png"]
    bad = [b"new\nline.png", b"\x1b[31m.png", b"\xff\xfe.png", b"back\\slash.png", b"\x7f.png"]
    for name in (*good, *bad):
        Path(os.fsdecode(os.fsencode(source) + b"/" + name)).write_bytes(picture())
    (source / "out.png").symlink_to("/etc/passwd")
    (source / "device.png").symlink_to("/dev/zero")
    (source / "circle.png").symlink_to("circle.png")
    (source / "in.png").symlink_to("Case.png")
    (source / "up").symlink_to("..")
    out = tmp_path / "out"
    before = set(tmp_path.rglob("*"))
    model = tiny_model(tmp_path)
    answer = medlocker("protect", source, "--model", model, "--owner", owner_name, "--out", out, *_FEW)
    assert answer.code == 1
    assert {os.fsencode(path.name) for path in (out / "images").iterdir()} == {*good, b"in.png"}
    assert sum(line.startswith("failed: ") for line in answer.err.splitlines()) == len(bad) + 1
    assert all(line.isprintable() for line in answer.err.splitlines())
    others = {path for path in set(tmp_path.rglob("*")) - before if not path.is_relative_to(out)}
    assert others == {model}
