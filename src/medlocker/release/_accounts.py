"""Accounts of finished images: one line of the journal each, kept on disk and read again when asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from medlocker.errors import WriteError
from medlocker.files import opened_regular
from medlocker.protect import Outcome

MAX_LINE_BYTES = 1 << 20

K = TypeVar("K", int, str)


@dataclass(frozen=True)
class Done:
    """One finished image.

    Args:
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


class Accounts(Mapping[K, Done], Generic[K]):
    """Finished images by a key; in memory is only where each one's line starts.

    Asking for one raises WriteError if the file cannot be read any more.

    Args:
        path: File of lines; what is added to it does not move what is there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._starts: dict[K, int] = {}

    def __getitem__(self, key: K, /) -> Done:
        start = self._starts[key]
        try:
            with opened_regular(self._path) as stream:
                stream.seek(start)
                return from_line(stream.readline(MAX_LINE_BYTES))
        except OSError as error:
            raise WriteError(f"cannot read the journal: {(error.strerror or '').lower()}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise WriteError("cannot read the journal: somebody changed it") from error

    def __contains__(self, key: object, /) -> bool:
        return key in self._starts

    def __iter__(self) -> Iterator[K]:
        return iter(self._starts)

    def __len__(self) -> int:
        return len(self._starts)

    def note(self, key: K, start: int) -> None:
        """Remember where the line about a key starts."""
        self._starts[key] = start

    def forget(self, key: K) -> None:
        """Let a key count no longer, if it does."""
        self._starts.pop(key, None)


def read_lines(path: Path) -> Iterator[tuple[int, Done]]:
    """Yield the length in bytes and the content of every line up to the first that is not whole."""
    with opened_regular(path) as stream:
        while line := stream.readline(MAX_LINE_BYTES):
            try:
                done = from_line(line)
            except (ValueError, KeyError, TypeError, RecursionError):
                return
            if not line.endswith(b"\n"):
                return
            yield len(line), done


def to_line(done: Done) -> bytes:
    """Return the line about one image."""
    value: dict[str, Any] = {
        "outcome": asdict(done.outcome),
        "entry": done.entry,
        "offset": done.offset,
        "length": done.length,
        "stamp": done.stamp,
        "series": done.series,
    }
    return json.dumps(value).encode("ascii") + b"\n"


def from_line(line: bytes) -> Done:
    """Return what a line says.

    Raises:
        ValueError, KeyError, TypeError, RecursionError: If it is no such line.
    """
    value = json.loads(line)
    fields = dict(value["outcome"])
    for name in ("clean_correct", "fooled", "notes", "withstood"):
        fields[name] = tuple(fields[name])
    offset, length = int(value["offset"]), int(value["length"])
    return Done(Outcome(**fields), value["entry"], offset, length, str(value["stamp"]), str(value["series"]))
