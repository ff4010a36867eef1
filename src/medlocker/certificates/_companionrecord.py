"""The sealed original of a companion, bound to release, owner, and the file that stands in its place."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from medlocker.certificates._age import Identity, seal, unseal
from medlocker.certificates._canonical import Fields, parse_canonical, to_canonical
from medlocker.certificates._record import (
    MAX_NAME_LENGTH,
    MAX_ORIGINAL_BYTES,
    padded_length,
    relative_name,
)
from medlocker.certificates._secret import RELEASE_ID_BYTES, ReleaseSecret
from medlocker.errors import MalformedError

MAGIC = b"medlocker-companion\n"
VERSION = 1
_MAX_LINE_BYTES = 1 << 16
_FIELDS = ("version", "release", "owner", "name", "file", "original_file", "original")


@dataclass(frozen=True)
class CompanionRecord:
    """The original of one companion.

    Args:
        release: Release id, 32 hex digits.
        owner: Key id of the owner's signing key.
        name: Of the file, relative to ``images/``; the original had the same name.
        file: SHA-256 of the file in the release.
        original: The original file's bytes.
    """

    release: str
    owner: str
    name: str
    file: str
    original: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """Return the plain binary form, padded as records are.

        Raises:
            MalformedError: If a field is out of its range: what is written can always be read.
        """
        value: dict[str, Any] = {
            "version": VERSION,
            "release": self.release,
            "owner": self.owner,
            "name": self.name,
            "file": self.file,
            "original_file": hashlib.sha256(self.original).hexdigest(),
            "original": {"length": len(self.original)},
        }
        line = to_canonical(value)
        _read_line(line, what=f"sealed companion {self.name!r:.80}")
        data = b"".join((MAGIC, line, b"\n", self.original))
        return data.ljust(padded_length(len(data)), b"\0")

    @classmethod
    def from_bytes(cls, data: bytes, *, what: str) -> CompanionRecord:
        """Read what :meth:`to_bytes` wrote, and nothing else.

        Raises:
            MalformedError: On an unknown version, an unknown or missing field, a value out of range, lengths
                that do not add up, or another digest of the original than stated.
        """
        if not data.startswith(MAGIC):
            raise MalformedError(f"{what}: expected the original of a companion", subject=what)
        end = data.find(b"\n", len(MAGIC), len(MAGIC) + _MAX_LINE_BYTES)
        if end < 0:
            raise MalformedError(f"{what}: expected a line of at most {_MAX_LINE_BYTES} bytes", subject=what)
        fields, digest, original_length = _read_line(data[len(MAGIC) : end], what=what)
        stop = end + 1 + original_length
        length = padded_length(stop)
        if len(data) != length or data.count(b"\0", stop) != length - stop:
            raise MalformedError(
                f"{what}: expected {length} bytes that end with {length - stop} zeros", subject=what
            )
        original = data[end + 1 : stop]
        if hashlib.sha256(original).hexdigest() != digest:
            raise MalformedError(f"{what}: expected the original with the stated digest", subject=what)
        return cls(**fields, original=original)


def _read_line(line: bytes, *, what: str) -> tuple[dict[str, str], str, int]:
    value = parse_canonical(line, what=what)
    if isinstance(value, dict) and "version" in value:
        Fields({"version": value["version"]}, ["version"], what=what).version("version", VERSION)
    reader = Fields(value, _FIELDS, what=what)
    original = Fields(reader.raw("original"), ("length",), what=f"{what}: original")
    fields = {
        "release": reader.hexadecimal("release", RELEASE_ID_BYTES).hex(),
        "owner": reader.digest("owner"),
        "name": relative_name(reader.text("name", max_length=MAX_NAME_LENGTH), what=what),
        "file": reader.digest("file"),
    }
    return fields, reader.digest("original_file"), original.integer("length", high=MAX_ORIGINAL_BYTES)


def seal_companion(record: CompanionRecord, secret: ReleaseSecret, *, number: int) -> bytes:
    """Seal a companion's original to its own identity and to the release's one.

    Args:
        number: Of its line in ``companions.jsonl``.

    Raises:
        MalformedError: If the record is of another release or out of range.
    """
    what = f"sealed companion {number}"
    if record.release != secret.release:
        raise MalformedError(f"{what}: expected release {secret.release}, got {record.release}", subject=what)
    recipients = [secret.whole_recipient, secret.companion_recipient(number)]
    return seal(record.to_bytes(), recipients, what=what)


def open_companion(blob: bytes, identities: Sequence[Identity], *, what: str) -> CompanionRecord:
    """Open one sealed original.

    Raises:
        NoMatchingKeyError: If none of the identities opens it.
        MalformedError: If it is damaged or breaks the format.
    """
    return CompanionRecord.from_bytes(unseal(blob, identities, what=what), what=what)
