"""What a stranger wrote is printed so that it cannot pose as something else, and in bounded time."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from medlocker.api.releasefacts import release_facts
from medlocker.cli._console import print_facts

TURNED = "\u202edne"


def statement(path: Path, predicate: dict[str, Any]) -> Path:
    folder = path / "certificate"
    folder.mkdir()
    payload = base64.b64encode(json.dumps({"predicate": predicate}).encode()).decode()
    (folder / "statement.dsse.json").write_text(json.dumps({"payload": payload}))
    return path


def test_keys_and_values_are_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_facts(release_facts(statement(tmp_path, {f"{TURNED}\n": f"\x1b[1m{TURNED}", "a": [TURNED]})))
    printed = capsys.readouterr().out
    assert printed.splitlines()[1:] == [
        r"\u202edne\n:     \x1b[1m\u202edne",
        r"a:               \u202edne",
    ]


def test_very_many_keys_are_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_facts(release_facts(statement(tmp_path, {f"k{i}": "v" * 20_000 for i in range(3)})))
    assert "v ... (see --json)" in capsys.readouterr().out
    print_facts(dict.fromkeys((str(i) for i in range(100_000)), 1))
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1001
    assert printed[-1] == "... and 99000 more, see --json"
