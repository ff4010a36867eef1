"""Former names of options."""

from __future__ import annotations

import re

import pytest
from typer.core import TyperGroup

from medlocker.cli._renamed import RENAMED, with_new_names
from medlocker.cli.commands import COMMANDS, load


def options_of(name: str) -> set[str]:
    command = load(name)
    parts = list(command.commands.values()) if isinstance(command, TyperGroup) else [command]
    return {option for part in parts for parameter in part.params for option in parameter.opts}


@pytest.mark.parametrize("command", sorted(RENAMED))
def test_old_names_lead_to_options_that_exist_and_are_no_options_themselves(command: str) -> None:
    options = options_of(command)
    assert set(RENAMED[command].values()) <= options
    assert not set(RENAMED[command]) & options
    assert command in COMMANDS


def test_a_former_name_works_and_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["in", "--against=jpeg", "--marks", "2", "--out", "r", "--", "--aim"]
    assert with_new_names("protect", given) == [
        *("in", "--robust-to=jpeg", "--max-marks", "2", "--out", "r", "--", "--aim")
    ]
    told = re.sub(r"\s+", " ", capsys.readouterr().err)
    assert told.count("is now called") == 2
    assert "--against is now called --robust-to; the old name works in this release only" in told
    assert with_new_names("verify", ["--against"]) == ["--against"]
