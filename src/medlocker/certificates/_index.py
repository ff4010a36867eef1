"""The public line of one image, and the shards that hold 4096 of them.

A line says which file belongs to the release and where its sealed record lies. It says nothing about the
original or the mark.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from medlocker.certificates._canonical import Fields, parse_canonical, to_canonical
from medlocker.certificates._record import MAX_INDEX, MAX_NAME_LENGTH, MAX_SEAL_BYTES, relative_name
from medlocker.errors import MalformedError

SHARD_SIZE = 4096
"""Image ``i`` is in shard ``i // 4096``; a shard without images has no files."""

MAX_SHARD_BYTES = SHARD_SIZE * 8192
MAX_OFFSET = 2**53 - 1


@dataclass(frozen=True)
class IndexEntry:
    """What is public about one image, before its sealed record has a place.

    Args:
        index: Number of the image in the release, 0 to 2**31 - 1; numbers may be left out.
        name: Of the marked file, relative to ``images/``, forward slashes, valid Unicode.
        file: SHA-256 of the marked file.
        pixels: Pixel digest of the marked pixels, as re-read from that file.

    Raises:
        MalformedError: If a value is out of range; the message names the field.
    """

    index: int
    name: str
    file: str
    pixels: str

    def __post_init__(self) -> None:
        reader = Fields(vars(self), ("index", "name", "file", "pixels"), what=f"image {self.index!r:.20}")
        reader.integer("index", high=MAX_INDEX)
        relative_name(reader.text("name", max_length=MAX_NAME_LENGTH), what=reader.what)
        reader.digest("file")
        reader.digest("pixels")


@dataclass(frozen=True)
class IndexLine:
    """One line of an index shard.

    Args:
        offset: Where its sealed record starts in ``sealed/NNNNN.seal``, bytes.
        length: Its length, bytes.
        seal: SHA-256 of the sealed record.
    """

    entry: IndexEntry
    offset: int
    length: int
    seal: str

    def to_json(self) -> bytes:
        """Return the line, canonical JSON with its newline."""
        entry = self.entry
        return (
            to_canonical(
                {
                    "index": entry.index,
                    "name": entry.name,
                    "file": entry.file,
                    "pixels": entry.pixels,
                    "seal": {"offset": self.offset, "length": self.length, "sha256": self.seal},
                }
            )
            + b"\n"
        )

    @classmethod
    def from_json(cls, line: bytes, *, what: str) -> IndexLine:
        """Read a line without its newline.

        Raises:
            MalformedError: If it is not canonical, has unknown fields, or a value is out of range.
        """
        reader = Fields(
            parse_canonical(line, what=what), ("index", "name", "file", "pixels", "seal"), what=what
        )
        seal = Fields(reader.raw("seal"), ("offset", "length", "sha256"), what=f"{what}: seal")
        return cls(
            IndexEntry(reader.raw("index"), reader.raw("name"), reader.raw("file"), reader.raw("pixels")),
            offset=seal.integer("offset", high=MAX_OFFSET),
            length=seal.integer("length", low=1, high=MAX_SEAL_BYTES),
            seal=seal.digest("sha256"),
        )


def index_name(shard: int) -> str:
    """Return a shard's public part, relative to ``certificate/``."""
    return f"index/{shard:05d}.jsonl"


def sealed_name(shard: int) -> str:
    """Return a shard's sealed part, relative to ``certificate/``."""
    return f"sealed/{shard:05d}.seal"


def parse_shard(data: bytes, *, shard: int) -> list[IndexLine]:
    """Read all lines of one index shard.

    Args:
        data: The file's bytes, digest checked by the caller.

    Returns:
        Lines with ascending index; sealed records lie one after the other, without gaps.

    Raises:
        MalformedError: If a line is wrong, repeated, out of order, or of another shard.
    """
    what = index_name(shard)
    if not data.endswith(b"\n"):
        raise MalformedError(f"{what}: expected whole lines", subject=what)
    lines: list[IndexLine] = []
    rows = data[:-1].split(b"\n")
    if len(rows) > SHARD_SIZE:
        raise MalformedError(f"{what}: expected at most {SHARD_SIZE} lines", subject=what)
    last, offset = shard * SHARD_SIZE - 1, 0
    for number, row in enumerate(rows, 1):
        line = IndexLine.from_json(row, what=f"{what} line {number}")
        index = line.entry.index
        if not last < index < (shard + 1) * SHARD_SIZE:
            raise MalformedError(
                f"{what} line {number}: expected ascending numbers of this shard, got {index}"
            )
        if line.offset != offset:
            raise MalformedError(f"{what} line {number}: expected the record at {offset}, got {line.offset}")
        last, offset = index, offset + line.length
        lines.append(line)
    return lines


def find_line(
    data: bytes, *, shard: int, index: int | None = None, file: str | None = None
) -> IndexLine | None:
    """Return one line of an index shard without reading the others, which a single image does not need.

    Args:
        data: The file's bytes, digest checked by the caller.
        index: The image's number, or
        file: the digest of its marked file.

    Raises:
        MalformedError: If that line is wrong.
    """
    # inside a name a quotation mark is escaped, so these bytes can only be a line's own fields
    needle = (
        b'","index":%d,"name":' % index
        if index is not None
        else b'{"file":"%b",' % (file or "").encode("ascii")
    )
    place = data.find(needle)
    if place < 0:
        return None
    start, end = data.rfind(b"\n", 0, place) + 1, data.find(b"\n", place)
    line = IndexLine.from_json(data[start:end], what=f"{index_name(shard)} at byte {start}")
    if line.entry.index // SHARD_SIZE != shard:
        raise MalformedError(f"{index_name(shard)}: expected images of this shard, got {line.entry.index}")
    return line


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces.

    Raises:
        OSError: If it cannot be read.
    """
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
