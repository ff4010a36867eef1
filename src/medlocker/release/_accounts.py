"""Accounts of finished images: one line of the journal each, kept on disk and read again when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from medlocker._typed import from_json
from medlocker.certificates import IndexEntry
from medlocker.protect import Outcome
from medlocker.store import Blob

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
        value = asdict(self)
        del value["blob"]
        return value

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


class Accounts(Mapping[K, Done], Generic[K]):
    """Finished images by a key; in memory is only where each one's line starts.

    Args:
        read: From that place to the account.
    """

    def __init__(self, read: Callable[[int], Done]) -> None:
        self._read = read
        self._starts: dict[K, int] = {}

    def __getitem__(self, key: K, /) -> Done:
        return self._read(self._starts[key])

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
