"""With --json there is one object whatever goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medlocker.certificates import new_owner
from medlocker.cli._console import JsonOutput
from medlocker.cli.commands import COMMANDS, load
from runs import Shell


@pytest.fixture
def shell(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capfd, monkeypatch)


def names() -> list[list[str]]:
    """Every command as it is typed."""
    found: list[list[str]] = []
    for name in COMMANDS:
        further = getattr(load(name), "commands", None)
        found += [[name]] if further is None else [[name, one] for one in further]
    return found


NEEDS_NOTHING = (["demo"], ["serve"])


@pytest.mark.parametrize("command", [one for one in names() if one not in NEEDS_NOTHING], ids=" ".join)
def test_every_command_tells_wrong_usage(shell: Shell, tmp_path: Path, command: list[str]) -> None:
    answer = shell(*command, "--json", cwd=tmp_path)
    assert answer.code == 2
    assert list(answer.json) == ["error", "code"]
    assert answer.json["error"].startswith("Missing ")
    assert "Missing " in answer.err
    unknown = shell(*command, "--json", "--no-such-option", cwd=tmp_path)
    assert unknown.code == 2
    assert "--no-such-option" in unknown.json["error"]
    assert shell(*command, cwd=tmp_path).out == ""


def test_an_unknown_command(shell: Shell, tmp_path: Path) -> None:
    answer = shell("verfy", "x", "--json", cwd=tmp_path)
    assert (answer.code, answer.json) == (
        2,
        {"error": "No such command 'verfy'. Did you mean 'verify'?", "code": "usage"},
    )


def test_an_error_is_told_with_its_hint(shell: Shell, tmp_path: Path) -> None:
    new_owner(tmp_path / "h")
    (tmp_path / "r").mkdir()
    answer = shell("verify", "r", "--owner", "h", "--json", cwd=tmp_path)
    assert answer.code == 2
    assert answer.json == {
        "error": "r: expected a finished release, which has certificate/statement.dsse.json",
        "hint": "run protect again with the same output to finish an interrupted run",
        "code": "input",
    }
    assert f"error: {answer.json['error']}" in answer.err
    assert shell("verify", "r", "--owner", "h", cwd=tmp_path).out == ""


def test_what_the_system_refuses(shell: Shell, tmp_path: Path) -> None:
    answer = shell("inspect", "x" * 300, "--json", cwd=tmp_path)
    assert answer.code == 2
    assert answer.json["error"].endswith(": file name too long")


def test_an_interrupt(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("medlocker.release.status_of", interrupt)
    answer = shell("status", "r", "--json", cwd=tmp_path)
    assert (answer.code, answer.json) == (
        130,
        {"error": "interrupted", "code": "interrupted"},
    )


def test_never_two_objects(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that printed its object before it failed has told all."""
    new_owner(tmp_path / "h")
    from medlocker.cli import _console, key
    from medlocker.errors import InputError

    def print_and_fail(value: dict[str, object]) -> None:
        _console.print_json(value)
        raise InputError("too late")

    monkeypatch.setattr(key, "print_json", print_and_fail)
    answer = shell("key", "new", "--out", "k", "--json", cwd=tmp_path)
    assert answer.code == 2
    assert "sign_key_id" in json.loads(answer.out)
    assert "error: too late" in answer.err


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [((), False), (("x", "--json"), True), (("--json", "--", "x"), True), (("x", "--", "--json"), False)],
)
def test_what_is_asked_for(arguments: tuple[str, ...], wanted: bool) -> None:
    assert JsonOutput(arguments).wanted is wanted
