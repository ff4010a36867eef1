"""The journal of an unfinished run: what is done is never done again, what is half-done never counts.

Somebody else may be able to write into the folder of a release, on a shared drive for instance. So nothing in
it counts that the owner's key does not prove: the release's secret lies sealed in the head, every line has a
code (:mod:`medlocker.store`) and the digests of marked file and sealed record. What is not proved is made
again, with the same secret and therefore the same mark; a head that is not proved ends the run, since another
secret would draw another mark. All of it is removed when the run ends.
"""

from __future__ import annotations

import base64
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from medlocker.certificates import (
    IndexEntry,
    Owner,
    ReleaseSecret,
    open_owner_grant,
    seal_owner_grant,
    utc_now,
)
from medlocker.errors import InputError, MalformedError, WriteError
from medlocker.files import make_folder
from medlocker.locks import REMOVES_OPEN_FILES, is_locked, open_lock, try_lock
from medlocker.protect import Outcome
from medlocker.release._journalindex import Done, JournalIndex
from medlocker.store import Blob, Store, read_head, read_unproved
from medlocker.strictjson import from_json

FOLDER = ".medlocker-run"
STATEMENT = Path("certificate", "statement.dsse.json")
"""With this, written last, a release is complete."""
PUT_BACK = "put back the journal that was there, or choose another output: no run can go on without it"
_LINES, _WHAT = "journal", "the journal"
_TRIES, _PAUSE_S = 4, 0.05


class ChangedRecordsError(MalformedError):
    """Sealed records are not those that were sealed; they count no longer."""


class Journal:
    """An append-only account of a run, safe against being killed at any moment and against other writers.

    Args:
        run: Facts that identify the run (digest of its options); another run may not continue it.
        owner: Keys; what they do not prove does not count.
        kept: More that a new run remembers, see :func:`kept_of`.
        begin: Called with the id of a new release before there is one.
        ledger: Whether the owner's ledger is kept; a run that began with it does not go on without.

    Raises:
        InputError: If the folder holds an unfinished run with other facts, or another process writes there.
        MalformedError: If the head is not the owner's.
        WriteError: If the system refuses.
    """

    def __init__(
        self,
        release: Path,
        *,
        run: Mapping[str, str | int],
        owner: Owner,
        kept: Mapping[str, Any] | None = None,
        begin: Callable[[str], None] = lambda release: None,
        ledger: bool = False,
    ) -> None:
        self._folder = release / FOLDER
        self._lock = threading.Lock()
        self._images = int(run["images"])
        with ExitStack() as stack, _errors():
            make_folder(self._folder)
            stack.callback(os.close, hold(self._folder, release=release))
            head = _head(release, run, owner)
            if head is not None and head.get("ledger") is True and not ledger:
                raise InputError(
                    f"{release.name} holds an unfinished run that began with the owner's ledger",
                    hint="repeat the command without --no-ledger, or choose another --out",
                )
            self.is_new = head is None
            if head is None:
                secret = ReleaseSecret.new()
                begin(secret.release)
                grant = seal_owner_grant(secret, recipient=owner.recipient, signing=owner.signing)
                head = {
                    "run": dict(run),
                    "begun": utc_now(),
                    "folder": _name(release),
                    "kept": dict(kept or {}),
                    "ledger": ledger,
                    "grant": base64.b64encode(grant).decode("ascii"),
                }
            grant = base64.b64decode(head["grant"])
            self.secret = open_owner_grant(grant, owner.identity(), owner=owner.signing.public)
            """Of the release."""
            self.done: JournalIndex[int] = JournalIndex(self._at)
            # a series keeps its marks, whatever became of the image that has them
            self.leads: JournalIndex[str] = JournalIndex(self._at)
            self._donors: int | None = None
            self._store = Store(self._folder / _LINES, head, key=_key(owner), take=self._take, what=_WHAT)
            stack.callback(self._store.close)
            self._stack = stack.pop_all()

    @property
    def lost(self) -> bool:
        """Whether lines were found that the owner's key does not prove."""
        return self._store.lost

    def _at(self, mark: int) -> Done:
        try:
            return Done.from_json(self._store.value(mark), images=self._images)
        except ValueError as error:
            raise WriteError(f"cannot read {_WHAT}: {error}") from error

    def _take(self, value: dict[str, Any], mark: int) -> None:
        if value.keys() == {"dropped"}:
            self.done.forget(value["dropped"])
        elif value.keys() == {"donors", "blob"}:
            self._donors = mark
        else:
            self._count(*Done.brief(value, images=self._images), mark)

    def add(
        self,
        outcome: Outcome,
        *,
        entry: IndexEntry | None = None,
        record: bytes | None = None,
        stamp: str = "",
        series: str = "",
    ) -> None:
        """Append one finished image, with its public line and its sealed record if it is marked.

        Raises:
            WriteError: If the system refuses; the journal is as before.
        """
        done = Done(outcome, entry, stamp, series)
        with self._lock:
            self._count(outcome.index, outcome.status, series, self._store.add(done.to_json(), record))

    def _count(self, index: int, status: str, series: str, mark: int) -> None:
        if status == "failed":  # is tried again when the run is resumed
            self.done.forget(index)
        else:
            self.done.note(index, mark)
            if series and series not in self.leads:
                self.leads.note(series, mark)

    def marked(self) -> Iterator[tuple[IndexEntry, bytes]]:
        """Yield public line and sealed record of every marked image, in order of their numbers.

        Raises:
            ChangedRecordsError: At the end, if some records were changed; those images count no longer.
        """
        changed = []
        for index in sorted(self.done):
            done = self.done[index]
            if done.entry is None:
                continue
            try:
                yield done.entry, self.record(done)
            except MalformedError:
                changed.append(index)
        for index in changed:
            self.drop(index)
        if changed:
            raise ChangedRecordsError(
                f"somebody changed the sealed records of {len(changed)} images of the unfinished run",
                hint="repeat the command: they are made again",
            )

    def record(self, done: Done) -> bytes:
        """Return the sealed record of one marked image.

        Raises:
            MalformedError: If it is not the one that was sealed.
            WriteError: If it cannot be read.
        """
        if done.blob is None:
            raise MalformedError("expected a marked image")
        return self._store.blob(done.blob)

    def drop(self, index: int) -> None:
        """Let an image count as not done, also when the run is resumed; its series keeps its marks."""
        self._store.add({"dropped": index})
        self.done.forget(index)

    def donors(self) -> bytes | None:
        """Return what :meth:`keep_donors` was given; None if it was not, or somebody changed it."""
        if self._donors is None:
            return None
        with suppress(MalformedError):
            return self._store.blob(from_json(Blob, self._store.value(self._donors)["blob"]))
        return None

    def keep_donors(self, sealed: bytes) -> None:
        """Remember the run's sealed donors.

        Raises:
            WriteError: If the system refuses.
        """
        self._donors = self._store.add({"donors": True}, sealed)

    def close(self) -> None:
        """Close the files and let others go on."""
        self._stack.close()

    def remove(self) -> None:
        """Remove the journal: the release is complete.

        Raises:
            WriteError: If the system refuses.
        """
        with _errors():
            if not REMOVES_OPEN_FILES:
                (self._folder / _LINES).unlink(missing_ok=True)
                self.close()
            _clear(self._folder)
        self.close()


def _head(release: Path, run: Mapping[str, str | int], owner: Owner) -> dict[str, Any] | None:
    """Return the head of an unfinished run that may be continued, None if there is none."""
    said = unproved_head(release)
    if said is not None and said.get("run") != run:
        raise InputError(
            f"{release.name} holds an unfinished run with other inputs or options",
            hint="repeat the first command exactly to finish it, or choose another --out",
        )
    head = read_head(lines_path(release), key=_key(owner))
    if head is not None and head["folder"] != _name(release):
        raise InputError(
            f"{release.name} holds the unfinished run of another folder",
            hint="give the folder its first name again, or choose another --out",
        )
    return head


def _name(release: Path) -> str:
    return os.path.basename(os.path.abspath(release))


def _key(owner: Owner) -> bytes:
    return owner.signing.derive("run")


def kept_of(release: Path, owner: Owner) -> dict[str, Any]:
    """Return what an unfinished run was told to remember, nothing if this owner's key does not prove it.

    Raises:
        WriteError: If it cannot be read.
    """
    try:
        head = read_head(lines_path(release), key=_key(owner))
    except MalformedError:
        return {}
    return {} if head is None else dict(head["kept"])


def unproved_head(release: Path) -> dict[str, Any] | None:
    """Return what an unfinished run says of itself, None if unreadable; **anybody may have written it**."""
    try:
        return next(read_unproved(lines_path(release)), None)
    except (OSError, ValueError):
        return None


def lines_path(release: Path) -> Path:
    """Return where an unfinished run notes what is done."""
    return release / FOLDER / _LINES


def is_held(release: Path) -> bool:
    """Tell whether a run is writing to a folder now; asks the system, changes nothing."""
    return is_locked(release / FOLDER)


def is_unfinished(release: Path) -> bool:
    """Tell whether a folder holds a run that can be continued."""
    return lines_path(release).is_file()


def has_lost_journal(release: Path) -> bool:
    """Tell whether a folder holds what a run made, with no journal that it could go on with."""
    folder = release / FOLDER
    if not folder.is_dir() or folder.is_symlink() or os.path.lexists(lines_path(release)):
        return False
    names = {path.name for path in release.iterdir()} - {FOLDER}
    return not (release / STATEMENT).exists() and bool(names) and names <= {"images", "certificate"}


def forget(release: Path) -> None:
    """Remove what a run left that was killed after its release was complete."""
    with suppress(OSError):
        _clear(release / FOLDER)


def _clear(folder: Path) -> None:
    # this one first: without it the rest counts no longer
    (folder / _LINES).unlink(missing_ok=True)
    for path in list(folder.iterdir()):
        path.unlink()
    folder.rmdir()


def hold(path: Path, *, release: Path) -> int:
    """Keep other runs off a file or folder; the system lets go even of a killed process's lock.

    Args:
        path: What is held until the descriptor is closed.
        release: The folder that it stands for.

    Returns:
        The descriptor.

    Raises:
        InputError: If another process holds it.
        OSError: If it cannot be opened.
    """
    with ExitStack() as stack:
        descriptor = open_lock(path, make=True)
        stack.callback(os.close, descriptor)
        for _ in range(_TRIES):  # is_locked may hold it for a moment
            if try_lock(descriptor):
                stack.pop_all()
                return descriptor
            time.sleep(_PAUSE_S)
    raise InputError(f"another run is writing to {release.name}", hint="wait for it, or choose another --out")


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(f"cannot write {_WHAT}: {(error.strerror or '').lower()}") from error
