"""What the project says of itself in more than one place is the same everywhere."""

from __future__ import annotations

import re
import tomllib

import pytest

from medlocker import __version__
from selection import LONG, TESTS

ROOT = TESTS.parent
pytest_plugins = ["pytester"]


def test_long_tests_are_where_they_are_said_to_be() -> None:
    assert [name for name in LONG if not (TESTS / name).exists()] == []


def test_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["dynamic"] == ["version"]
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited is not None
    assert cited[1] == __version__


def test_what_is_installed_is_imported() -> None:
    """Each library of the base install is imported somewhere, by the name that it has there."""
    names = {
        "pillow": "PIL", "opencv-python-headless": "cv2", "pyjpegls": "jpeg_ls",
        "mozjpeg-lossless-optimization": "mozjpeg_lossless_optimization",
    }  # fmt: skip
    source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [re.split(r"[<>=]", one)[0] for one in project["dependencies"]]
    assert len(wanted) > 10
    unused = [
        one
        for one in wanted
        if not re.search(rf"(^|\s)(import|from) {names.get(one, one)}\b|find_spec\(\"{one}\"\)", source)
    ]
    assert unused == []


@pytest.mark.parametrize(
    ("reason", "real", "code"),
    [("no tool", "", 1), ("no real images", "", 0), ("no real images", "there", 1)],
)
def test_an_unexpected_skip_fails(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, reason: str, real: str, code: int
) -> None:
    monkeypatch.delenv("MEDLOCKER_DATA", raising=False)
    if real:
        monkeypatch.setenv("MEDLOCKER_DATA", real)
    hooks = (TESTS / "selection.py").read_text()
    pytester.makeconftest(hooks)
    pytester.makepyfile(f"import pytest\ndef test(): pytest.skip({reason!r})\ndef test_other(): pass")
    result = pytester.runpytest_inprocess("--no-skips", "-p", "no:cacheprovider")
    assert result.ret == code
    assert (reason in result.stdout.str()) >= bool(code)
