"""Checks of names that the caller gave."""

from __future__ import annotations

from typing import Any, get_args

from medlocker.errors import InputError
from medlocker.protect import STANDARD_HARDENING, Harden


def one_of(value: str, choices: Any, *, what: str) -> Any:
    """Return a value that is one of a ``Literal``'s.

    Raises:
        InputError: If it is none.

    >>> from typing import Literal
    >>> one_of("slow", Literal["fast", "slow"], what="speed")
    'slow'
    """
    known = get_args(choices)
    if value not in known:
        raise InputError(f"{what}: expected {', '.join(known[:-1])} or {known[-1]}, got {value!r:.40}")
    return value


def harden_of(given: bool | Harden) -> Harden:
    """Return keyed changes of the logo."""
    if isinstance(given, Harden):
        return given
    return STANDARD_HARDENING if given else Harden()
