"""Decisions follow an error's class and code, whatever its message says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import medlocker
from medlocker import errors
from medlocker.certificates import Ledger, Owner
from medlocker.engines._messages import Told
from medlocker.errors import AlreadyMarkedError, Code, Failure, InputError, MedlockerError
from medlocker.evaluate import open_targets
from medlocker.labels import load_labels
from medlocker.protect._series import series_error
from runs import fill, protect

SOURCES = Path(medlocker.__file__).parent
TABLE = SOURCES.parents[1] / "docs" / "reference" / "errors.md"
RELEASE, OTHER = "1" * 32, "2" * 32
MESSAGE = "from another planet"

CLASSES = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, MedlockerError)]


@pytest.fixture
def reworded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every error say the same strange thing."""
    monkeypatch.setattr(MedlockerError, "__str__", lambda error: MESSAGE)


def test_the_table_lists_every_code_with_its_class_and_exit_code() -> None:
    rows = [row.strip("| ").split(" | ") for row in TABLE.read_text("utf-8").splitlines() if row[:3] == "| `"]
    assert [row[0].strip("`") for row in rows] == [str(code) for code in Code]
    raised = {(row[0].strip("`"), row[1].strip("`"), int(row[2])) for row in rows if len(row) == 4}
    more = [
        ("already-marked-unfinished", "AlreadyMarkedError", 2),
        ("already-marked-here", "AlreadyMarkedError", 2),
    ]
    wanted = {(str(one.code), one.__name__, one.exit_code) for one in CLASSES if one is not MedlockerError}
    assert raised == wanted | set(more)


def test_an_error_keeps_code_and_subject_on_its_way_to_another_process() -> None:
    error = AlreadyMarkedError("x", hint="y", code=Code.ALREADY_MARKED_UNFINISHED, subject=RELEASE)
    again = Told.of(error).error()
    assert type(again) is AlreadyMarkedError
    assert (again.code, again.subject, again.hint) == (Code.ALREADY_MARKED_UNFINISHED, RELEASE, "y")
    assert InputError("x").code == Code.INPUT  # an instance's code is not its class's
    assert AlreadyMarkedError("x").code == Code.ALREADY_MARKED


def test_a_name_is_written_once() -> None:
    assert str(Failure.of(InputError("a.png: torn", subject="a.png"), "a.png")) == "a.png: torn"
    assert str(Failure.of(InputError("torn"), "a.png")) == "a.png: torn"
    assert str(Failure.of(InputError("image a.png: torn", subject="a.png"), "b/a.png")) == (
        "b/a.png: image a.png: torn"
    )
    assert Failure.of(MemoryError(), "a.png").to_json() == {
        "image": "a.png",
        "reason": "not enough memory",
        "code": "memory",
    }


@pytest.mark.usefixtures("reworded")
def test_the_ledgers_refusals_are_told_of_series_without_their_text(tmp_path: Path, owner: Owner) -> None:
    with Ledger(tmp_path / "ledger", owner.signing) as ledger:
        ledger.begin(RELEASE)
        ledger.record("a" * 64, release=RELEASE, marked="b" * 64)
        for release, code in ((OTHER, Code.ALREADY_MARKED_UNFINISHED), (RELEASE, Code.ALREADY_MARKED_HERE)):
            with pytest.raises(AlreadyMarkedError) as caught, series_error():
                ledger.record("a" * 64, release=release, marked="c" * 64)
            assert caught.value.code == code
            assert "of its series" in caught.value.args[0]


@pytest.mark.usefixtures("reworded")
def test_a_run_comes_to_the_same_end(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 3)
    (source / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (source / "tiny.png").write_bytes(b"")
    result = protect(source, tmp_path / "out", owner)
    assert (result.exit_code, result.summary.marked) == (1, 3)
    assert [(one["image"], one["code"], one["reason"]) for one in result.json["failed"]] == [
        ("tiny.png", "unsupported-image", MESSAGE),
        ("torn.png", "unsupported-image", MESSAGE),
    ]


@pytest.mark.usefixtures("reworded")
def test_targets_that_cannot_be_opened_are_named_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("image,label\na.png,0\nb.png,1\n")
    with pytest.raises(errors.ModelError) as caught:
        open_targets([tmp_path / "gone.onnx"], load_labels(tmp_path / "labels.csv"))
    assert caught.value.args == (MESSAGE,)  # its subject is the file: nothing is put in front


class _Reads(ast.NodeVisitor):
    """Finds code that looks into the text of an error or a reason.

    ``str(error)`` of a caught error, its ``args``, and names that hold it may be passed on, printed and
    joined; they may not be compared, searched, cut or replaced.
    """

    def __init__(self) -> None:
        self.texts: set[str] = {"reason"}
        self.errors: set[str] = set()
        self.found: list[int] = []

    def is_text(self, node: ast.AST) -> bool:
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "str"
            and node.args
        ):
            return isinstance(node.args[0], ast.Name) and node.args[0].id in self.errors
        if isinstance(node, ast.Subscript):
            return self.is_text(node.value)
        if isinstance(node, ast.Attribute):
            return node.attr in ("reason", "args") or self.is_text(node.value)
        if isinstance(node, ast.Call):
            return self.is_text(node.func)
        return isinstance(node, ast.Name) and node.id in self.texts

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self.errors.add(node.name)
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        before = set(self.texts), set(self.errors)
        kinds = ("Error", "Exception")
        self.errors |= {
            one.arg
            for one in (*node.args.args, *node.args.kwonlyargs)
            if one.annotation is not None and ast.unparse(one.annotation).endswith(kinds)
        }
        self.generic_visit(node)
        self.texts, self.errors = before

    def visit_Assign(self, node: ast.Assign) -> None:
        if self.is_text(node.value):
            self.texts |= {one.id for one in node.targets if isinstance(one, ast.Name)}
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        if any(map(self.is_text, sides)) and not any(
            isinstance(one, ast.Constant) and one.value is None for one in sides
        ):
            self.found.append(node.lineno)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        first = node.args[0] if node.args else None
        of_text = isinstance(node.func, ast.Attribute) and self.is_text(node.func.value)
        of_pattern = isinstance(node.func, ast.Attribute) and re.fullmatch(
            "match|search|fullmatch|sub|findall|finditer", node.func.attr
        )
        if of_text or (of_pattern and any(map(self.is_text, node.args))):
            self.found.append(node.lineno)
        elif first is not None:
            pass
        self.generic_visit(node)

    def visit_Match(self, node: ast.Match) -> None:
        if self.is_text(node.subject):
            self.found.append(node.lineno)
        self.generic_visit(node)


def _readers(text: str) -> list[int]:
    visitor = _Reads()
    visitor.visit(ast.parse(text))
    return visitor.found


@pytest.mark.parametrize(
    "line",
    [
        "if 'x' in str(error): pass",
        "str(error).replace('a', 'b')",
        "text = str(error); text.partition(': ')",
        "if str(error) == 'x': pass",
        "re.match('x', str(error))",
        "error.args[0].startswith('x')",
        "if name in outcome.reason: pass",
        "match str(error):\n        case 'x': pass",
    ],
)
def test_code_that_reads_a_message_is_found(line: str) -> None:
    assert _readers(f"try:\n    pass\nexcept Error as error:\n    {line}\n")


def _sources() -> Iterator[Path]:
    yield from sorted(SOURCES.rglob("*.py"))


def test_no_code_reads_a_message() -> None:
    found = {path.relative_to(SOURCES).as_posix(): _readers(path.read_text("utf-8")) for path in _sources()}
    assert len(found) > 100
    # other people's: the age library tells "no key fits" from "damaged" by its message alone, and so does
    # the JPEG decoder stray bytes behind a whole picture from a cut one; what a plugin raised is only shown
    strangers = ["certificates/_foreign.py", "formats/jpeg/_file.py", "plugins.py"]
    assert [name for name, lines in found.items() for _ in lines] == strangers
