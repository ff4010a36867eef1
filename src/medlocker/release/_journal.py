"""The journal of an unfinished run: what is done is never done again, what is half-done never counts.

``records.seal`` gets each sealed record, then ``journal.jsonl`` one line about it; a line that is torn, or
points past the end, is dropped together with everything behind it. Both are removed when the run ends.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from medlocker._files import write_atomic
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
    """

    outcome: Outcome
    entry: dict[str, str]
    offset: int
    length: int


class Journal:
    """An append-only account of a run, safe against being killed at any moment.

    Args:
        release: The release's folder.
        run: Facts that identify the run (digest of its options); another run may not continue it.

    Raises:
        InputError: If the folder holds an unfinished run with other facts.
    """

    def __init__(self, release: Path, *, run: dict[str, str]) -> None:
        self._folder = release / FOLDER
        self._lock = threading.Lock()
        path = self._folder / _RUN
        if path.exists():
            if json.loads(path.read_bytes()) != run:
                raise InputError(
                    f"{release.name} holds an unfinished run with other inputs or options",
                    hint="repeat the first command exactly to finish it, or choose another --out",
                )
        else:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomic(path, json.dumps(run, sort_keys=True).encode("utf-8"), overwrite=True)
        self.done = {done.outcome.index: done for done in self._read()}
        self._lines: IO[bytes] = open(self._folder / _LINES, "ab")  # noqa: SIM115 (closed by close)
        self._records: IO[bytes] = open(self._folder / _RECORDS, "ab")  # noqa: SIM115

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
                except (ValueError, KeyError, TypeError):
                    break
                if not line.endswith(b"\n") or done.offset != end or end + done.length > size:
                    break
                whole, end = whole + len(line), end + done.length
                yield done
        os.truncate(lines, whole)
        os.truncate(records, end)

    def add(self, outcome: Outcome, *, entry: dict[str, str] | None = None, record: bytes = b"") -> None:
        """Append one finished image.

        Raises:
            WriteError: If the system refuses; the journal is as before.
        """
        with self._lock:
            offset = self._records.tell()
            try:
                self._records.write(record)
                self._records.flush()
                done = Done(outcome, entry or {}, offset, len(record))
                self._lines.write(_to_line(done))
                self._lines.flush()
            except OSError as error:
                raise WriteError(f"cannot write the journal: {(error.strerror or '').lower()}") from error
            self.done[outcome.index] = done

    def marked(self) -> Iterator[tuple[int, dict[str, str], bytes]]:
        """Yield (index, public facts, sealed record) of every marked image, in order of the index."""
        with (self._folder / _RECORDS).open("rb") as stream:
            for index in sorted(self.done):
                done = self.done[index]
                if done.length:
                    stream.seek(done.offset)
                    yield index, done.entry, stream.read(done.length)

    def close(self) -> None:
        """Close the files."""
        self._lines.close()
        self._records.close()

    def remove(self) -> None:
        """Remove the journal: the release is complete."""
        self.close()
        for name in (_LINES, _RECORDS, _RUN):
            (self._folder / name).unlink(missing_ok=True)
        self._folder.rmdir()


def _to_line(done: Done) -> bytes:
    value: dict[str, Any] = {
        "outcome": asdict(done.outcome),
        "entry": done.entry,
        "offset": done.offset,
        "length": done.length,
    }
    return json.dumps(value).encode("ascii") + b"\n"


def _from_line(line: bytes) -> Done:
    value = json.loads(line)
    fields = dict(value["outcome"])
    for name in ("clean_correct", "fooled", "notes"):
        fields[name] = tuple(fields[name])
    return Done(Outcome(**fields), value["entry"], int(value["offset"]), int(value["length"]))
