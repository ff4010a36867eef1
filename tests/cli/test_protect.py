"""`medlocker protect` as a user meets it: real processes, bad inputs, one clear sentence each."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import onnx
import pytest
from PIL import Image as Pillow

from medlocker.certificates import Owner
from medlocker.formats import read_image
from onnx_models import make_onnx, weights_for
from runs import Answer, Shell, check_release, fill, images_of, medlocker, picture, tiny_model


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two images in `in`, and models and logos good and bad, shared by all tests here."""
    folder = tmp_path_factory.mktemp("place")
    fill(folder / "in", 2)
    tiny_model(folder)
    make_onnx(folder / "nan.onnx", poison=True)
    make_onnx(folder / "five.onnx", weights=weights_for(channels=5))
    (folder / "garbage.onnx").write_bytes(b"garbage")
    (folder / "empty").mkdir()
    (folder / "text.png").write_text("no picture")
    Pillow.new("RGBA", (9, 9), (1, 2, 3, 0)).save(folder / "clear.png")
    (folder / "unknown.csv").write_text("image,grade\n00.png,melanoma\n")
    (folder / "bad.csv").write_text("image\n00.png\n")
    (folder / "boxes.csv").write_text("image,region,x,y\n00.png,a,1,2\n")
    (folder / "masks").mkdir()
    Pillow.new("L", (10, 10)).save(folder / "masks" / "00.png")
    Pillow.new("L", (48, 48)).save(folder / "masks" / "01.png")
    return folder


@dataclass(frozen=True)
class Protect:
    """`medlocker protect in --model tiny.onnx ...`, into `out`, with other options last."""

    shell: Shell
    place: Path
    owner_name: Path
    out: Path

    def __call__(self, *more: object, source: str = "in", model: str = "tiny.onnx") -> Answer:
        arguments: list[object] = ["protect", source, "--preset", "strong", "--model", model]
        arguments += ["--owner", self.owner_name]
        arguments += ["--no-ledger", "--budget", 6, "--seed", 1, "--out", self.out]
        return self.shell(*arguments, *more, cwd=self.place)


@pytest.fixture
def protect(
    place: Path,
    owner_name: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Protect:
    return Protect(Shell(capfd, monkeypatch), place, owner_name, tmp_path / "out")


def sentence(answer: Answer) -> str:
    """The one error on stderr."""
    lines = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, answer.err
    return lines[0].removeprefix("error: ")


SQUEEZENET = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_squeezenet.onnx"


WRONG: dict[str, tuple[list[object], str]] = {
    "no input": (["source", "gone"], "input gone: no such file or folder"),
    "empty folder": (
        ["source", "empty"],
        "input empty: expected images (.bmp, .dcm, .dicom, .ima, .jfif, .jpe, .jpeg, .jpg, "
        ".nii, .nii.gz, .png, .tif, .tiff), found none",
    ),
    "no keys": (["--owner", "nobody"], "owner nobody: expected the file nobody.sign.key"),
    "no model": (["model", "gone.onnx"], "model gone.onnx: no such file"),
    "garbage": (["model", "garbage.onnx"], "model garbage.onnx: ONNX Runtime cannot open it"),
    "nan": (["model", "nan.onnx"], "model nan: it answers NaN or infinity on a test picture"),
    "wrong input": (
        ["model", "five.onnx"],
        "model five.onnx: expected an input with 1, 3 or 4 channels, got ['N', 8, 8, 5]",
    ),
    "no gradients": (
        ["--search", "gradient", "--model", SQUEEZENET],  # torch cannot rebuild it
        "the search gradient needs gradients, which light_squeezenet does not offer",
    ),
    "opacity": (
        ["--opacity", 0.9, 0.1],
        "expected opacities above 0, at most 1, the lower first, got 0.9 0.1",
    ),
    "opacity 0": (
        ["--opacity", 0, 1.5],
        "expected opacities above 0, at most 1, the lower first, got 0 1.5",
    ),
    "size": (["--size", 1.5], "expected a size above 0 and at most 1, got 1.5"),
    "size nan": (["--size", "nan"], "expected a size above 0 and at most 1, got nan"),
    "budget": (["--budget", 0], "expected a budget of 1 to 1000000 evaluations, got 0"),
    "seed": (["--seed", -1], "expected a seed of 0 to 2**64 - 1, got -1"),
    "no logo": (["--logo", "gone.png"], "logo gone.png: no such file or directory"),
    "logo text": (
        ["--logo", "text.png"],
        "logo text.png: expected a picture, got a file that cannot be decoded",
    ),
    "logo folder": (["--logo", "empty"], "logo empty: expected a picture, or a folder with learned.json"),
    "logo clear": (
        ["--logo", "clear.png"],
        "logo clear.png: expected something visible, got a fully transparent picture",
    ),
    "no labels": (["--labels", "gone.csv"], "labels gone.csv: no such file or directory"),
    "labels of one column": (
        ["--labels", "bad.csv"],
        "labels bad.csv: expected a header with at least two columns, got 1",
    ),
    "unknown class": (
        ["--labels", "unknown.csv"],
        "labels unknown.csv, line 2: expected a class of the model, got 'melanoma'",
    ),
    "against": (
        ["--robust-to", "jpeg,sharpen"],
        "expected an attack of jpeg, blur, resize, crop, flip, denoise, inpaint, got 'sharpen'",
    ),
    "no regions": (["--regions", "gone.csv"], "regions gone.csv: expected a file or folder that exists"),
    "regions of four columns": (["--regions", "boxes.csv"], "regions boxes.csv"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_usage_is_one_sentence(protect: Protect, case: str) -> None:
    more, message = WRONG[case]
    if str(more[0]).startswith("--"):
        answer = protect(*more, "--json")
    else:
        answer = protect("--json", **{str(more[0]): str(more[1])})
    assert answer.code == 2
    assert sentence(answer).startswith(message)
    assert answer.json["error"] == sentence(answer)
    assert not protect.out.exists() or not images_of(protect.out)


def test_a_process_of_its_own_says_the_same(place: Path, owner_name: Path, tmp_path: Path) -> None:
    arguments = ["--model", "nan.onnx", "--owner", owner_name, "--out", tmp_path / "out"]
    answer = medlocker("protect", "in", *arguments, "--json", cwd=place)
    message = "model nan: it answers NaN or infinity on a test picture"
    assert (answer.code, answer.json) == (2, {"error": message, "code": "model"})
    assert answer.err == f"error: {message}\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--opacity", "high", 1], "Invalid value for '--opacity'"),
        (["--search", "magic"], "expected a search of auto, random"),
        (["--workers", 0], "Invalid value for '--workers'"),
        (["--nonsense"], "No such option"),
    ],
)
def test_options_that_do_not_parse(protect: Protect, more: list[object], message: str) -> None:
    answer = protect(*more)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err
    assert not protect.out.exists()


def test_attacks_in_the_loop_are_counted_on_the_written_files(protect: Protect) -> None:
    more = ["--robust-to", "jpeg, inpaint,flip", "--opacity", 0.9, 1, "--size", 0.6]
    answer = protect(*more, "--budget", 200, "--json")
    assert answer.code == 0
    counts = answer.json["against"]
    assert set(counts) <= {"jpeg", "inpaint", "flip"}
    assert counts.get("jpeg", 0) > 0
    assert counts.get("inpaint", 0) <= answer.json["marked"] == 2
    # 2 files: the originals, and what a search of three more looks costs at least
    assert answer.json["evaluations"] >= 2 * (1 + 4 + 4)


def test_a_logo_without_alpha_and_an_unknown_label(protect: Protect, tmp_path: Path) -> None:
    Pillow.new("RGB", (9, 9), (200, 0, 0)).save(tmp_path / "logo.jpg")
    (tmp_path / "l.csv").write_text("image,grade\n00.png,1\nother.png,2\n")
    answer = protect("--logo", tmp_path / "logo.jpg", "--labels", tmp_path / "l.csv", "--json")
    assert (answer.code, answer.json["marked"], answer.json["labelled"]) == (0, 2, 1)
    assert "warning: logo logo.jpg has no alpha channel: it covers its whole rectangle\n" in answer.err
    assert "warning: no label for 01.png: the model's own answer is taken\n" in answer.err
    assert "warning: the labels name other.png, which the input does not have\n" in answer.err


def test_a_logo_as_large_as_the_image(protect: Protect, tmp_path: Path) -> None:
    Pillow.new("RGBA", (300, 100), (200, 0, 0, 255)).save(tmp_path / "logo.png")
    answer = protect("--logo", tmp_path / "logo.png", "--size", 1, "--json")
    assert (answer.code, answer.json["marked"]) == (0, 2)


def test_a_mask_of_another_size_fails_its_image_alone(protect: Protect) -> None:
    answer = protect("--regions", "masks", "--json")
    assert (answer.code, answer.json["marked"]) == (1, 1)
    (failed,) = answer.json["failed"]
    assert failed["image"] == "00.png"
    assert "10 x 10" in failed["reason"]


# ----------------------------------------------------------------------------------- many bad images at once


def _bytes(image: Pillow.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _huge() -> bytes:
    data = bytearray(picture())
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


def _animated(kind: str, *, last: int = 48) -> bytes:
    frames = [Pillow.new("RGB", (side, 48), (k, 0, 0)) for k, side in ((0, 48), (90, 48), (200, last))]
    return _bytes(frames[0], kind, save_all=True, append_images=frames[1:])


def _volume() -> bytes:
    stored = np.stack([np.asarray(GREY).T.astype(np.int16) * k - 300 for k in (1, 2, 3)], axis=2)
    return bytes(nibabel.Nifti1Image(stored, np.eye(4), dtype="i2").to_bytes())  # type: ignore[no-untyped-call]


GREY = Pillow.fromarray(np.arange(48 * 48, dtype=np.uint32).reshape(48, 48).astype(np.uint8))

BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "animated.png": (lambda: _animated("PNG"), "expected a single picture, got an animated PNG"),
    "cmyk.jpg": (lambda: picture("JPEG", mode="CMYK"), "expected a grey or colour JPEG, got 4 components"),
    "cmyk.tif": (lambda: picture("TIFF", mode="CMYK"), "expected grey, RGB o"),
    "cut.jpg": (lambda: picture("JPEG")[:-400], "expected a whole JPEG image, got a"),
    "cut.png": (lambda: picture()[:-400], "expected a whole PNG image, got a"),
    "cut.tif": (lambda: picture("TIFF")[:-400], "expected a whole TIFF image, got a"),
    "float.tif": (lambda: _bytes(GREY.convert("F"), "TIFF"), "float"),
    "gif.png": (lambda: _animated("GIF"), "expected a PNG, TIFF, BMP, JPEG, DICOM or NIfTI image, got a GIF"),
    "header.png": (lambda: picture()[:20], "expected a whole PNG image, got a"),
    "huge.png": (_huge, "expected at most 100000000 pixels, got 60000 x 60000"),
    "pages.tif": (
        lambda: _animated("TIFF", last=20),
        "expected pages of one size and kind, got 48 x 48 rgb of 8 bits on page 1 and "
        "20 x 48 rgb of 8 bits on page 3",
    ),
    "text.png": (
        lambda: b"not a picture",
        "expected a PNG, TIFF, BMP, JPEG, DICOM or NIfTI image, got something else",
    ),
    "zero.png": (lambda: b"", "expected a PNG, TIFF, BMP, JPEG, DICOM or NIfTI image, got an empty file"),
}
GOOD: dict[str, Callable[[], bytes]] = {
    "good.png": picture,
    "grey.png": lambda: _bytes(GREY, "PNG"),
    "palette.png": lambda: picture(mode="P"),
    "alpha.png": lambda: picture(mode="RGBA"),
    "sixteen.png": lambda: _bytes(Pillow.fromarray(np.asarray(GREY).astype(np.uint16) * 257), "PNG"),
    "mislabelled.tif": picture,
    "pages-alike.tif": lambda: _animated("TIFF"),
    "volume.nii": lambda: _volume(),
    "packed.v2.nii.gz": lambda: gzip.compress(_volume()),
    "grün ☂.png": picture,
}


def test_bad_images_fail_alone(place: Path, owner: Owner, owner_name: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for name, (make, _) in BAD.items():
        (source / name).write_bytes(make())
    for name, make in GOOD.items():
        (source / name).write_bytes(make())
    (source / "dangling.png").symlink_to("nowhere.png")
    (source / "pipe.png").symlink_to("pipe")
    os.mkfifo(source / "pipe")
    (source / "line\nbreak.png").write_bytes(picture())
    undecodable = os.fsencode(source) + b"/\xff\xfe.png"
    with open(undecodable, "wb") as stream:
        stream.write(picture())
    answer = medlocker(
        *(
            "protect",
            source,
            "--model",
            place / "tiny.onnx",
            "--owner",
            owner_name,
            "--out",
            tmp_path / "out",
        ),
        *("--no-ledger", "--budget", 6, "--seed", 1, "--json"),
    )
    assert answer.code == 1
    value = answer.json
    assert value["marked"] == len(GOOD)
    reasons = {failed["image"]: failed["reason"] for failed in value["failed"]}
    for name, (_, message) in BAD.items():
        assert message in reasons.pop(name), name
    assert reasons.pop("dangling.png") == "image dangling.png: no such file or directory"
    assert reasons.pop("pipe.png") == "image pipe.png: expected a regular file"
    assert reasons == {
        "line\nbreak.png": r"image: expected a plain relative name, got 'line\nbreak.png'",
        "\udcff\udcfe.png": r"image: expected a name of printable Unicode, got '\udcff\udcfe.png'",
    }
    check_release_of(source, tmp_path / "out", owner, tmp_path / "r")
    # what people read is one printable line for each
    said = [line for line in answer.err.splitlines() if line.startswith("failed: ")]
    assert len(said) == len(value["failed"])
    assert all(line.isprintable() for line in said)


def check_release_of(source: Path, out: Path, owner: Owner, restored: Path) -> None:
    sidecars = [name.partition(".nii")[0] + ".json" for name in GOOD if ".nii" in name]
    assert sorted(check_release(source, out, owner, restored)) == sorted([*GOOD, *sidecars])


def test_results_for_people(place: Path, owner_name: Path, tmp_path: Path) -> None:
    source = fill(tmp_path / "in", 2)
    (source / "x\x1b[31m.png").write_bytes(b"bad")
    (source / "y.png").write_bytes(picture(size=12))
    answer = medlocker(
        *(
            "protect",
            source,
            "--model",
            place / "tiny.onnx",
            "--owner",
            owner_name,
            "--out",
            tmp_path / "out",
        ),
        *("--no-ledger", "--budget", 6, "--seed", 1),
    )
    assert answer.code == 1
    assert "\x1b" not in answer.out + answer.err
    lines = answer.out.splitlines()
    assert lines[0] == f"marked 2 of 4 images into {tmp_path / 'out'}"
    assert lines[1].startswith("tiny: right on 2 originals, wrong on ")
    assert "skipped 1:" in lines
    assert "failed 1:" in lines
    assert lines[-1] == "marks raise the cost of unauthorised analysis; they are not access control"


def test_a_whole_round_by_commands(place: Path, tmp_path: Path) -> None:
    name = tmp_path / "clinic"
    assert medlocker("key", "new", "--out", name).code == 0
    out = tmp_path / "out"
    arguments = ["--model", "tiny.onnx", "--owner", name, "--budget", 6, "--json"]
    answer = medlocker("protect", "in", *arguments, "--out", out, cwd=place)
    assert (answer.code, answer.json["marked"]) == (0, 2)
    assert medlocker("verify", out, "--owner", f"{name}.sign.pub", "--json").json["valid"]
    keys = ["--owner", f"{name}.sign.pub", "--identity", f"{name}.age.key"]
    answer = medlocker("restore", out, *keys, "--out", tmp_path / "back", "--json")
    assert (answer.code, answer.json["restored"]) == (0, 2)
    for path in (place / "in").iterdir():
        original, again = (
            read_image(p.read_bytes(), name="i") for p in (path, tmp_path / "back" / path.name)
        )
        np.testing.assert_array_equal(again.pixels, original.pixels)
    # the ledger knows these images now
    answer = medlocker("protect", "in", *arguments, "--out", tmp_path / "again", cwd=place)
    assert (answer.code, answer.json["marked"]) == (1, 0)
    assert "was marked in another way in release" in answer.json["failed"][0]["reason"]
