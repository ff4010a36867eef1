"""Reading a release: nothing is handed out whose digest does not lead up to the pinned owner's signature."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from medlocker.certificates._companionrecord import CompanionRecord
from medlocker.certificates._companions import (
    COMPANION_SEALS,
    COMPANIONS,
    MAX_COMPANIONS_BYTES,
    CompanionEntry,
    CompanionLine,
    parse_companions,
)
from medlocker.certificates._dsse import MAX_STATEMENT_BYTES
from medlocker.certificates._foreign import os_reason
from medlocker.certificates._index import (
    MAX_SHARD_BYTES,
    SHARD_SIZE,
    IndexEntry,
    IndexLine,
    find_line,
    index_name,
    parse_shard,
    sealed_name,
)
from medlocker.certificates._record import SealedRecord
from medlocker.certificates._signing import VerifyKey
from medlocker.certificates._statement import LOGO, STATEMENT, Statement, read_statement
from medlocker.errors import CertificateError, InputError, MalformedError, OutputExistsError, WrongImageError
from medlocker.files import read_limited
from medlocker.logo import Logo, load_logo

IMAGES = "images"
_MAX_LOGO_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True)
class Release:
    """A release whose statement was checked; every method checks what it reads.

    Args:
        statement: What the owner states.
    """

    path: Path
    owner: VerifyKey
    statement: Statement

    def shard_lines(self, shard: int) -> list[IndexLine]:
        """Return the lines of one shard.

        Raises:
            WrongImageError: If the shard is missing or not the signed one.
            MalformedError: If it breaks the format.
        """
        return parse_shard(self._shard(shard), shard=shard)

    def _shard(self, shard: int) -> bytes:
        return self.read(index_name(shard), max_bytes=MAX_SHARD_BYTES)

    def lines(self) -> Iterator[IndexLine]:
        """Yield every image's line, shard by shard.

        Raises:
            CertificateError: See :meth:`shard_lines`; also if the number of images is not the stated one.
        """
        count = 0
        for shard in self.statement.shards:
            for line in self.shard_lines(shard):
                count += 1
                yield line
        if count != self.statement.images:
            raise MalformedError(f"index: expected {self.statement.images} images, got {count}")

    def line(self, index: int) -> IndexLine:
        """Return the line of one image.

        Raises:
            WrongImageError: If there is no such image.
            CertificateError: See :meth:`shard_lines`.
        """
        shard = index // SHARD_SIZE
        if shard in self.statement.shards:
            line = find_line(self._shard(shard), shard=shard, index=index)
            if line is not None:
                return line
        raise WrongImageError(f"image {index}: not in this release")

    def find_file(self, digest: str) -> IndexLine:
        """Return the line of a marked file by its SHA-256, wherever the file lies now.

        Raises:
            WrongImageError: If no image of the release has this digest.
            CertificateError: See :meth:`shard_lines`.
        """
        for shard in self.statement.shards:
            line = find_line(self._shard(shard), shard=shard, file=digest)
            if line is not None:
                return line
        raise WrongImageError(
            "the file is not one of this release", hint="it was changed, or belongs to another release"
        )

    def logo(self) -> Logo:
        """Return the logo that was put on.

        Raises:
            CertificateError: If it is not the signed one.
        """
        return load_logo(self.read(LOGO, max_bytes=_MAX_LOGO_BYTES), name=LOGO)

    def read_seal(self, line: IndexLine) -> bytes:
        """Return the sealed record of one image.

        Raises:
            WrongImageError: If the bytes are missing or not the signed ones.
        """
        name = sealed_name(line.entry.index // SHARD_SIZE)
        what = f"the record of image {line.entry.index}"
        return self._read_piece(name, line.offset, line.length, line.seal, what=what)

    def companions(self) -> list[CompanionLine]:
        """Return the lines of all files that are no marked images; none of most releases.

        Raises:
            WrongImageError: If the list is missing or not the signed one.
            MalformedError: If it breaks the format.
        """
        if not self.statement.has_companions:
            return []
        return parse_companions(self.read(COMPANIONS, max_bytes=MAX_COMPANIONS_BYTES))

    def find_companion(self, digest: str) -> CompanionLine | None:
        """Return the line of a file beside the images by its SHA-256, None if there is none.

        Raises:
            CertificateError: See :meth:`companions`.
        """
        return next((line for line in self.companions() if line.entry.file == digest), None)

    def read_companion(self, line: CompanionLine) -> bytes:
        """Return the sealed original of one companion.

        Raises:
            WrongImageError: If it has none, or the bytes are missing or not the signed ones.
        """
        what = f"the original of companion {line.number}"
        if line.seal is None:
            raise WrongImageError(f"{COMPANION_SEALS}: {what} is not sealed", subject=COMPANION_SEALS)
        return self._read_piece(
            COMPANION_SEALS, line.seal.offset, line.seal.length, line.seal.sha256, what=what
        )

    def _read_piece(self, name: str, offset: int, length: int, digest: str, *, what: str) -> bytes:
        try:
            path = self.path / "certificate" / name
            if path.exists() and not path.is_file():  # a pipe would wait for ever
                raise WrongImageError(f"{name}: expected a regular file", subject=name)
            with open(path, "rb") as stream:
                stream.seek(offset)
                blob = stream.read(length)
        except OSError as error:
            raise WrongImageError(f"{name}: {os_reason(error)}", subject=name) from error
        if hashlib.sha256(blob).hexdigest() != digest:
            raise WrongImageError(f"{name}: {what} is not the signed one", subject=name)
        return blob

    def image_path(self, entry: IndexEntry | CompanionEntry) -> Path:
        """Return where a marked file, or one beside them, lies.

        Raises:
            WrongImageError: If it is missing, or reached through a symbolic link.
        """
        path = self.path / IMAGES
        for part in entry.name.split("/"):
            path = path / part
            if path.is_symlink():
                raise WrongImageError(f"{entry.name}: expected no symbolic link", subject=entry.name)
        if not os.path.lexists(path):
            what = "marked file" if isinstance(entry, IndexEntry) else entry.kind
            raise WrongImageError(f"{entry.name}: the {what} is missing", subject=entry.name)
        return path

    def read(self, name: str, *, max_bytes: int) -> bytes:
        """Return a signed file below ``certificate/``.

        Raises:
            WrongImageError: If it is missing, too large, or not the signed one.
        """
        try:
            data = read_limited(self.path / "certificate" / name, max_bytes=max_bytes, what="certificate")
        except InputError as error:  # the statement says that it is there: no mistake of the user
            raise WrongImageError(str(error)) from error
        if hashlib.sha256(data).hexdigest() != self.statement.subjects[name]:
            raise WrongImageError(f"{name}: the file is not the signed one", subject=name)
        return data


def open_release(path: Path, owner: VerifyKey) -> Release:
    """Check a release's statement against the pinned owner.

    Args:
        owner: The key that must have signed.

    Raises:
        SignatureError: If the statement is not signed by this owner.
        MalformedError: If it breaks the format.
        InputError: If there is no release.
    """
    file = path / "certificate" / STATEMENT
    if not file.is_file():
        raise InputError(
            f"{path.name}: expected a finished release, which has certificate/{STATEMENT}",
            subject=path.name,
            hint="run protect again with the same output to finish an interrupted run",
        )
    data = read_limited(file, max_bytes=MAX_STATEMENT_BYTES, what="certificate")
    return Release(path, owner, read_statement(data, owner=owner))


def refuse_inside_release(out: Path, *, itself: bool = True) -> None:
    """Refuse an output inside a release: whoever verifies it would find files that its owner did not sign.

    Args:
        itself: Whether the release's own folder is refused too; only the run that writes it may have it.

    Raises:
        OutputExistsError: If so.
    """
    place = Path(os.path.realpath(out))
    for around in (place, *place.parents) if itself else place.parents:
        if (around / "certificate" / STATEMENT).is_file():
            raise OutputExistsError(
                f"the output {out.name} lies inside the release {around.name}, which must not change",
                hint="choose an output elsewhere",
            )


def check_binding(record: SealedRecord, line: IndexLine, release: Release) -> None:
    """Check that an opened record is the one of this image in this release by this owner.

    Raises:
        WrongImageError: If any of them differs.
    """
    entry = line.entry
    pairs = (
        ("release", record.release, release.statement.release),
        ("owner", record.owner, release.owner.key_id),
        ("number", record.index, entry.index),
        ("name", record.name, entry.name),
        ("file digest", record.file, entry.file),
        ("pixel digest", record.pixels, entry.pixels),
    )
    _compare(pairs, what=f"image {entry.index}: the sealed record")


def check_companion(record: CompanionRecord, line: CompanionLine, release: Release) -> None:
    """Check that an opened original is the one of this file in this release by this owner.

    Raises:
        WrongImageError: If any of them differs.
    """
    pairs = (
        ("release", record.release, release.statement.release),
        ("owner", record.owner, release.owner.key_id),
        ("name", record.name, line.entry.name),
        ("file digest", record.file, line.entry.file),
    )
    _compare(pairs, what=f"companion {line.number}: the sealed original")


def _compare(pairs: Iterable[tuple[str, object, object]], *, what: str) -> None:
    for name, inside, outside in pairs:
        if inside != outside:
            raise WrongImageError(f"{what} has another {name}")


def trust_failed(error: Exception) -> bool:
    """Tell whether an error means that trust or integrity failed."""
    return isinstance(error, CertificateError) or getattr(error, "exit_code", None) == 3
