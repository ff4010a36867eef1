"""There is one way to install an extra, and it is that of the documents."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import medlocker
from medlocker.errors import MissingExtraError, install_hint

ROOT = Path(__file__).resolve().parent.parent
PAGES = "".join((ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/USING.md"))
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]
SOURCE = Path(medlocker.__file__).parent


@pytest.mark.parametrize("extra", ["torch", "segment", "dicomweb", "ray"])
def test_the_hint_has_the_command_of_the_readme(extra: str) -> None:
    assert extra in EXTRAS
    hint = install_hint(extra)
    place, command = hint.split(": ")
    assert place == "in the folder of medlocker's source"
    assert command == f"pip install '.[{extra}]'"
    assert command in PAGES
    assert MissingExtraError("library", extra).hint == hint


def test_no_message_has_a_command_of_its_own() -> None:
    files = sorted(SOURCE.rglob("*.py"))
    assert len(files) > 100
    own = [path.relative_to(SOURCE).as_posix() for path in files if "pip install" in path.read_text("utf-8")]
    assert own == ["errors.py"]
