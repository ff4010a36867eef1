"""Where text goes: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from rich.console import Console

from medlocker.cli._streams import let_go
from medlocker.errors import Code, InputError

stderr = Console(stderr=True, emoji=False, highlight=False, soft_wrap=True)
"""For messages, warnings and progress."""

stdout = Console(emoji=False, highlight=False, soft_wrap=True)
"""For results that a person reads."""


_MOST_FACTS, _MOST_CHARACTERS = 1000, 10_000


class JsonOutput:
    """Whether a command was asked for its one JSON object, and whether it has printed it.

    Args:
        arguments: Of the command line.
    """

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        options = arguments[: arguments.index("--")] if "--" in arguments else arguments
        self.wanted = "--json" in options
        self.printed = False

    def print_error(self, message: str, hint: str = "", *, code: Code) -> None:
        """Print an object that tells only what went wrong, if one is wanted and none was printed."""
        if not self.wanted or self.printed:
            return
        try:
            print_json({"error": message, **({"hint": hint} if hint else {}), "code": code})
        except OSError:  # stderr has told it
            let_go(sys.stdout)


_output = JsonOutput()


def expect_json(arguments: Sequence[str]) -> JsonOutput:
    """Begin a command: what is printed as JSON from now on is its output."""
    global _output
    _output = JsonOutput(arguments)
    return _output


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object, and nothing else, to stdout.

    Raises:
        InputError: If it holds infinity or NaN.
    """
    try:
        # ASCII only: file names may hold bytes that no encoding of a terminal can print
        text = json.dumps(value, indent=2, allow_nan=False)
    except (ValueError, RecursionError) as error:  # a foreign file wrote 1e999, or nests as deep as can be
        raise InputError("expected finite numbers and less nesting, got what JSON cannot hold") from error
    _output.printed = True  # or tried to: where this cannot be written, nothing else can
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def shown(text: str) -> str:
    """Return text that is safe to print: control characters and undecodable bytes are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Print names and values, one pair a line; both may be a stranger's, and there may be very many."""
    lines = [
        f"{_short(shown(name)) + ':':<16} {_short(_plain(value))}"
        for name, value in islice(facts.items(), _MOST_FACTS)
    ]
    if len(facts) > _MOST_FACTS:
        lines.append(f"... and {len(facts) - _MOST_FACTS} more, see --json")
    stdout.print("\n".join(lines), markup=False)


def _plain(value: object) -> str:
    """Show any JSON value in one line; control characters of untrusted text are escaped."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return _plain(", ".join(value)) or "-"
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _plain(json.dumps(value, ensure_ascii=False)) if isinstance(value, dict | list) else str(value)


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]} ... (see --json)"


def note(text: str) -> None:
    """Tell the user something that is neither result nor error."""
    stderr.print(shown(text), markup=False)


def warn(text: str) -> None:
    """Tell the user something that deserves attention."""
    stderr.print(f"warning: {shown(text)}", style="yellow", markup=False)


def say_address(address: str, *, as_json: bool) -> None:
    """Tell where a server listens that runs until it is interrupted."""
    if as_json:
        print_json({"address": address})
    else:
        stdout.print(address, markup=False)
    note("end with Ctrl-C")
