"""Files of a release that are no marked images: what is public of each, and where its original lies sealed.

A ``companion`` is a changed file whose original bytes are sealed; a ``copy`` is an input's very bytes; a
``sidecar`` was made by the program, and restoring leaves it out. A release without such files has neither of
the two subjects.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from medlocker.certificates._canonical import Fields, parse_canonical, to_canonical
from medlocker.certificates._ranges import Ranges, read_ranges
from medlocker.certificates._record import MAX_NAME_LENGTH, MAX_SEAL_BYTES, relative_name
from medlocker.errors import InputError, MalformedError
from medlocker.files import read_limited

COMPANIONS, COMPANION_SEALS = "companions.jsonl", "companions.seal"
MAX_COMPANIONS_BYTES = 1 << 29
MAX_COMPANIONS = 1 << 21
MAX_RANGES = 4096
_MAX_OFFSET = 2**53 - 1
_FIELDS = ("name", "file", "kind", "images", "seal")

CompanionKind = Literal["companion", "copy", "sidecar"]


@dataclass(frozen=True)
class CompanionEntry:
    """What is public about one file that is no marked image, before its original has a place.

    Args:
        name: Relative to ``images/``, forward slashes; no image has it.
        file: SHA-256 of the file in the release.
        kind: ``companion``, ``copy`` or ``sidecar``.
        images: Numbers of the images that it is about: ascending [first, last] pairs, both included, with
            gaps between them. Of a companion at least one: who may open all of these may open it too.

    Raises:
        MalformedError: If a value is out of range; the message names the field.
    """

    name: str
    file: str
    kind: CompanionKind
    images: Ranges = ()

    def __post_init__(self) -> None:
        what = f"companion {str(self.name)!r:.80}"
        reader = Fields(vars(self), ("name", "file", "kind", "images"), what=what)
        relative_name(reader.text("name", max_length=MAX_NAME_LENGTH), what=what)
        reader.digest("file")
        pairs = {"images": [list(pair) for pair in self.images]}
        read_ranges(Fields(pairs, pairs, what=what), "images", max_items=MAX_RANGES)
        if self.kind not in get_args(CompanionKind):
            raise reader.refuse("kind", "companion, copy or sidecar")
        if self.kind == "companion" and not self.images:
            raise reader.refuse("images", "those that the companion is about")

    def is_covered_by(self, images: Collection[int]) -> bool:
        """Tell whether all images that it is about are among some."""
        count = sum(last - first + 1 for first, last in self.images)
        return count <= len(images) and all(
            index in images for first, last in self.images for index in range(first, last + 1)
        )


@dataclass(frozen=True)
class SealPlace:
    """Where a sealed original lies in ``companions.seal``.

    Args:
        offset: First byte.
        length: Bytes.
        sha256: Of these bytes.
    """

    offset: int
    length: int
    sha256: str


@dataclass(frozen=True)
class CompanionLine:
    """One line of ``companions.jsonl``.

    Args:
        number: Of the line, from 0; the identity that opens its original is derived from it.
        seal: None of a copy and of a sidecar.
    """

    entry: CompanionEntry
    number: int
    seal: SealPlace | None

    def to_json(self) -> bytes:
        """Return the line, canonical JSON with its newline."""
        entry = self.entry
        value: dict[str, Any] = {
            "name": entry.name,
            "file": entry.file,
            "kind": entry.kind,
            "images": [list(pair) for pair in entry.images],
            "seal": None if self.seal is None else vars(self.seal),
        }
        return to_canonical(value) + b"\n"

    @classmethod
    def from_json(cls, line: bytes, *, number: int, what: str) -> CompanionLine:
        """Read a line without its newline.

        Raises:
            MalformedError: If it is not canonical, has unknown fields, or a value is out of range.
        """
        reader = Fields(parse_canonical(line, what=what), _FIELDS, what=what)
        images = read_ranges(reader, "images", max_items=MAX_RANGES)
        entry = CompanionEntry(reader.raw("name"), reader.raw("file"), reader.raw("kind"), images)
        if (reader.raw("seal") is not None) != (entry.kind == "companion"):
            raise reader.refuse("seal", "there for a companion and for nothing else")
        if reader.raw("seal") is None:
            return cls(entry, number, None)
        seal = Fields(reader.raw("seal"), ("offset", "length", "sha256"), what=f"{what}: seal")
        place = SealPlace(
            seal.integer("offset", high=_MAX_OFFSET),
            seal.integer("length", low=1, high=MAX_SEAL_BYTES),
            seal.digest("sha256"),
        )
        return cls(entry, number, place)


def parse_companions(data: bytes) -> list[CompanionLine]:
    """Read all lines of ``companions.jsonl``.

    Args:
        data: The file's bytes, digest checked by the caller.

    Returns:
        Lines with ascending names; sealed originals lie one after the other, without gaps.

    Raises:
        MalformedError: If a line is wrong, repeated or out of order.
    """
    what = COMPANIONS
    if not data.endswith(b"\n"):
        raise MalformedError(f"{what}: expected whole lines", subject=what)
    rows = data[:-1].split(b"\n")
    if len(rows) > MAX_COMPANIONS:
        raise MalformedError(f"{what}: expected at most {MAX_COMPANIONS} lines", subject=what)
    lines: list[CompanionLine] = []
    last, offset = "", 0
    for number, row in enumerate(rows):
        line = CompanionLine.from_json(row, number=number, what=f"{what} line {number + 1}")
        if line.entry.name <= last:
            raise MalformedError(f"{what}: expected ascending names", subject=what)
        if line.seal is not None:
            if line.seal.offset != offset:
                raise MalformedError(f"{what}: expected sealed originals without gaps", subject=what)
            offset += line.seal.length
        lines.append(line)
        last = line.entry.name
    return lines


def unproved_names(release: Path) -> frozenset[str]:
    """Return the names of a release's files that are no marked images, **its signature not checked**.

    Nothing of a release without such files, or whose list cannot be read.
    """
    try:
        data = read_limited(
            release / "certificate" / COMPANIONS, max_bytes=MAX_COMPANIONS_BYTES, what="certificate"
        )
        return frozenset(line.entry.name for line in parse_companions(data))
    except (InputError, MalformedError):
        return frozenset()


def covered_numbers(lines: Sequence[CompanionLine], images: Collection[int]) -> list[int]:
    """Return the numbers of the companions that somebody may open who may open these images."""
    return [line.number for line in lines if line.seal is not None and line.entry.is_covered_by(images)]
