"""The sealed part of a grant: a plain identity file, so that the age tool can use it as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from medlocker.certificates._record import MAX_INDEX
from medlocker.errors import MalformedError

MAX_IDENTITIES_BYTES = 256 * 1024 * 1024
_HEAD = re.compile(rb"# medlocker grant, version 1\n# release: ([0-9a-f]{32})\n# scope: (whole|images)\n")
_SECRET = re.compile(rb"AGE-SECRET-KEY-1[0-9A-Z]{50,70}")
_ONE = re.compile(rb"# (image|companion) ([0-9]{1,10})")


@dataclass(frozen=True)
class GrantedIdentities:
    """What a grant lets its holder open.

    Args:
        release: Release id.
        whole: The ``AGE-SECRET-KEY-1...`` of the whole release, or None.
        images: Else one for each granted image.
        companions: And one for each companion that is about granted images alone, by number.
    """

    release: str
    whole: str | None = field(repr=False)
    images: Mapping[int, str] = field(default_factory=dict, repr=False)
    companions: Mapping[int, str] = field(default_factory=dict, repr=False)

    def to_bytes(self) -> bytes:
        """Return the identity file."""
        scope = "images" if self.whole is None else "whole"
        parts = [f"# medlocker grant, version 1\n# release: {self.release}\n# scope: {scope}\n"]
        if self.whole is not None:
            parts.append(f"{self.whole}\n")
        for kind, secrets in (("image", self.images), ("companion", self.companions)):
            parts.extend(f"# {kind} {number}\n{secrets[number]}\n" for number in sorted(secrets))
        return "".join(parts).encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes, *, what: str) -> GrantedIdentities:
        """Read what :meth:`to_bytes` wrote.

        Raises:
            MalformedError: If it follows another form; images must ascend, and companions behind them.
        """
        head = _HEAD.match(data)
        if not head or not data.endswith(b"\n"):
            raise MalformedError(f"{what}: expected the identities of a grant, version 1", subject=what)
        release = head[1].decode("ascii")
        lines = data[head.end() : -1].split(b"\n")
        if head[2] == b"whole":
            if len(lines) != 1 or not _SECRET.fullmatch(lines[0]):
                raise MalformedError(f"{what}: expected one identity", subject=what)
            return cls(release, lines[0].decode("ascii"))
        if len(lines) % 2:
            raise MalformedError(f"{what}: expected two lines for each identity", subject=what)
        images: dict[int, str] = {}
        companions: dict[int, str] = {}
        last = (False, -1)
        for comment, secret in zip(lines[::2], lines[1::2], strict=True):
            found = _ONE.fullmatch(comment)
            place = (found[1] == b"companion", int(found[2])) if found else (False, -1)
            if not last < place or place[1] > MAX_INDEX or not _SECRET.fullmatch(secret):
                raise MalformedError(
                    f"{what}: expected ascending images, then companions, with an identity each", subject=what
                )
            (companions if place[0] else images)[place[1]] = secret.decode("ascii")
            last = place
        if not images:
            raise MalformedError(f"{what}: expected at least one image", subject=what)
        return cls(release, None, images, companions)
