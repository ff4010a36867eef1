"""What a command imports: the light ones do without models and image libraries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from medlocker.certificates import load_owner, new_owner
from medlocker.cli._main import app
from medlocker.cli.commands import COMMANDS, load
from onnx_models import make_onnx
from patience import HANGS_S
from runs import environment, fill, protect

MODELS = {"onnxruntime", "scipy", "skimage", "torch", "onnx", "timm", "matplotlib"}
PICTURES = {"cv2", "pydicom", "imagecodecs", "tifffile"}
_CODE = """
import sys
from medlocker.cli import main
try:
    main()
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def imported(*arguments: object, code: int = 0) -> set[str]:
    """Run a command and return the names of the libraries that it has imported."""
    done = subprocess.run(
        [sys.executable, "-c", _CODE, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=HANGS_S,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert done.stdout
    found = set(done.stderr.splitlines()[-1].split())
    assert "medlocker" in found
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        "--help",
        "--version",
        "verify --help",
        "restore --help",
        "grant --help",
        "key new --help",
        "push --help",
    ],
)
def test_help_needs_no_library_for_models_or_pictures(arguments: str) -> None:
    assert not imported(*arguments.split()) & (MODELS | PICTURES | {"numpy"})


def test_trust_needs_none_and_restoring_no_model(tmp_path: Path) -> None:
    owner = new_owner(tmp_path / "h")
    new_owner(tmp_path / "alice")
    protect(fill(tmp_path / "in", 1), tmp_path / "r", load_owner(owner.prefix))
    pub = tmp_path / "h.sign.pub"
    heavy = MODELS | PICTURES
    assert not imported("key", "new", "--out", tmp_path / "new") & heavy
    assert not imported("verify", tmp_path / "r", "--owner", pub) & heavy
    grant = ("--owner", tmp_path / "h", "--to", tmp_path / "alice.age.pub", "--out", tmp_path / "g")
    assert not imported("grant", tmp_path / "r", *grant) & heavy
    assert not imported("grant", "list", tmp_path / "g", "--owner", pub) & heavy
    opened = ("--owner", pub, "--identity", tmp_path / "alice.age.key", "--grant", tmp_path / "g")
    assert not imported("restore", tmp_path / "r", *opened, "--out", tmp_path / "out") & MODELS


def test_inspecting_an_onnx_model_needs_no_torch(tmp_path: Path) -> None:
    tiny = make_onnx(tmp_path / "m.onnx")
    tiny.write_card()
    found = imported("inspect", tiny.path, "--json")
    assert "onnxruntime" in found
    assert not found & {"torch", "onnx", "onnx2torch"}


def test_the_list_says_of_each_command_what_the_command_says_of_itself() -> None:
    for name, listed in COMMANDS.items():
        first = str(load(name).help).partition("\n\n")[0]
        assert listed.summary == " ".join(first.split()), name


def test_every_command_is_listed_in_one_order() -> None:
    group = typer.main.get_group(app)
    assert list(group.commands) == list(COMMANDS)
