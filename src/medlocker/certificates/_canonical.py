"""Canonical JSON and a strict reader of its objects: one byte string per value, no unknown fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from medlocker.errors import MalformedError

MAX_INTEGER = 2**53 - 1
"""Integers above lose digits in readers that know only double precision."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_HEX = re.compile(r"(?:[0-9a-f]{2})*")


def to_canonical(value: Any) -> bytes:
    """Return JSON in its one form: ASCII, keys sorted, no white space, no floats that are not finite."""
    text = json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def parse_json(data: bytes, *, what: str) -> Any:
    """Parse JSON of any layout, but without repeated keys.

    Raises:
        MalformedError: If it is no such JSON.
    """
    try:
        return json.loads(
            data.decode("utf-8"), object_pairs_hook=_without_repeats, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError):
        raise MalformedError(f"{what}: expected JSON without repeated keys", subject=what) from None


def parse_canonical(data: bytes, *, what: str) -> Any:
    """Parse JSON and refuse every form but the canonical one.

    Raises:
        MalformedError: If it is no JSON, or the same value would be written differently.
    """
    value = parse_json(data, what=what)
    try:
        again = to_canonical(value)
    except (ValueError, RecursionError):
        again = b""
    if again != data:
        raise MalformedError(f"{what}: expected canonical JSON", subject=what)
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("repeated key")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


class Fields:
    """Reads one JSON object whose fields are exactly the expected ones.

    Args:
        names: The fields it must have, all of them and no other.

    Raises:
        MalformedError: Here and in every method: ``<what>: expected <rule>``.
    """

    def __init__(self, value: object, names: Iterable[str], *, what: str) -> None:
        self.what = what
        if not isinstance(value, dict):
            raise MalformedError(f"{what}: expected a JSON object", subject=what)
        wanted = set(names)
        for name in sorted(set(value) - wanted):
            raise MalformedError(
                f"{what}: unknown field {name!r:.60}", subject=what, hint="a newer medlocker may know it"
            )
        for name in sorted(wanted - set(value)):
            raise MalformedError(f"{what}: missing field {name!r}", subject=what)
        self._value: Mapping[str, Any] = value

    def refuse(self, name: str, rule: str) -> MalformedError:
        """Return the error for a field that breaks its rule."""
        return MalformedError(f"{self.what}: expected {name} to be {rule}", subject=self.what)

    def raw(self, name: str) -> Any:
        """Return a field unchecked."""
        return self._value[name]

    def version(self, name: str, known: int) -> int:
        """Return the version, which must be the known one."""
        value = self._value[name]
        if type(value) is not int or value != known:
            raise MalformedError(
                f"{self.what}: expected {name} {known}, got {value!r:.40}",
                subject=self.what,
                hint="a newer medlocker may know it",
            )
        return value

    def integer(self, name: str, low: int = 0, high: int = MAX_INTEGER) -> int:
        """Return an integer within bounds, both included."""
        value = self._value[name]
        if type(value) is not int or not low <= value <= high:
            raise self.refuse(name, f"an integer of {low} to {high}")
        return value

    def text(self, name: str, *, max_length: int = 1024) -> str:
        """Return a string of printable characters."""
        value = self._value[name]
        if not isinstance(value, str) or len(value) > max_length or not is_plain(value):
            raise self.refuse(name, f"plain text of at most {max_length} characters")
        return value

    def digest(self, name: str) -> str:
        """Return a SHA-256 as 64 lower-case hex digits."""
        value = self._value[name]
        if not isinstance(value, str) or not _DIGEST.fullmatch(value):
            raise self.refuse(name, "64 lower-case hex digits")
        return value

    def hexadecimal(self, name: str, size: int) -> bytes:
        """Return bytes written as lower-case hex digits."""
        value = self._value[name]
        if not isinstance(value, str) or len(value) != 2 * size or not _HEX.fullmatch(value):
            raise self.refuse(name, f"{2 * size} lower-case hex digits")
        return bytes.fromhex(value)

    def items(self, name: str, *, max_items: int, min_items: int = 0) -> list[Any]:
        """Return an array of limited length."""
        value = self._value[name]
        if not isinstance(value, list) or not min_items <= len(value) <= max_items:
            raise self.refuse(name, f"an array of {min_items} to {max_items} entries")
        return value

    def mapping(self, name: str, *, max_items: int = 64) -> dict[str, Any]:
        """Return an object with free keys, short and plain."""
        value = self._value[name]
        if not isinstance(value, dict) or len(value) > max_items:
            raise self.refuse(name, f"an object of at most {max_items} entries")
        if any(len(key) > 64 or not is_plain(key) for key in value):
            raise self.refuse(name, "an object with plain keys of at most 64 characters")
        return value


def is_plain(text: str) -> bool:
    """Tell whether a string is valid Unicode without control characters (safe to show on a terminal)."""
    return not any(ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 for c in text)
