"""The page of what may be given names the tests that hold each of its lines."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "reference" / "inputs.md"
LINES = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
LINES = [line for line in LINES if line != "| given | what happens | held by |"]
NAMED = re.compile(r"`([a-z0-9_/]+\.py)::(test_[A-Za-z0-9_]+)`")


@cache
def defined(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_there_are_lines() -> None:
    assert len(LINES) > 50


@pytest.mark.parametrize("line", LINES)
def test_every_line_is_held_by_tests_that_exist(line: str) -> None:
    named = NAMED.findall(line.rstrip(" |").rpartition(" | ")[2])
    assert named
    for file, name in named:
        assert name in defined(file), f"{file} has no {name}"
