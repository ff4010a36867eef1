"""One placement per series over a whole run: which images belong together, and in which order work starts."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from medlocker.images import dicom_identity
from medlocker.protect import Lead, Outcome, Series
from medlocker.release._inputs import Input
from medlocker.search import file_threads

_AT_ONCE = 1024
"""Files whose headers are asked for together: a data set of any size waits in no queue."""

Key = Callable[[Path], str | None]
"""Names what a file belongs to, or is, by its header alone; None if there is nothing to name."""


def dicom_instance(path: Path) -> str | None:
    """Return a digest of a DICOM file's instance, None for other files."""
    found = dicom_identity(path)
    return None if found is None else found[1]


@dataclass(frozen=True)
class Groups:
    """Which images of a run carry the same marks.

    Args:
        keys: By index of an image, the key of its series; other images stand alone.
        members: By key of a series, the indices of its images, ascending.
        repeats: By index of an image that is there twice, the index of the first.
    """

    keys: Mapping[int, str] = field(default_factory=dict)
    members: Mapping[str, Sequence[int]] = field(default_factory=dict)
    repeats: Mapping[int, int] = field(default_factory=dict)


def find_groups(
    items: Sequence[Input],
    *,
    series_key: Key | None,
    instance: Key | None,
    workers: int = 2,
) -> Groups:
    """Read what series the images belong to; a few numbers for each image of a series are kept in memory.

    Args:
        items: The run's images.
        series_key: From a file to what near copies have in common; None to let every image stand alone.
        instance: From a file to what only its copies have in common; None to look for none.
        workers: Threads that read headers.
    """
    if series_key is None and instance is None:
        return Groups()
    keys: dict[int, str] = {}
    members: dict[str, list[int]] = {}
    repeats: dict[int, int] = {}
    first: dict[bytes, int] = {}
    once: dict[str, str] = {}

    def look(item: Input) -> tuple[str | None, str | None]:
        found = instance(item.path) if instance is not None else None
        return found, series_key(item.path) if series_key is not None else None

    with file_threads(workers) as threads:
        for start in range(0, len(items), _AT_ONCE):
            some = threads.map(look, items[start : start + _AT_ONCE])
            for index, (identity, key) in enumerate(some, start):
                if identity is not None and (found := first.setdefault(_short(identity), index)) != index:
                    repeats[index] = found
                elif key is not None:
                    key = once.setdefault(key, key)  # one text a series, not one an image
                    members.setdefault(key, []).append(index)
                    keys[index] = key
    return Groups(keys, members, repeats)


def _short(identity: str) -> bytes:
    return hashlib.sha256(identity.encode("utf-8", "surrogateescape")).digest()[:16]


@dataclass(frozen=True)
class Planned:
    """One image to start with now.

    Args:
        index: Its place in the data set.
        series: The images that carry the same marks, or None.
        lead: Their marks, or None where they are still to be searched.
    """

    index: int
    series: Series | None = None
    lead: Lead | None = None


@dataclass(eq=False)
class _Waiting:
    series: Series
    rest: deque[int]


class Order:
    """The order in which images are started: the others of a series when its leader is marked.

    The middle image leads: it is most like all others. If it cannot be marked the next one does. Images whose
    leader is done come before new series, so that few series are open at once. :meth:`take` ends when nothing
    can be started *now*; when all that runs has finished, there may be more.

    Args:
        items: The run's images.
        groups: Which belong together.
        done: Indices of images that need no work.
        known: From the key of a series to the marks that an earlier, interrupted run gave it, or None.
        found: From the index of a marked image to its marks.
    """

    def __init__(
        self,
        items: Sequence[Input],
        groups: Groups,
        *,
        done: Collection[int],
        known: Callable[[str], Lead | None],
        found: Callable[[int], Lead],
    ) -> None:
        self._items = items
        self._groups = groups
        self._done = done
        self._known = known
        self._found = found
        self._ready: deque[Planned] = deque()
        self._waiting: dict[int, _Waiting] = {}
        self._fresh = self._plan()

    @property
    def has_more(self) -> bool:
        """Whether images became ready that were not yet taken."""
        return bool(self._ready)

    def take(self) -> Iterator[Planned]:
        """Yield images to start now."""
        while True:
            planned = self._ready.popleft() if self._ready else next(self._fresh, None)
            if planned is None:
                return
            yield planned

    def finished(self, outcome: Outcome) -> None:
        """Let the images follow that waited for this one."""
        waiting = self._waiting.pop(outcome.index, None)
        if waiting is None:
            return
        if outcome.status == "marked":
            lead = self._found(outcome.index)
            self._ready.extend(Planned(index, waiting.series, lead) for index in waiting.rest)
        elif waiting.rest:
            self._ready.appendleft(self._lead(waiting))

    def _lead(self, waiting: _Waiting) -> Planned:
        index = waiting.rest.popleft()
        self._waiting[index] = waiting
        return Planned(index, waiting.series)

    def _plan(self) -> Iterator[Planned]:
        opened: set[str] = set()
        for index in range(len(self._items)):
            key = self._groups.keys.get(index)
            if key is None:
                if index not in self._done and index not in self._groups.repeats:
                    yield Planned(index)
            elif key not in opened:
                opened.add(key)
                yield from self._open(key)

    def _open(self, key: str) -> Iterator[Planned]:
        members = self._groups.members[key]
        middle = len(members) // 2
        in_turn = chain(members[middle:], members[:middle])
        rest = deque(index for index in in_turn if index not in self._done)
        if not rest:
            return
        series = Series(key, {self._items[index].name: self._items[index].path for index in members})
        lead = self._known(key)
        if lead is None:
            yield self._lead(_Waiting(series, rest))
        else:
            yield from (Planned(index, series, lead) for index in rest)
