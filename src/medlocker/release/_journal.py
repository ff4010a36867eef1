"""The journal of an unfinished run: what is done is never done again, what is half-done never counts.

``records.seal`` gets each sealed record, then ``journal.jsonl`` one line about it; a line that is torn, or
points past the end, is dropped together with everything behind it. Both are removed when the run ends.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from medlocker.errors import InputError, WriteError
from medlocker.files import make_folder, read_limited, write_atomic
from medlocker.locks import REMOVES_OPEN_FILES, is_locked, open_lock, try_lock
from medlocker.protect import Outcome
from medlocker.release._accounts import MAX_LINE_BYTES, Accounts, Done, read_lines, to_line

FOLDER = ".medlocker-run"
STATEMENT = Path("certificate", "statement.dsse.json")
"""With this, written last, a release is complete."""
_LINES, _RECORDS, _RUN = "journal.jsonl", "records.seal", "run.json"
_TRIES, _PAUSE_S = 4, 0.05


class Journal:
    """An append-only account of a run, safe against being killed at any moment.

    Args:
        run: Facts that identify the run (digest of its options); another run may not continue it.

    Raises:
        InputError: If the folder holds an unfinished run with other facts, or another process writes there.
        WriteError: If the system refuses.
    """

    def __init__(self, release: Path, *, run: Mapping[str, str | int]) -> None:
        self._folder = release / FOLDER
        self._lock = threading.Lock()
        self._size = {_LINES: 0, _RECORDS: 0}
        with ExitStack() as stack, _errors():
            make_folder(self._folder)
            stack.callback(os.close, hold(self._folder, release=release))
            path = self._folder / _RUN
            if path.exists():
                if read_facts(release) != run:
                    raise InputError(
                        f"{release.name} holds an unfinished run with other inputs or options",
                        hint="repeat the first command exactly to finish it, or choose another --out",
                    )
            else:
                write_atomic(path, json.dumps(dict(run), sort_keys=True).encode("utf-8"), overwrite=True)
            lines = self._folder / _LINES
            self.done: Accounts[int] = Accounts(lines)
            # a series keeps its marks, whatever became of the image that has them
            self.leads: Accounts[str] = Accounts(lines)
            self._read()
            # unbuffered: what the system refuses must not be tried again when closing
            self._files = {
                name: stack.enter_context(open(self._folder / name, "ab", buffering=0))
                for name in (_LINES, _RECORDS)
            }
            self._stack = stack.pop_all()

    def _read(self) -> None:
        """Count what is whole, and cut off the rest of both files."""
        lines, records = self._folder / _LINES, self._folder / _RECORDS
        lines.touch()
        records.touch()
        size = records.stat().st_size
        whole, end = 0, 0
        for length, done in read_lines(lines):
            if done.offset != end or end + done.length > size:
                break
            self._count(done, whole)
            whole, end = whole + length, end + done.length
        os.truncate(lines, whole)
        os.truncate(records, end)
        self._size = {_LINES: whole, _RECORDS: end}

    def add(
        self,
        outcome: Outcome,
        *,
        entry: dict[str, str] | None = None,
        record: bytes = b"",
        stamp: str = "",
        series: str = "",
    ) -> None:
        """Append one finished image.

        Raises:
            WriteError: If the system refuses; the journal is as before.
        """
        with self._lock:
            done = Done(outcome, entry or {}, self._size[_RECORDS], len(record), stamp, series)
            pieces = {_RECORDS: record, _LINES: to_line(done)}  # in this order
            try:
                for name, data in pieces.items():
                    _write_all(self._files[name], data)
                    if name == _RECORDS and data:  # a line never outlives a power cut that its record did not
                        os.fsync(self._files[name].fileno())
            except OSError as error:
                for name, size in self._size.items():
                    with suppress(OSError):
                        self._files[name].truncate(size)
                raise WriteError(f"cannot write the journal: {(error.strerror or '').lower()}") from error
            self._count(done, self._size[_LINES])
            for name, data in pieces.items():
                self._size[name] += len(data)

    def _count(self, done: Done, start: int) -> None:
        if done.outcome.status == "failed":  # is tried again when the run is resumed
            self.done.forget(done.outcome.index)
        else:
            self.done.note(done.outcome.index, start)
            if done.series and done.series not in self.leads:
                self.leads.note(done.series, start)

    def marked(self) -> Iterator[tuple[int, dict[str, str], bytes]]:
        """Yield (index, public facts, sealed record) of every marked image, in order of the index."""
        with (self._folder / _RECORDS).open("rb") as stream:
            for index in sorted(self.done):
                done = self.done[index]
                if done.length:
                    stream.seek(done.offset)
                    yield index, done.entry, stream.read(done.length)

    def record(self, done: Done) -> bytes:
        """Return the sealed record of one marked image.

        Raises:
            WriteError: If it cannot be read.
        """
        with _errors(), (self._folder / _RECORDS).open("rb") as stream:
            stream.seek(done.offset)
            return stream.read(done.length)

    def drop(self, index: int) -> None:
        """Let an image count as not done; its series keeps its marks."""
        self.done.forget(index)

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
                (self._folder / _RUN).unlink(missing_ok=True)
                self.close()
            _clear(self._folder)
        self.close()


def read_facts(release: Path) -> object:
    """Return the facts that an unfinished run was begun with, None if they cannot be read."""
    try:
        data = read_limited(release / FOLDER / _RUN, max_bytes=MAX_LINE_BYTES, what="journal")
        return json.loads(data)
    except (InputError, ValueError, RecursionError):
        return None


def lines_path(release: Path) -> Path:
    """Return where an unfinished run notes what is done."""
    return release / FOLDER / _LINES


def run_path(release: Path) -> Path:
    """Return what is written when a run begins, and never again."""
    return release / FOLDER / _RUN


def is_held(release: Path) -> bool:
    """Tell whether a run is writing to a folder now; asks the system, changes nothing."""
    return is_locked(release / FOLDER)


def is_unfinished(release: Path) -> bool:
    """Tell whether a folder holds a run that can be continued."""
    return run_path(release).is_file()


def forget(release: Path) -> None:
    """Remove what a run left that was killed after its release was complete."""
    with suppress(OSError):
        _clear(release / FOLDER)


def _clear(folder: Path) -> None:
    # this one first: without it the rest counts no longer
    (folder / _RUN).unlink(missing_ok=True)
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
        raise WriteError(f"cannot write the journal: {(error.strerror or '').lower()}") from error


def _write_all(file: IO[bytes], data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
