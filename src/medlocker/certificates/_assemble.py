"""Writing a certificate: shards in constant memory, the statement last.

Nothing is signed before everything it covers is on disk. A run that is killed here leaves no statement, and
the next one overwrites what it finds.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import IO

from medlocker.certificates._age import AGE_MAGIC, Recipient
from medlocker.certificates._companionrecord import CompanionRecord, seal_companion
from medlocker.certificates._companions import (
    COMPANION_SEALS,
    COMPANIONS,
    MAX_COMPANIONS,
    MAX_COMPANIONS_BYTES,
    CompanionEntry,
    CompanionLine,
    SealPlace,
)
from medlocker.certificates._foreign import os_reason
from medlocker.certificates._index import SHARD_SIZE, IndexEntry, IndexLine, index_name, sealed_name
from medlocker.certificates._names import NameSet
from medlocker.certificates._ownergrant import write_owner_grant
from medlocker.certificates._record import MAX_SEAL_BYTES
from medlocker.certificates._secret import ReleaseSecret
from medlocker.certificates._signing import SigningKey
from medlocker.certificates._statement import (
    LOGO,
    OWNER_AGE,
    POLICY,
    STATEMENT,
    PublicFacts,
    Statement,
    make_policy,
    make_statement,
    read_statement,
    utc_now,
)
from medlocker.errors import MalformedError, WriteError
from medlocker.files import TEMPORARY_PREFIX, make_folder, write_atomic
from medlocker.logo import Logo

CERTIFICATE = "certificate"


def assemble(
    release: Path,
    sealed: Iterable[tuple[IndexEntry, bytes]],
    *,
    secret: ReleaseSecret,
    signing: SigningKey,
    recipient: Recipient,
    logo: Logo,
    facts: PublicFacts,
    created: str | None = None,
    companions: Iterable[tuple[CompanionEntry, bytes | None]] = (),
) -> Statement:
    """Write the whole certificate of a release and sign it.

    What an earlier run left is overwritten, ``grants/owner.age`` too: somebody could have put another one
    there meanwhile.

    Args:
        release: The release's folder; marked images are under ``images/``.
        sealed: Each image's entry and its sealed record, with ascending index; read once, one at a time.
        signing: The owner's signing key.
        recipient: The owner's public age key.
        logo: The picture that was put on.
        facts: What is made public.
        companions: Files that are no marked images, with ascending names, each with the original to seal
            (None of copies and sidecars); read once, after all images.

    Returns:
        The statement.

    Raises:
        MalformedError: If images or companions are out of order, a name comes twice, or a record is no age
            file.
        WriteError: If the system refuses.
    """
    folder = release / CERTIFICATE
    make_folder(folder)
    # without this, a kill below would leave an old statement beside new shards
    _remove(folder / STATEMENT)
    subjects: dict[str, str] = {}
    names = NameSet(entry.name for entry in _write_shards(folder, sealed, subjects=subjects))
    if names.has_repeats:
        raise MalformedError("release: expected every file name once")
    _sweep(folder, keep=set(subjects))
    _write_companions(folder, companions, images=names, secret=secret, signing=signing, subjects=subjects)
    for name, data in ((LOGO, logo.to_png()), (POLICY, make_policy(facts))):
        write_atomic(folder / name, data, overwrite=True)
        subjects[name] = hashlib.sha256(data).hexdigest()
    subjects[OWNER_AGE] = write_owner_grant(
        release, secret, recipient=recipient, signing=signing, overwrite=True
    )
    data = make_statement(
        facts,
        signing,
        release=secret.release,
        owner_age=recipient.key_id,
        images=len(names),
        subjects=subjects,
        created=created or utc_now(),
    )
    write_atomic(folder / STATEMENT, data, overwrite=True)
    return read_statement(data, owner=signing.public)


def _write_shards(
    folder: Path, sealed: Iterable[tuple[IndexEntry, bytes]], *, subjects: dict[str, str]
) -> Iterator[IndexEntry]:
    for part in ("index", "sealed"):
        make_folder(folder / part)
    last = -1
    for shard, group in groupby(sealed, key=lambda pair: pair[0].index // SHARD_SIZE):
        lines: list[bytes] = []
        offset = 0
        with _Stream(folder / sealed_name(shard)) as stream:
            for entry, blob in group:
                what = f"image {entry.index}"
                if entry.index <= last:
                    raise MalformedError(
                        f"{what}: expected ascending numbers, got it after {last}", subject=what
                    )
                if not blob.startswith(AGE_MAGIC) or len(blob) > MAX_SEAL_BYTES:
                    raise MalformedError(
                        f"{what}: expected an age file of at most {MAX_SEAL_BYTES} bytes", subject=what
                    )
                stream.write(blob)
                seal = hashlib.sha256(blob).hexdigest()
                lines.append(IndexLine(entry, offset, len(blob), seal).to_json())
                last, offset = entry.index, offset + len(blob)
                yield entry
            subjects[sealed_name(shard)] = stream.commit()
        index = b"".join(lines)
        write_atomic(folder / index_name(shard), index, overwrite=True)
        subjects[index_name(shard)] = hashlib.sha256(index).hexdigest()


def _write_companions(
    folder: Path,
    companions: Iterable[tuple[CompanionEntry, bytes | None]],
    *,
    images: NameSet,
    secret: ReleaseSecret,
    signing: SigningKey,
    subjects: dict[str, str],
) -> None:
    lines: list[bytes] = []
    offset, last = 0, ""
    with _Stream(folder / COMPANION_SEALS) as stream:
        for number, (entry, original) in enumerate(companions):
            if entry.name <= last or entry.name in images:
                raise MalformedError(
                    f"{entry.name}: expected ascending names that no image has", subject=entry.name
                )
            if (original is not None) != (entry.kind == "companion"):
                raise MalformedError(
                    f"{entry.name}: expected the original of a companion", subject=entry.name
                )
            place, last = None, entry.name
            if original is not None:
                record = CompanionRecord(
                    secret.release, signing.public.key_id, entry.name, entry.file, original
                )
                blob = seal_companion(record, secret, number=number)
                stream.write(blob)
                place = SealPlace(offset, len(blob), hashlib.sha256(blob).hexdigest())
                offset += len(blob)
            lines.append(CompanionLine(entry, number, place).to_json())
        if not lines:  # of an earlier run of the same
            _remove(folder / COMPANIONS)
            _remove(folder / COMPANION_SEALS)
            return
        if len(lines) > MAX_COMPANIONS or sum(map(len, lines)) > MAX_COMPANIONS_BYTES:
            raise MalformedError(f"{COMPANIONS}: expected at most {MAX_COMPANIONS} files beside the images")
        subjects[COMPANION_SEALS] = stream.commit()
    data = b"".join(lines)
    write_atomic(folder / COMPANIONS, data, overwrite=True)
    subjects[COMPANIONS] = hashlib.sha256(data).hexdigest()


class _Stream:
    """A file that is written in pieces and appears only when committed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.with_name(TEMPORARY_PREFIX + secrets.token_hex(8))
        self._digest = hashlib.sha256()
        self._file: IO[bytes]

    def __enter__(self) -> _Stream:
        try:
            self._file = open(self._temporary, "xb")  # closed in __exit__
        except OSError as error:
            raise _write_error(self._path, error) from error
        return self

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise _write_error(self._path, error) from error
        self._digest.update(data)

    def commit(self) -> str:
        """Make the file appear and return its SHA-256."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._temporary, self._path)
        except OSError as error:
            raise _write_error(self._path, error) from error
        return self._digest.hexdigest()

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # on a full disk closing fails as writing did; the file goes anyway
            self._file.close()
        _remove(self._temporary)


def _write_error(path: Path, error: OSError) -> WriteError:
    return WriteError(f"cannot write {path.name}: {os_reason(error)}", subject=path.name)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise WriteError(f"cannot remove {path.name}: {os_reason(error)}", subject=path.name) from error


def _sweep(folder: Path, *, keep: set[str]) -> None:
    """Remove what an earlier, killed or larger, run left among the shards."""
    for part in ("index", "sealed"):
        for path in (folder / part).iterdir():
            if f"{part}/{path.name}" not in keep and not path.is_dir():
                _remove(path)
