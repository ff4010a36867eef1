"""The owner's ledger: no original is ever marked in two ways.

Two differently marked versions of one image, merged pixel by pixel, give the original back. The ledger knows
every original that was marked, by a keyed digest (HMAC-SHA256 under a key derived from the owner's signing
key), so that the file by itself does not tell which images exist.

An original is claimed before its marked file gets its place, so a killed run leaves claims. They stay: its
files may have been copied out of the folder. Who knows that none was ever handed out may give that run up;
then its claims are void, and it can never be finished. So of two versions of an image, one stays without a
signed release, whatever is killed or runs at the same time. A run that is finished can not be given up, nor
one whose mark another release has repeated.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from medlocker.certificates._keys import OwnerPaths
from medlocker.certificates._sealedrows import SealedRows
from medlocker.certificates._signing import SigningKey
from medlocker.errors import AlreadyMarkedError, Code, InputError, WriteError

LEDGER = ".ledger.sqlite"
_VERSION = 1
_APPLICATION = 0x4D4C4B4C  # "MLKL"
_BUSY_S = 30.0
_BEGUN, _FINISHED, _GIVEN_UP = "begun", "finished", "given up"
_ID = re.compile("[0-9a-f]{32}")


class _Claim(NamedTuple):
    release: str
    marked: bytes
    is_finished: bool


def ledger_path(owner: OwnerPaths) -> Path:
    """Return where an owner's ledger lies: ``NAME.ledger.sqlite`` beside the keys."""
    return owner.path(LEDGER)


class Ledger:
    """Remembers which originals were marked, and how.

    Safe against two runs at once and for several threads: :meth:`record` decides in one transaction.

    Args:
        path: The ledger's file; made with mode 0600 if missing.
        signing: The owner's key; another owner's ledger is refused.

    Raises:
        InputError: If the file is no ledger, of another owner, or of a newer version.
        WriteError: If the system refuses.
    """

    def __init__(self, path: Path, signing: SigningKey) -> None:
        self._name = path.name
        self._key = signing.derive("ledger")
        self._lock = threading.RLock()
        self._freed: dict[str, str] = {}
        with self._errors():
            path.touch(mode=0o600, exist_ok=True)
            self._base = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        rows = partial(
            SealedRows,
            self._base,
            key=signing.derive("trace"),
            digest=self._digest,
            reading=self._errors,
            writing=self._writing,
            what=f"ledger {self._name}",
        )
        self.traces = rows("trace")
        """What is remembered of marked pictures, to find them again."""
        self.notes = rows("note")
        """What is remembered of reviews."""
        try:
            with self._errors():
                self._open()
        except BaseException:
            self._base.close()
            raise

    def _open(self) -> None:
        base = self._base
        self._write_ahead()
        base.execute("PRAGMA synchronous=NORMAL")
        base.execute("BEGIN IMMEDIATE")
        application = base.execute("PRAGMA application_id").fetchone()[0]
        version = base.execute("PRAGMA user_version").fetchone()[0]
        is_new = base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        owner = self._digest("owner")
        if is_new:
            base.execute("CREATE TABLE owner (check_value BLOB NOT NULL)")
            base.execute(
                "CREATE TABLE marking"
                " (original BLOB PRIMARY KEY, release TEXT NOT NULL, marked BLOB NOT NULL) WITHOUT ROWID"
            )
            base.execute("CREATE TABLE run (release TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID")
            base.execute("CREATE TABLE place (place BLOB PRIMARY KEY, release TEXT NOT NULL) WITHOUT ROWID")
            base.execute("INSERT INTO owner VALUES (?)", (owner,))
            base.execute(f"PRAGMA application_id={_APPLICATION}")
            base.execute(f"PRAGMA user_version={_VERSION}")
        elif application != _APPLICATION:
            raise InputError(f"ledger {self._name}: expected a medlocker ledger", subject=self._name)
        elif version != _VERSION:
            raise InputError(
                f"ledger {self._name}: expected version {_VERSION}, got {version}", subject=self._name
            )
        elif base.execute("SELECT check_value FROM owner").fetchall() != [(owner,)]:
            raise InputError(f"ledger {self._name}: it belongs to another owner's key", subject=self._name)
        # not in ledgers of version 0.2.0
        self.traces.create()
        self.notes.create()
        base.execute("COMMIT")

    def _write_ahead(self) -> None:
        """Ask for write-ahead logging; SQLite does not wait here if two runs make the ledger at once."""
        deadline = time.monotonic() + _BUSY_S
        while True:
            try:
                self._base.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def check(self, original: str, *, release: str) -> None:
        """Refuse an original that another release has marked already, before work is spent on it.

        Args:
            original: Pixel digest of the original, 64 hex digits.
            release: Id of the release that wants to mark it.

        Raises:
            AlreadyMarkedError: If another release has.
        """
        found = self._find(original)
        if found is not None and found.release not in (release, self._freed.get(original)):
            raise self._refusal(found, release)

    def knows(self, original: str) -> bool:
        """Tell whether an original was marked, or is being marked, in any release.

        Args:
            original: Its pixel digest.
        """
        return self._find(original) is not None

    def finished_in(self, original: str) -> str | None:
        """Return the id of the finished release that an original's mark is in, None if there is none.

        Args:
            original: Pixel digest of the original.
        """
        found = self._find(original)
        return found.release if found is not None and found.is_finished else None

    def free(self, originals: Iterable[str], *, release: str) -> None:
        """Let another release mark originals again, as long as this object lives.

        **Only for images whose marked version will never be given away**: the owner has signed so.

        Args:
            originals: Pixel digests.
            release: Id of the release that has marked them.
        """
        self._freed.update(dict.fromkeys(originals, release))

    def record(self, original: str, *, release: str, marked: str) -> None:
        """Remember that an original was marked; call it before the marked file gets its place.

        Repeating it with the same pixels does nothing: a run may be resumed, and the same marked image may be
        in two releases, which gives nobody anything new.

        Args:
            original: Pixel digest of the original.
            release: Id of the release.
            marked: Pixel digest of the marked pixels.

        Raises:
            AlreadyMarkedError: If it was marked in another way, in this release or another one.
            InputError: If this run was given up.
            WriteError: If the system refuses.
        """
        with self._writing():
            self._base.execute(
                "INSERT INTO marking VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
                " SET release = excluded.release, marked = excluded.marked"
                " WHERE release = ? OR release IN (SELECT release FROM run WHERE state = ?)",
                (
                    self._digest(f"original {original}"),
                    release,
                    self._digest(f"marked {marked}"),
                    self._freed.get(original),
                    _GIVEN_UP,
                ),
            )
            found = self._find(original)
            if found is None:
                raise _given_up(release)
            if found.marked != self._digest(f"marked {marked}"):
                raise self._refusal(found, release)
            if found.release != release:  # this release may be published, so that claim must stay
                self._change(found.release, _BEGUN, _FINISHED)

    def begin(self, release: str, *, folder: Path | None = None, is_new: bool = True) -> None:
        """Remember that a run is making a release, or goes on with it.

        Args:
            release: Its id.
            folder: Where; only a keyed digest of the path is kept.
            is_new: Whether it begins there. Else it must be the latest that began there: somebody could have
                put an earlier state of another one into the folder, whose secret was granted since.

        Raises:
            InputError: If it was given up, or another run began in the folder later.
            WriteError: If the system refuses.
        """
        with self._writing():
            if folder is not None:
                place = self._digest(f"folder {os.fsencode(os.path.abspath(folder)).hex()}")
                if is_new:
                    self._base.execute("INSERT OR REPLACE INTO place VALUES (?, ?)", (place, release))
                row = self._base.execute("SELECT release FROM place WHERE place = ?", (place,)).fetchone()
                if row is not None and row[0] != release:
                    raise InputError(
                        f"{folder.name} holds an earlier run than the one that began there",
                        hint="put back what was there, or choose another --out",
                    )
            self._base.execute("INSERT INTO run VALUES (?, ?) ON CONFLICT DO NOTHING", (release, _BEGUN))
            if self._state(release) == _GIVEN_UP:
                raise _given_up(release)

    def finish(self, release: str) -> None:
        """Let all claims of a release stay for good; call it before its statement is written.

        Raises:
            InputError: If it was given up.
            WriteError: If the system refuses.
        """
        with self._errors():  # not even a power cut may forget this: what is signed may be published
            self._base.execute("PRAGMA synchronous=FULL")
        with self._writing():
            self._change(release, _BEGUN, _FINISHED)
            if self._state(release) == _GIVEN_UP:
                raise _given_up(release)

    def give_up(self, release: str) -> None:
        """Make all claims of a run void that has not finished, and never let it finish.

        **Only for runs of which no marked file was ever handed out.**

        Args:
            release: Its id, as refusals tell it. One that was given up before may be given up again.

        Raises:
            InputError: If there is no such run, or it is finished.
            WriteError: If the system refuses.
        """
        with self._writing():
            is_id = _ID.fullmatch(release) is not None
            if is_id:
                self._change(release, _BEGUN, _GIVEN_UP)
            if not is_id or self._state(release) != _GIVEN_UP:
                raise InputError(
                    f"ledger {self._name}: expected the id of a run that has not finished, got {release!r}",
                    subject=self._name,
                )

    def __len__(self) -> int:
        with self._errors():
            return int(self._base.execute("SELECT count(*) FROM marking").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _find(self, original: str) -> _Claim | None:
        """Return the claim on an original that is not void."""
        with self._errors():
            row = self._base.execute(
                "SELECT release, marked, state FROM marking LEFT JOIN run USING (release) WHERE original = ?",
                (self._digest(f"original {original}"),),
            ).fetchone()
        if row is None or row[2] == _GIVEN_UP:
            return None
        return _Claim(str(row[0]), bytes(row[1]), row[2] != _BEGUN)

    def _state(self, release: str) -> object:
        row = self._base.execute("SELECT state FROM run WHERE release = ?", (release,)).fetchone()
        return None if row is None else row[0]

    def _change(self, release: str, old: str, new: str) -> None:
        self._base.execute("UPDATE run SET state = ? WHERE release = ? AND state = ?", (new, release, old))

    def _digest(self, text: str) -> bytes:
        return hmac.new(self._key, text.encode("ascii"), hashlib.sha256).digest()

    def _refusal(self, found: _Claim, release: str) -> AlreadyMarkedError:
        if found.release == release:
            return AlreadyMarkedError(
                "an image with these pixels is in this run already, marked in another way",
                hint="the same picture twice: leave one out, or give both the same label and regions",
                code=Code.ALREADY_MARKED_HERE,
                subject=release,
            )
        if not found.is_finished:
            return AlreadyMarkedError(
                f"an image with these pixels was marked in another way by a run that has not finished, "
                f"release {found.release}",
                hint="finish it with the command that started it; only if none of its files was given away: "
                f"--abandon-run {found.release}",
                code=Code.ALREADY_MARKED_UNFINISHED,
                subject=found.release,
            )
        return AlreadyMarkedError(
            f"an image with these pixels was marked in another way in release {found.release}",
            hint="two different marks reveal the original: give the first marked version again",
            subject=found.release,
        )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._errors(), self._base:  # the latter commits, or rolls back
            self._base.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter from names in a damaged one
            if isinstance(error, sqlite3.OperationalError):
                raise WriteError(f"ledger {self._name}: {error}", subject=self._name) from error
            raise InputError(
                f"ledger {self._name}: expected a medlocker ledger", subject=self._name
            ) from error
        except OSError as error:
            raise WriteError(
                f"ledger {self._name}: {(error.strerror or '').lower()}", subject=self._name
            ) from error


def _given_up(release: str) -> InputError:
    return InputError(
        f"release {release} was given up: its images may carry other marks now",
        hint="remove what this run made, and choose another --out",
    )
