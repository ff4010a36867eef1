"""Former names of options."""

from __future__ import annotations

import re

import pytest
from typer.core import TyperGroup

from medlocker.cli._renamed import RENAMED, with_new_names
from medlocker.cli.commands import COMMANDS, load
from medlocker.errors import InputError


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


@pytest.mark.parametrize(
    "given",
    [
        ["--marks", "2", "--max-marks", "3"],
        ["--max-marks=3", "--marks=2"],
        ["--marks=2", "x", "--max-marks", "2"],
    ],
)
def test_both_names_of_one_option_are_refused(given: list[str]) -> None:
    with pytest.raises(InputError, match=r"^expected --max-marks once, got it and its former name --marks$"):
        with_new_names("protect", given)
    assert with_new_names("protect", ["--marks", "2", "--", "--max-marks"])[0] == "--max-marks"


def test_a_former_name_works_and_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["in", "--against=jpeg", "--marks", "2", "--out", "r", "--", "--aim"]
    assert with_new_names("protect", given) == [
        *("in", "--robust-to=jpeg", "--max-marks", "2", "--out", "r", "--", "--aim")
    ]
    told = re.sub(r"\s+", " ", capsys.readouterr().err)
    assert told.count("is now called") == 2
    assert "--against is now called --robust-to; the old name works in this release only" in told
    assert with_new_names("verify", ["--against"]) == ["--against"]
