"""One placement per series over a whole run: which images belong together, and in which order work starts."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from medlocker.formats.dicom import dicom_identity
from medlocker.protect import Outcome, Series, SharedMarks
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
        members: By key of a series, the indices of its images, ascending, repeats too.
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
                if key is not None:
                    key = once.setdefault(key, key)  # one text a series, not one an image
                    members.setdefault(key, []).append(index)
                    keys[index] = key
    return Groups(keys, members, repeats)


def _short(identity: str) -> bytes:
    return hashlib.sha256(identity.encode("utf-8", "surrogateescape")).digest()[:16]


@dataclass(frozen=True)
class ScheduledImage:
    """One image to start with now.

    Args:
        index: Its place in the data set.
        series: The images that carry the same marks, or None.
        lead: Their marks, or None where they are still to be searched.
    """

    index: int
    series: Series | None = None
    lead: SharedMarks | None = None


@dataclass(eq=False)
class _Waiting:
    series: Series
    rest: deque[int]


class Scheduler:
    """The order in which images are started: the others of a series when its leader is marked.

    The middle image leads: it is most like all others. If it cannot be marked the next one does. Images whose
    leader is done come before new series, so that few series are open at once. :meth:`take` ends when nothing
    can be started *now*; when all that runs has finished, there may be more.

    An image that is there several times is started once; only if it cannot be marked, perhaps because this
    copy is damaged, the next copy takes over. Copies lead a series last, whenever their turn came.

    Args:
        done: Indices of images that need no work; of repeats only marked ones. May grow.
        known: From the key of a series to the marks that its images carry already, or None.
    """

    def __init__(
        self,
        items: Sequence[Input],
        groups: Groups,
        *,
        done: Collection[int],
        known: Callable[[str], SharedMarks | None],
    ) -> None:
        self._items = items
        self._groups = groups
        self._done = done
        self._known = known
        self._ready: deque[ScheduledImage] = deque()
        self._waiting: dict[int, _Waiting] = {}
        self._opened: set[str] = set()
        self._held = set(groups.repeats)
        self._repeats: dict[int, deque[int]] = {}
        for index, first in groups.repeats.items():
            self._repeats.setdefault(first, deque()).append(index)
        self._fresh = self._plan()

    def take(self) -> Iterator[ScheduledImage]:
        """Yield images to start now."""
        while True:
            planned = self._ready.popleft() if self._ready else next(self._fresh, None)
            if planned is None:
                return
            yield planned

    def finished(self, outcome: Outcome) -> list[tuple[int, int]]:
        """Let the images follow that waited for this one.

        Args:
            outcome: Of an image that was started, or that is among ``done`` from the beginning.

        Returns:
            Repeats that need no work, each with the marked image that it repeats.
        """
        waiting = self._waiting.pop(outcome.index, None)
        if waiting is not None and outcome.status == "marked":
            lead = self._known(waiting.series.key)
            self._ready.extend(ScheduledImage(index, waiting.series, lead) for index in waiting.rest)
        elif waiting is not None and waiting.rest:
            self._ready.appendleft(self._lead(waiting))
        copies = self._repeats.pop(outcome.index, deque())
        first = outcome.index
        if copies and outcome.status != "marked":
            first = copies.popleft()
            if first not in self._done:
                self._repeats[first] = copies
                self._take_over(first)
                return []
        return [(index, first) for index in copies if index not in self._done]

    def _take_over(self, index: int) -> None:
        """Let a repeat be worked on, as one more image of its series."""
        self._held.remove(index)
        key = self._groups.keys.get(index)
        if key is None:
            self._ready.append(ScheduledImage(index))
        elif key in self._opened:
            waiting = next((one for one in self._waiting.values() if one.series.key == key), None)
            if waiting is not None:
                waiting.rest.append(index)
            else:
                self._ready.extend(self._begin(key, deque((index,))))

    def _lead(self, waiting: _Waiting) -> ScheduledImage:
        index = waiting.rest.popleft()
        self._waiting[index] = waiting
        return ScheduledImage(index, waiting.series)

    def _plan(self) -> Iterator[ScheduledImage]:
        for index in range(len(self._items)):
            key = self._groups.keys.get(index)
            if key is None:
                if index not in self._done and index not in self._groups.repeats:
                    yield ScheduledImage(index)
            elif key not in self._opened:
                self._opened.add(key)
                yield from self._begin(key, self._in_turn(key))

    def _in_turn(self, key: str) -> deque[int]:
        """Return what is to be done of a series: from the middle on, then from its begin, then repeats."""
        firsts: list[int] = []
        repeats: list[int] = []
        for index in self._groups.members[key]:
            (repeats if index in self._groups.repeats else firsts).append(index)
        middle = len(firsts) // 2
        in_turn = chain(firsts[middle:], firsts[:middle], repeats)
        return deque(index for index in in_turn if index not in self._done and index not in self._held)

    def _begin(self, key: str, rest: deque[int]) -> Iterator[ScheduledImage]:
        if not rest:
            return
        members = self._groups.members[key]
        series = Series(key, {self._items[index].name: self._items[index].path for index in members})
        lead = self._known(key)
        if lead is None:
            yield self._lead(_Waiting(series, rest))
        else:
            yield from (ScheduledImage(index, series, lead) for index in rest)
