from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from medlocker.cli._protectoptions import aim_of
from medlocker.formats import read_image
from medlocker.logo import builtin_logo
from medlocker.preparedveil import PreparedVeil
from medlocker.veilstyle import DEFAULT_STYLE
from onnx_models import make_onnx, weights_for
from runs import Shell, fill


@pytest.fixture
def shell(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capfd, monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path / "in", 8, size=64)
    for k in range(2):
        make_onnx(tmp_path / f"m{k}.onnx", weights=weights_for(height=16, width=16, seed=k))
    return tmp_path


PREPARE = ("prepare", "in", "--model", "m0.onnx", "--model", "m1.onnx", "--out", "chosen", "--budget", "160")
BARE = ("--lesions", "none")


def test_from_prepare_to_restore(shell: Shell, folder: Path, owner_name: Path) -> None:
    answer = shell(*PREPARE, *BARE, "--objective", "key", "--json", cwd=folder)
    assert answer.code == 0, answer.err
    assert answer.json["images"] == 8
    assert answer.json["evaluations"] <= 160
    assert "give --regions or --lesions" in answer.err
    assert json.loads((folder / "chosen" / "veil.json").read_text())["style"] == answer.json["style"]
    told = shell("inspect", "chosen", "--json", cwd=folder).json
    assert (told["what"], told["images"], told["made for"]) == ("prepared veil", 8, "coloured images")
    marked = shell(
        *(
            "protect",
            "in",
            "--preset",
            "veil",
            "--logo",
            "chosen",
            "--model",
            "m0.onnx",
            "--model",
            "m1.onnx",
        ),
        *("--owner", owner_name, *BARE, "--no-ledger", "--out", "release", "--json"),
        cwd=folder,
    )
    assert marked.code == 0, marked.err
    assert marked.json["marked"] == 8
    assert marked.json["evaluations"] == 8 * 2 * 2
    restored = shell(
        *("restore", "release", "--owner", f"{owner_name}.sign.pub", "--identity", f"{owner_name}.age.key"),
        *("--out", "originals"),
        cwd=folder,
    )
    assert restored.code == 0, restored.err
    for path in (folder / "in").iterdir():
        first, last = (
            read_image(file.read_bytes(), name=path.name).pixels
            for file in (path, folder / "originals" / path.name)
        )
        np.testing.assert_array_equal(first, last)


def test_what_was_found_is_told_in_words(shell: Shell, folder: Path) -> None:
    answer = shell(*PREPARE, "--preset", "veil", cwd=folder)
    assert answer.code == 0, answer.err
    assert "on 8 images with " in answer.out
    assert "each of these took no part in the choice that it judges" in answer.out
    assert "  m0: " in answer.out
    assert "with the built-in style" in answer.out
    alone = shell("prepare", "in", "--model", "m0.onnx", "--out", "other", "--budget", "80", cwd=folder)
    assert "of one model none can be left out" in alone.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--opacity", "0.2", "0.1"), "expected opacities above 0, at most 1, the lower first"),
        (("--opacity", "0.001", "0.002"), "after rounding such a veil would change nothing"),
        (("--opacity", "0.5", "1.5"), "expected opacities above 0, at most 1"),
        (("--min-psnr", "90"), "expected a smallest PSNR of 0 to 60 dB"),
        (("--budget", "9"), "expected a budget of at least"),
        (("--texture-bound", "9"), "--texture-bound cannot be used with --preset veil"),
        (("--epochs", "9"), "--epochs cannot be used with --preset veil"),
        (("--preset", "strong", "--budget", "9"), "--budget cannot be used with --preset strong"),
        (("--preset", "strong", "--lesions", "skin"), "--lesions cannot be used with --preset strong"),
        (("--preset", "strong", "--no-decoys"), "--no-decoys cannot be used with --preset strong"),
        (("--lesions", "skin", "--regions", "in"), "--lesions skin cannot be used with --regions"),
    ],
)
def test_options_out_of_range_are_refused(
    shell: Shell, folder: Path, options: tuple[str, ...], message: str
) -> None:
    answer = shell(*PREPARE, *options, cwd=folder)
    assert answer.code == 2
    assert message in answer.err
    assert not (folder / "chosen").exists()


@pytest.mark.parametrize(
    ("told", "aim"), [("key", "key"), ("wrong", "wrong"), ("other", "same"), (7, "same")]
)
def test_a_run_has_the_aim_that_was_prepared(told: object, aim: str) -> None:
    veil = PreparedVeil(builtin_logo(), DEFAULT_STYLE, None, False, {"aim": told})
    assert aim_of(veil) == aim
    assert aim_of(None) == "same"


def test_regions_grow_by_the_margin_as_for_protect(shell: Shell, folder: Path) -> None:
    rows = [f"{path.name},lesion,20,20,8,8" for path in sorted((folder / "in").iterdir())]
    (folder / "r.csv").write_text("\n".join(["image,region,x,y,width,height", *rows]))
    refused = shell(*PREPARE, "--regions", "r.csv", "--margin", "40", cwd=folder)
    assert "one region leaves 0% of the image free" in refused.err
    answer = shell(*PREPARE, "--regions", "r.csv", "--margin", "2", cwd=folder)
    assert answer.code == 0, answer.err
