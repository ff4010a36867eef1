"""Who may ask, proved by a token, and what each of them may see restored."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from medlocker.certificates import Access
from medlocker.errors import InputError
from medlocker.files import read_limited
from medlocker.proxy._members import Member

LOCAL = "local"
"""Name of everybody on this machine, where there are no tokens."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAX_BYTES = 1 << 20
_MAX_TOKEN = 1024
_NOTHING = "none"
_LINE = "NAME SHA256-OF-TOKEN [GRANT_DIR ... | none]"


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, eq=False)
class Opening:
    """What somebody may open of one release, and until when.

    Args:
        until: The last moment, or None.
    """

    access: Access
    until: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Tell whether the last moment has passed."""
        return self.until is not None and now > self.until

    def opens(self, member: Member, now: datetime) -> bool:
        """Tell whether an image or companion may be opened now."""
        covers = self.access.covers_companion if member.is_companion else self.access.covers
        return not self.is_over(now) and covers(member.number)


@dataclass(frozen=True, eq=False)
class Caller:
    """Somebody who may ask.

    Args:
        name: For the log.
        openings: By release id.
    """

    name: str
    openings: Mapping[str, Sequence[Opening]] = field(repr=False)

    def opening(self, member: Member | None) -> Opening | None:
        """Return what opens an image or companion now, None if nothing does."""
        if member is None:
            return None
        now = _now()
        for one in self.openings.get(member.release, ()):
            if one.opens(member, now):
                return one
        return None

    @property
    def ended(self) -> bool:
        """Whether a grant of this caller has ended."""
        now = _now()
        return any(one.is_over(now) for openings in self.openings.values() for one in openings)


@dataclass(frozen=True)
class TokenLine:
    """One line of the file of tokens.

    Args:
        digest: SHA-256 of the token, hex.
        grants: Folders; None: those of the command.
    """

    name: str
    digest: str = field(repr=False)
    grants: tuple[Path, ...] | None


def read_tokens(path: Path) -> list[TokenLine]:
    """Read who may ask: ``NAME SHA256-OF-TOKEN [GRANT_DIR ... | none]`` a line, ``#`` begins a comment.

    Args:
        path: Readable by this user alone; folders of grants are relative to it.

    Raises:
        InputError: If it cannot be read, others can read it, or a line is of another form.
    """
    what = f"tokens {path.name}"
    data = read_limited(path, max_bytes=_MAX_BYTES, what="tokens")
    if os.name == "posix" and os.stat(path).st_mode & 0o077:
        raise InputError(
            f"{what}: expected a file that only this user can read",
            subject=path.name,
            hint=f"chmod 600 {path.name}",
        )
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{what}: expected UTF-8 text", subject=path.name) from None
    found: list[TokenLine] = []
    for number, line in enumerate(lines, 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        place = f"{what} line {number}"
        if len(words) < 2 or not _NAME.fullmatch(words[0]) or not _DIGEST.fullmatch(words[1].lower()):
            raise InputError(
                f"{place}: expected {_LINE}",
                subject=path.name,
                hint="the SHA-256 of a token: printf %s TOKEN | sha256sum",
            )
        grants = tuple(path.parent / word for word in words[2:] if word != _NOTHING) if words[2:] else None
        if _NOTHING in words[2:] and grants:
            raise InputError(f"{place}: expected grants or {_NOTHING}, got both", subject=path.name)
        found.append(TokenLine(words[0], words[1].lower(), grants))
    for what_twice, values in (
        ("name", [one.name for one in found]),
        ("token", [one.digest for one in found]),
    ):
        if len(set(values)) < len(values):
            raise InputError(f"{what}: expected each {what_twice} once, got one twice", subject=path.name)
    if not found:
        raise InputError(f"{what}: expected {_LINE}, got an empty file", subject=path.name)
    return found


class Callers:
    """All who may ask.

    Args:
        local: Everybody, where there are no tokens.
        known: Else by the SHA-256 of their token, hex.
    """

    def __init__(self, local: Caller | None, known: Iterable[tuple[str, Caller]] = ()) -> None:
        self._local = local
        self._known = [(digest.encode("ascii"), caller) for digest, caller in known]

    def find(self, authorization: str) -> Caller | None:
        """Return who asks, by ``Authorization: Bearer TOKEN``, or Basic with name and token."""
        if self._local is not None:
            return self._local
        name, token = _given(authorization)
        given = hashlib.sha256(token).hexdigest().encode("ascii")
        found: Caller | None = None
        for digest, caller in self._known:  # all of them: how long it takes tells nothing
            if hmac.compare_digest(digest, given):
                found = caller
        if found is None or not token or (name is not None and name != found.name):
            return None
        return found

    def all(self) -> list[Caller]:
        """Return everybody."""
        return [self._local] if self._local is not None else [caller for _, caller in self._known]


def _given(authorization: str) -> tuple[str | None, bytes]:
    kind, _, value = authorization.partition(" ")
    value = value.strip()
    if len(value) > _MAX_TOKEN:
        return None, b""
    if kind.lower() == "bearer":
        return None, value.encode("utf-8", "replace")
    if kind.lower() != "basic":
        return None, b""
    try:
        name, _, password = base64.b64decode(value, validate=True).partition(b":")
    except ValueError:
        return None, b""
    return name.decode("utf-8", "replace"), password
