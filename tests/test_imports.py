"""Private means private: nobody imports a name with an underscore from a package that it is not part of."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOT_PACKAGE = "medlocker"
"""What everybody below may use has a plain name: nothing private here belongs to all."""
PRIVATE = re.compile(r"\._(?!_)")
INNERMOST = {"make_vectors.py", "vector_parts.py", "companion_vectors.py", "attack_unfinished.py"}
"""They write test vectors of what nobody else sees, or attack it, so they look inside as tests do."""


def outsiders(source: str, package: str) -> list[str]:
    """Return the private things that a module of a package imports from other packages."""
    found = []
    for name in imported(ast.parse(source)):
        owner, *private = PRIVATE.split(name, maxsplit=1)
        if (
            private
            and package != owner
            and (owner == ROOT_PACKAGE or not f"{package}.".startswith(f"{owner}."))
        ):
            found.append(name)
    return found


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files() -> list[Path]:
    found = [path for folder in ("src", "benchmarks", "scripts") for path in (ROOT / folder).rglob("*.py")]
    return sorted(path for path in found if path.name not in INNERMOST)


@pytest.mark.parametrize("folder", ["src", "benchmarks", "scripts"])
def test_no_package_reaches_into_another(folder: str) -> None:
    found = {}
    for path in (path for path in files() if (ROOT / folder) in path.parents):
        package = ".".join(path.parent.relative_to(ROOT / folder).parts)
        private = [n for n in outsiders(path.read_text("utf-8"), package) if n.startswith("medlocker.")]
        if private:
            found[str(path.relative_to(ROOT))] = private
    assert found == {}


def test_it_would_be_seen() -> None:
    inside = "from medlocker.logo._render import _sample\nfrom medlocker.logo import render"
    assert outsiders(inside, "medlocker.logo") == []
    assert outsiders(inside, "medlocker.logo.deep") == []
    assert outsiders(inside, "medlocker.logos") == ["medlocker.logo._render._sample"]
    assert outsiders("from medlocker._hidden import x", "medlocker") == []
    assert outsiders("import medlocker._hidden", "medlocker.cli") == ["medlocker._hidden"]
    assert outsiders("def f():\n    import medlocker.logo._blend", "") == ["medlocker.logo._blend"]
    assert outsiders("from medlocker.logo.render import _sample", "medlocker.cli")
