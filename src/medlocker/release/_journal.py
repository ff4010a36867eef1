"""The journal of an unfinished run: what is done is never done again, what is half-done never counts.

``records.seal`` gets each sealed record, then ``journal.jsonl`` one line about it; a line that is torn, or
points past the end, is dropped together with everything behind it. Both are removed when the run ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from medlocker._files import make_folder, write_atomic
from medlocker.errors import InputError, WriteError
from medlocker.protect import Outcome

FOLDER = ".medlocker-run"
_LINES, _RECORDS, _RUN = "journal.jsonl", "records.seal", "run.json"


@dataclass(frozen=True)
class Done:
    """One finished image.

    Args:
        outcome: How it ended.
        entry: Public facts (name, file, pixels), empty if it was skipped.
        offset: Where its sealed record starts.
        length: Its length, 0 if it was skipped.
        stamp: What tells whether the input was changed since.
        series: Concealed name of the series whose marks it carries, empty if it stands alone.
    """

    outcome: Outcome
    entry: dict[str, str]
    offset: int
    length: int
    stamp: str = ""
    series: str = ""


class Journal:
    """An append-only account of a run, safe against being killed at any moment.

    Args:
        release: The release's folder.
        run: Facts that identify the run (digest of its options); another run may not continue it.

    Raises:
        InputError: If the folder holds an unfinished run with other facts, or another process writes there.
        WriteError: If the system refuses.
    """

    def __init__(self, release: Path, *, run: dict[str, str]) -> None:
        self._folder = release / FOLDER
        self._lock = threading.Lock()
        self._size = {_LINES: 0, _RECORDS: 0}
        with ExitStack() as stack, _errors():
            make_folder(self._folder)
            stack.callback(os.close, _hold(self._folder))
            path = self._folder / _RUN
            if path.exists():
                if json.loads(path.read_bytes()) != run:
                    raise InputError(
                        f"{release.name} holds an unfinished run with other inputs or options",
                        hint="repeat the first command exactly to finish it, or choose another --out",
                    )
            else:
                write_atomic(path, json.dumps(run, sort_keys=True).encode("utf-8"), overwrite=True)
            self.done = {done.outcome.index: done for done in self._read()}
            # a series keeps its marks, whatever became of the image that has them
            self.leads = {done.series: done for done in self.done.values() if done.series}
            # unbuffered: what the system refuses must not be tried again when closing
            self._files = {
                name: stack.enter_context(open(self._folder / name, "ab", buffering=0))
                for name in (_LINES, _RECORDS)
            }
            self._stack = stack.pop_all()

    def _read(self) -> Iterator[Done]:
        """Yield what is whole, and cut off the rest of both files."""
        lines, records = self._folder / _LINES, self._folder / _RECORDS
        lines.touch()
        records.touch()
        size = records.stat().st_size
        whole, end = 0, 0
        with lines.open("rb") as stream:
            for line in stream:
                try:
                    done = _from_line(line)
                except (ValueError, KeyError, TypeError, RecursionError):
                    break
                if not line.endswith(b"\n") or done.offset != end or end + done.length > size:
                    break
                whole, end = whole + len(line), end + done.length
                yield done
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
            pieces = {_RECORDS: record, _LINES: _to_line(done)}  # in this order
            try:
                for name, data in pieces.items():
                    _write_all(self._files[name], data)
            except OSError as error:
                for name, size in self._size.items():
                    with suppress(OSError):
                        self._files[name].truncate(size)
                raise WriteError(f"cannot write the journal: {(error.strerror or '').lower()}") from error
            for name, data in pieces.items():
                self._size[name] += len(data)
            self.done[outcome.index] = done

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
        del self.done[index]

    def close(self) -> None:
        """Close the files and let others go on."""
        self._stack.close()

    def remove(self) -> None:
        """Remove the journal: the release is complete.

        Raises:
            WriteError: If the system refuses.
        """
        with _errors():
            _clear(self._folder)
        self.close()


def is_unfinished(release: Path) -> bool:
    """Tell whether a folder holds a run that can be continued."""
    return (release / FOLDER / _RUN).is_file()


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


def _hold(folder: Path) -> int:
    """Keep other runs off a folder; the system lets go even of a killed process's lock."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InputError(
            f"another run is writing to {folder.parent.name}", hint="wait for it, or choose another --out"
        ) from None
    return descriptor


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


def _to_line(done: Done) -> bytes:
    value: dict[str, Any] = {
        "outcome": asdict(done.outcome),
        "entry": done.entry,
        "offset": done.offset,
        "length": done.length,
        "stamp": done.stamp,
        "series": done.series,
    }
    return json.dumps(value).encode("ascii") + b"\n"


def _from_line(line: bytes) -> Done:
    value = json.loads(line)
    fields = dict(value["outcome"])
    for name in ("clean_correct", "fooled", "notes", "withstood"):
        fields[name] = tuple(fields[name])
    offset, length = int(value["offset"]), int(value["length"])
    return Done(Outcome(**fields), value["entry"], offset, length, str(value["stamp"]), str(value["series"]))
