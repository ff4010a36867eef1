"""The sealed record: everything that takes the mark of one image off again, readable by its holders only.

Opened with any age tool it reads: a magic line, one line of canonical JSON, the residual, the original
file (if kept), zeros. The zeros pad the whole to a Padmé length (Nikitin et al., PETS 2019), because the
exact length of a residual would tell the mark's opacity. See docs/FORMAT.md.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medlocker.certificates._age import Identity, seal, unseal
from medlocker.certificates._canonical import MAX_INTEGER, Fields, is_plain, parse_canonical, to_canonical
from medlocker.certificates._secret import RELEASE_ID_BYTES, ReleaseSecret
from medlocker.errors import InputError, MalformedError
from medlocker.files import check_relative_name
from medlocker.patch import ENCODING
from medlocker.veil import AnyMark, read_mark

MAGIC = b"medlocker-record\n"
VERSION = 1
METHOD_PIXELS = "pixels-v1"
"""The mark was blended into the stored pixels; see :mod:`medlocker.marking`."""

MAX_INDEX = 2**31 - 1
MAX_NAME_LENGTH = 1024
MAX_MARKS = 64
MAX_LINE_BYTES = 1024 * 1024
MAX_RESIDUAL_BYTES = 2**30
MAX_ORIGINAL_BYTES = 2**31
MAX_SEAL_BYTES = MAX_RESIDUAL_BYTES + MAX_ORIGINAL_BYTES
_FIELDS = (
    "version", "release", "index", "name", "file", "pixels", "owner", "method", "marks", "logo", "metadata",
    "original_file", "original_name", "original_pixels", "seeds", "facts", "salt", "residual", "original",
)  # fmt: skip

Fact = str | int | bool


@dataclass(frozen=True)
class SealedRecord:
    """What is known about one marked image.

    All digests are SHA-256 as 64 lower-case hex digits.

    Args:
        release: Release id, 32 hex digits.
        index: Number of the image in the release.
        name: Name of the marked file, relative to ``images/``, forward slashes.
        file: Digest of the marked file.
        pixels: Pixel digest of the marked pixels, as re-read from that file.
        original_file: Digest of the original file's bytes.
        original_name: Name of the original file relative to the input.
        original_pixels: Pixel digest of the original.
        metadata: Metadata digest of the file that restoring writes.
        owner: Key id of the owner's signing key.
        marks: The parameter list, 1 to 64, in the order in which the marks were put on.
        logo: Digest of the logo.
        residual: See :mod:`medlocker.patch`.
        seeds: Named seeds of the search.
        facts: What marking found out of this image; restoring needs none of it.
        method: How the mark was put on; restoring refuses methods that it does not know.
        original: The original file's bytes, if kept.
        salt: 32 random bytes: makes a commitment to this record hide it.
    """

    release: str
    index: int
    name: str
    file: str
    pixels: str
    original_file: str
    original_name: str
    original_pixels: str
    metadata: str
    owner: str
    marks: tuple[AnyMark, ...]
    logo: str
    residual: bytes = field(repr=False)
    seeds: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, Fact] = field(default_factory=dict)
    method: str = METHOD_PIXELS
    original: bytes | None = field(default=None, repr=False)
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def to_bytes(self) -> bytes:
        """Return the plain binary form, padded.

        Raises:
            MalformedError: If a field is out of its range: what is written can always be read.
        """
        original = None if self.original is None else {"length": len(self.original)}
        value: dict[str, Any] = {
            "version": VERSION,
            "release": self.release,
            "index": self.index,
            "name": self.name,
            "file": self.file,
            "pixels": self.pixels,
            "owner": self.owner,
            "method": self.method,
            "marks": [mark.to_json() for mark in self.marks],
            "logo": self.logo,
            "metadata": self.metadata,
            "original_file": self.original_file,
            "original_name": self.original_name,
            "original_pixels": self.original_pixels,
            "seeds": dict(self.seeds),
            "facts": dict(self.facts),
            "salt": self.salt.hex(),
            "residual": {"encoding": ENCODING, "length": len(self.residual)},
            "original": original,
        }
        line = to_canonical(value)
        _read_line(line, what=f"sealed record {self.index}")
        data = b"".join((MAGIC, line, b"\n", self.residual, self.original or b""))
        return data.ljust(padded_length(len(data)), b"\0")

    @classmethod
    def from_bytes(cls, data: bytes, *, what: str) -> SealedRecord:
        """Read what :meth:`to_bytes` wrote, and nothing else.

        Raises:
            MalformedError: On an unknown version, an unknown or missing field, a value out of range,
                or lengths that do not add up.
        """
        if not data.startswith(MAGIC):
            raise MalformedError(f"{what}: expected a medlocker record", subject=what)
        end = data.find(b"\n", len(MAGIC), len(MAGIC) + MAX_LINE_BYTES)
        if end < 0:
            raise MalformedError(f"{what}: expected a line of at most {MAX_LINE_BYTES} bytes", subject=what)
        fields, residual_length, original_length = _read_line(data[len(MAGIC) : end], what=what)
        start = end + 1
        middle = start + residual_length
        stop = middle + (original_length or 0)
        length = padded_length(stop)
        if len(data) != length or data.count(b"\0", stop) != length - stop:
            raise MalformedError(
                f"{what}: expected {length} bytes that end with {length - stop} zeros", subject=what
            )
        original = None if original_length is None else data[middle:stop]
        return cls(**fields, residual=data[start:middle], original=original)


def _read_line(line: bytes, *, what: str) -> tuple[dict[str, Any], int, int | None]:
    if len(line) >= MAX_LINE_BYTES:
        raise MalformedError(f"{what}: expected a line of at most {MAX_LINE_BYTES} bytes", subject=what)
    value = parse_canonical(line, what=what)
    if isinstance(value, dict) and "version" in value:
        # before the fields: a newer version may have other ones
        Fields({"version": value["version"]}, ["version"], what=what).version("version", VERSION)
    reader = Fields(value, _FIELDS, what=what)
    residual = Fields(reader.raw("residual"), ("encoding", "length"), what=f"{what}: residual")
    if residual.raw("encoding") != ENCODING:
        raise residual.refuse("encoding", ENCODING)
    original_length = None
    if reader.raw("original") is not None:
        original = Fields(reader.raw("original"), ("length",), what=f"{what}: original")
        original_length = original.integer("length", high=MAX_ORIGINAL_BYTES)
    fields = {
        "release": reader.hexadecimal("release", RELEASE_ID_BYTES).hex(),
        "index": reader.integer("index", high=MAX_INDEX),
        "name": relative_name(reader.text("name", max_length=MAX_NAME_LENGTH), what=what),
        "original_name": relative_name(reader.text("original_name", max_length=MAX_NAME_LENGTH), what=what),
        "method": reader.text("method", max_length=64),
        "marks": _read_marks(reader),
        "seeds": _read_seeds(reader),
        "facts": _read_facts(reader),
        "salt": reader.hexadecimal("salt", 32),
    }
    for name in ("file", "pixels", "owner", "logo", "metadata", "original_file", "original_pixels"):
        fields[name] = reader.digest(name)
    return fields, residual.integer("length", high=MAX_RESIDUAL_BYTES), original_length


def relative_name(name: str, *, what: str) -> str:
    """Return a name that cannot leave its folder.

    Raises:
        MalformedError: If it could, or is no valid Unicode.
    """
    try:
        if not is_plain(name):
            raise InputError(f"{what}: expected a name without control characters", subject=what)
        return check_relative_name(name, what=what).as_posix()
    except InputError as error:
        raise MalformedError(str(error)) from None


def _read_marks(reader: Fields) -> tuple[AnyMark, ...]:
    try:
        return tuple(read_mark(mark) for mark in reader.items("marks", min_items=1, max_items=MAX_MARKS))
    except InputError as error:
        raise MalformedError(f"{reader.what}: {error}", subject=reader.what) from None


def _read_seeds(reader: Fields) -> dict[str, int]:
    seeds = reader.mapping("seeds")
    if any(type(seed) is not int or not 0 <= seed <= MAX_INTEGER for seed in seeds.values()):
        raise reader.refuse("seeds", f"integers of 0 to {MAX_INTEGER}")
    return seeds


def _read_facts(reader: Fields) -> dict[str, Fact]:
    facts = reader.mapping("facts")
    for fact in facts.values():
        plain = isinstance(fact, str) and len(fact) <= 65536
        if not plain and type(fact) is not bool and (type(fact) is not int or abs(fact) > MAX_INTEGER):
            raise reader.refuse("facts", "text, integers, true or false")
    return facts


def padded_length(length: int) -> int:
    """Return the Padmé length: at least ``length``, at most 12 % more, telling O(log log) bits of it.

    >>> padded_length(14_400), padded_length(1)
    (14848, 2)
    """
    if length < 2:
        return 2
    exponent = length.bit_length() - 1
    free_bits = exponent - exponent.bit_length()
    mask = (1 << free_bits) - 1
    return (length + mask) & ~mask


def seal_record(record: SealedRecord, secret: ReleaseSecret) -> bytes:
    """Seal a record to its image's identity and to the release's one.

    Returns:
        One binary age file, about 450 bytes longer than the padded record.

    Raises:
        MalformedError: If the record is of another release or out of range.
    """
    what = f"sealed record {record.index}"
    if record.release != secret.release:
        raise MalformedError(f"{what}: expected release {secret.release}, got {record.release}", subject=what)
    recipients = [secret.whole_recipient, secret.image_recipient(record.index)]
    return seal(record.to_bytes(), recipients, what=what)


def open_record(blob: bytes, identities: Sequence[Identity], *, what: str) -> SealedRecord:
    """Open one sealed record.

    Raises:
        NoMatchingKeyError: If none of the identities opens it.
        MalformedError: If it is damaged or breaks the format.
    """
    return SealedRecord.from_bytes(unseal(blob, identities, what=what), what=what)
