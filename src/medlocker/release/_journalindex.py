"""Accounts of finished images: one line of the journal each, kept on disk and read again when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from medlocker.certificates import IndexEntry
from medlocker.protect import Outcome
from medlocker.store import Blob
from medlocker.strictjson import from_json

K = TypeVar("K", int, str)


@dataclass(frozen=True)
class Done:
    """One finished image.

    Args:
        outcome: How it ended.
        entry: Its public line, None if it was not marked.
        stamp: What tells whether the input was changed since.
        series: Concealed name of the series whose marks it carries, empty if it stands alone.
        blob: Where its sealed record lies, None if it was not marked.
    """

    outcome: Outcome
    entry: IndexEntry | None = None
    stamp: str = ""
    series: str = ""
    blob: Blob | None = None

    def to_json(self) -> dict[str, Any]:
        """Return its line, without what the store gives: where the record lies."""
        entry = None if self.entry is None else vars(self.entry)  # asdict takes as long as all the rest
        return {"outcome": vars(self.outcome), "entry": entry, "stamp": self.stamp, "series": self.series}

    @staticmethod
    def brief(value: Mapping[str, Any], *, images: int) -> tuple[int, str, str]:
        """Return number, status and series of a line: all that is wanted of most, and four times as fast.

        Raises:
            ValueError: If it has another form.
        """
        outcome, series = value.get("outcome"), value.get("series")
        if type(outcome) is not dict or type(series) is not str:
            raise ValueError("expected an outcome and a series")
        index, status = outcome.get("index"), outcome.get("status")
        if type(index) is not int or not 0 <= index < images or status not in ("marked", "skipped", "failed"):
            raise ValueError("expected a number of this run, and how it ended")
        if (status == "marked") != ("blob" in value):
            raise ValueError("expected a record with every marked image")
        return index, str(status), series

    @classmethod
    def from_json(cls, value: Mapping[str, Any], *, images: int) -> Done:
        """Read a line.

        Args:
            value: As it lies in the journal.
            images: How many the run has.

        Raises:
            ValueError: If it has another form, or its parts do not fit together.
        """
        done = from_json(cls, {"blob": None, **value})
        index = done.outcome.index
        is_marked = done.outcome.status == "marked"
        counts = (index, done.outcome.evaluations, done.outcome.size_px, done.outcome.marks)
        if min(counts) < 0 or index >= images:
            raise ValueError("expected numbers of this run")
        if (done.entry is not None) != is_marked or (done.blob is not None) != is_marked:
            raise ValueError("expected a record with every marked image")
        if done.entry is not None and done.entry.index != index:
            raise ValueError("expected one number")
        if len(done.outcome.clean_correct) != len(done.outcome.fooled):
            raise ValueError("expected answers of the same models")
        return done


class JournalIndex(Mapping[K, Done], Generic[K]):
    """Finished images by a key; in memory is only the mark of each one's line.

    Args:
        read: From that mark to the account.
    """

    def __init__(self, read: Callable[[int], Done]) -> None:
        self._read = read
        self._marks: dict[K, int] = {}

    def __getitem__(self, key: K, /) -> Done:
        return self._read(self._marks[key])

    def __contains__(self, key: object, /) -> bool:
        return key in self._marks

    def __iter__(self) -> Iterator[K]:
        return iter(self._marks)

    def __len__(self) -> int:
        return len(self._marks)

    def note(self, key: K, mark: int) -> None:
        """Remember which line is about a key."""
        self._marks[key] = mark

    def forget(self, key: K) -> None:
        """Let a key count no longer, if it does."""
        self._marks.pop(key, None)
