"""Credentials of a server: from a file or an environment variable, never from an option's value."""

from __future__ import annotations

import base64
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from medlocker.errors import InputError
from medlocker.files import read_limited

PULL_VARIABLE, PUSH_VARIABLE = "MEDLOCKER_PULL_AUTH", "MEDLOCKER_PUSH_AUTH"
_MAX_BYTES = 64 * 1024
_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True)
class Credentials:
    """What proves who asks.

    Args:
        header: Value of the header ``Authorization``, or empty for none.
        variable: Environment variable that they may come from, for hints.
        notes: What the user should know: other users can read the file.
    """

    header: str = field(repr=False)
    variable: str
    notes: tuple[str, ...] = ()

    @property
    def hint(self) -> str:
        """What to do where a server wants others."""
        return f"give a file with `user:password` or `Bearer TOKEN`, or set {self.variable} to the same"


def read_credentials(file: Path | None, *, variable: str) -> Credentials:
    """Read ``user:password`` or ``Bearer TOKEN`` from a file, else from an environment variable.

    Args:
        file: Wins over the variable.
        variable: Name of the variable; unset or empty means no credentials.

    Raises:
        InputError: If they cannot be read; the message repeats nothing of them.
    """
    if file is None:
        text = os.environ.get(variable, "")
        return Credentials(_header(text, variable) if text else "", variable)
    what = f"credentials {file.name}"
    data = read_limited(file, max_bytes=_MAX_BYTES, what="credentials")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{what}: expected a text file", subject=what) from None
    return Credentials(_header(text, what), variable, _notes(file))


def _header(text: str, what: str) -> str:
    text = text.strip()
    kind, _, token = text.partition(" ")
    if kind.lower() == "bearer" and _TOKEN.fullmatch(token):
        return f"Bearer {token}"
    if ":" in text and text.isprintable():
        return "Basic " + base64.b64encode(text.encode("utf-8", "surrogateescape")).decode("ascii")
    raise InputError(f"{what}: expected one line, `user:password` or `Bearer TOKEN`", subject=what)


def _notes(file: Path) -> tuple[str, ...]:
    if os.name == "posix" and stat.S_IMODE(os.stat(file).st_mode) & 0o077:
        return (f"{file.name} can be read by other users of this machine: chmod 600 {file.name}",)
    return ()
