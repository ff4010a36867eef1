"""The tutorials are run as they are printed; how-tos name options that there are."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from medlocker.cli.commands import load
from medlocker.demo import builtin_model
from test_readme import run

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = sorted((DOCS / "tutorials").glob("*.md")) + [
    page for page in sorted((DOCS / "how-to").glob("*.md")) if page.stem != "README"
]


def commands(page: Path) -> list[str]:
    """The lines of a page's blocks that call the program."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if line.startswith("medlocker ")]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["custodian", "researcher"])
def test_a_tutorial_works_as_printed(tmp_path: Path, name: str) -> None:
    shutil.copy(builtin_model(), tmp_path / "dr.onnx")
    shutil.copy(builtin_model().with_name("fundus-demo.card.json"), tmp_path / "dr.card.json")
    lines = commands(DOCS / "tutorials" / f"{name}.md")
    assert len(lines) >= 5
    for line in lines:
        run(line, tmp_path)
    assert (tmp_path / "report" / "report.html").is_file()
    if name == "custodian":
        first, last = tmp_path / "demo" / "originals" / "images", tmp_path / "originals"
        assert {p.name: p.read_bytes() for p in first.iterdir()} == {
            p.name: p.read_bytes() for p in last.iterdir()
        }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_have_the_options_that_are_printed(page: Path) -> None:
    lines = commands(page)
    assert lines
    for line in lines:
        _, name, *words = line.split()
        assert {word for word in words if word.startswith("--")} <= options(load(name)), line


def options(command: Any) -> set[str]:
    """Names of a command's options, and of those below it."""
    own = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    return own.union(*(options(below) for below in getattr(command, "commands", {}).values()))
