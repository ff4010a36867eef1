"""The store's instances as a caller may see them: restored where a grant opens them, else as they are.

What is restored is proved by the owner's signature, digest by digest. A file that says that it is marked, but
is not one of the releases' signed files, is refused: nobody can say what was changed in it. A companion says
nothing of itself: a changed one is a file like any other, of no release.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitedError
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from medlocker.dicomweb import NotFoundError, Server, ServerGoneError, SilentServerError, find_instances
from medlocker.errors import (
    CertificateError,
    MedlockerError,
    RestoreError,
    TransferError,
    UnsupportedImageError,
    WrongImageError,
)
from medlocker.proxy._callers import Caller
from medlocker.proxy._fetching import fetch
from medlocker.proxy._known import Known, KnownInstances, Place
from medlocker.proxy._log import Seen
from medlocker.proxy._members import Member
from medlocker.proxy._parts import names_of
from medlocker.proxy._releases import ServedReleases
from medlocker.serving.cache import Cache

RESTORED, MARKED, FOREIGN, REFUSED = "restored", "marked", "not of a release", "refused"
AT_ONCE = 4
"""Instances that are fetched and restored at the same time."""
_AHEAD = 2
"""Instances of one request that wait for their turn: others get theirs in between."""
_MOST_WAIT_S = 600.0
_MOST_FAILURES = 20
"""After so many failures of the store one after the other nothing more is tried."""
T = TypeVar("T")


class BusyError(TransferError):
    """Too many others are served at this moment."""


@dataclass(frozen=True)
class Item:
    """One instance as a caller sees it.

    Args:
        place: On the store.
        uid: SOP Instance UID that the caller sees.
        state: ``restored``, ``marked``, or ``not of a release``.
        member: What it is of a release, or None.
        syntax: Transfer syntax of what is shown.
    """

    place: Place
    uid: str
    state: str
    member: Member | None
    syntax: str

    @property
    def seen(self) -> Seen:
        """The line of the log."""
        return Seen(self.state, self.member)


@dataclass(frozen=True)
class Shown:
    """An instance with its file."""

    item: Item
    data: bytes


@dataclass(frozen=True)
class Listing(Generic[T]):
    """What became of several instances.

    Args:
        found: In order, with what was made of each.
        refused: Why the others are left out.
    """

    found: tuple[tuple[Item, T], ...]
    refused: tuple[MedlockerError, ...]


class Instances:
    """All that the proxy can show.

    Args:
        cache_bytes: Memory for files that were asked for last.
        only_restored: Leave out what is not restored.
    """

    def __init__(
        self, server: Server, releases: ServedReleases, *, cache_bytes: int, only_restored: bool = False
    ) -> None:
        self.server = server
        self._releases = releases
        self._only_restored = only_restored
        self._known = KnownInstances()
        self._files = Cache[Shown](lambda shown: len(shown.data), most_bytes=cache_bytes)
        self._texts = Cache[tuple[Item, bytes]](lambda made: len(made[1]), most_bytes=cache_bytes // 4)
        self._workers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="proxy")

    def show(self, caller: Caller, asked: Place) -> Shown:
        """Return an instance by the UID that it has on the store, or that its original has.

        Raises:
            NotFoundError: If there is none, or it is left out.
            MedlockerError: See :meth:`_load`.
        """
        study, series, uid = asked
        try:
            return self.load(caller, Place(study, series, self.marked_uid(caller, *asked) or uid))
        except NotFoundError:
            # an original's, of a series that nobody has listed yet?
            self.items(caller, study, series)
            found = self.marked_uid(caller, *asked)
            if not found:
                raise NotFoundError("there is no such instance, or it is not shown to you") from None
            return self.load(caller, Place(study, series, found))

    def describe(
        self, caller: Caller, place: Place, make: Callable[[Shown], bytes], kind: str
    ) -> tuple[Item, bytes]:
        """Return what ``make`` makes of an instance of the store, perhaps from before; called by a worker.

        Args:
            kind: Stands for ``make``: what differs in it differs here.
        """
        known = self._known.find(place)
        opens = known is not None and caller.opening(known.member) is not None

        def anew() -> tuple[Item, bytes]:
            shown = self._load(caller, place)
            made = shown.item, make(shown)
            self._texts.keep((place, shown.item.state == RESTORED, kind), made)
            return made

        return anew() if known is None else self._texts.get((place, opens, kind), anew)

    def each(
        self, caller: Caller, places: Sequence[Place], work: Callable[[Place], tuple[Item, T]]
    ) -> Listing[T]:
        """Do something with several instances of the store; one that is refused costs only itself.

        Raises:
            TransferError: If the store is gone or silent, or fails many times.
        """
        found: dict[tuple[str, str], tuple[Item, T]] = {}
        refused: list[MedlockerError] = []
        failures = 0
        for result in self._results(places, work):
            if isinstance(result, MedlockerError):
                if not isinstance(result, NotFoundError):  # it went, or is left out
                    refused.append(result)
                    failures = failures + 1 if isinstance(result, TransferError) else 0
                if failures == _MOST_FAILURES:
                    raise result
                continue
            failures = 0
            item = result[0]
            key = item.place.series, item.uid
            # should another instance be called like a restored one, that one counts
            if key not in found or item.state == RESTORED:
                found[key] = result
        if not found and refused and isinstance(refused[0], TransferError):
            raise refused[0]
        return Listing(tuple(found.values()), tuple(refused))

    def items(self, caller: Caller, study: str, series: str = "") -> Listing[None]:
        """List a study or series as a caller sees it; what is not known yet is fetched and restored.

        Raises:
            NotFoundError: If the store has none.
            MedlockerError: See :meth:`each`.
        """
        return self.each(caller, self.places(study, series), lambda place: (self._item(caller, place), None))

    def places(self, study: str, series: str = "") -> list[Place]:
        """List the instances of a study or series on the store, by series and number.

        Raises:
            NotFoundError: If it has none.
            TransferError: If it cannot be asked.
        """
        found = find_instances(self.server, study, series)
        found.sort(key=lambda one: (one.series, one.number is not None, one.number or 0, one.uid))
        return [Place(study, one.series, one.uid) for one in found if series in ("", one.series)]

    def load(self, caller: Caller, place: Place) -> Shown:
        """Return an instance by the UID that it has on the store; see :meth:`show`."""
        return self._settled(self._workers.submit(self._load, caller, place))

    def marked_uid(self, caller: Caller, study: str, series: str, uid: str) -> str:
        """Return the UID on the store of the original that a caller may open; empty if it is not known."""
        found = self._known.marked_uid(study, series, uid)
        known = self._known.find(Place(study, series, found)) if found else None
        return found if known is not None and caller.opening(known.member) else ""

    def close(self) -> None:
        """End the workers; what waits is dropped."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _item(self, caller: Caller, place: Place) -> Item:
        known = self._known.find(place)
        if known is not None:
            opens = caller.opening(known.member) is not None
            if known.original or not opens:
                return self._kept_back(_item(place, known, is_restored=opens))
        return self._load(caller, place).item

    def _load(self, caller: Caller, place: Place) -> Shown:
        """Fetch an instance and restore it, if the caller may open it.

        Raises:
            NotFoundError: If the store does not have it, or it is left out.
            TransferError: If the store fails.
            CertificateError: If the file is not the signed one, or the release is not.
            RestoreError: If the original does not come back.
        """
        known = self._known.find(place)
        if known is None:
            return self._kept(self._anew(caller, place))
        opens = caller.opening(known.member) is not None
        return self._kept(self._files.get((place, opens), lambda: self._anew(caller, place)))

    def _anew(self, caller: Caller, place: Place) -> Shown:
        data = fetch(self.server, *place)
        try:
            names = names_of(data)
        except UnsupportedImageError as error:
            raise TransferError(f"the server sent: {error}") from error
        if (names.study, names.series, names.uid) != place:
            raise TransferError("the server answers with another instance than the one that was asked for")
        found = self._releases.find(hashlib.sha256(data).hexdigest())
        if found is None:
            if names.says_marked:
                raise WrongImageError(
                    "the instance says that it is marked, but it is not a signed file of the given releases",
                    hint="it was changed on the server, or belongs to another release",
                )
            known, opening = Known(None, names.syntax), None
        else:
            release, line = found
            member = release.member(line)
            opening = caller.opening(member)
            known = Known(member, names.syntax)
            before = self._known.find(place)
            if before is not None and before.member == member:  # another file may have lain there
                known = before
            if opening is not None:
                data = release.restored(data, line, opening.access)
                known = _with_original(known, data, member, place)
        self._known.keep(place, known)
        shown = Shown(_item(place, known, is_restored=opening is not None), data)
        self._files.keep((place, opening is not None), shown)
        return shown

    def _kept(self, shown: Shown) -> Shown:
        self._kept_back(shown.item)
        return shown

    def _kept_back(self, item: Item) -> Item:
        if self._only_restored and item.state != RESTORED:
            raise NotFoundError("the instance is not shown: it is not restored for you")
        return item

    def _results(
        self, places: Sequence[Place], work: Callable[[Place], tuple[Item, T]]
    ) -> Iterator[tuple[Item, T] | MedlockerError]:
        waiting: deque[Future[tuple[Item, T]]] = deque()
        try:
            for place in places:
                waiting.append(self._workers.submit(work, place))
                if len(waiting) > _AHEAD:
                    yield self._costs_itself(waiting.popleft())
            while waiting:
                yield self._costs_itself(waiting.popleft())
        finally:
            for future in waiting:
                future.cancel()

    def _costs_itself(self, future: Future[tuple[Item, T]]) -> tuple[Item, T] | MedlockerError:
        try:
            return self._settled(future)
        except (ServerGoneError, SilentServerError, BusyError):
            raise
        except (TransferError, CertificateError, RestoreError, UnsupportedImageError) as error:
            return error

    def _settled(self, future: Future[T]) -> T:
        try:
            return future.result(timeout=_MOST_WAIT_S)
        except WaitedError:
            future.cancel()
            raise BusyError("too many others are served at this moment") from None


def _item(place: Place, known: Known, *, is_restored: bool) -> Item:
    if is_restored:
        return Item(place, known.original, RESTORED, known.member, known.original_syntax)
    state = FOREIGN if known.member is None else MARKED
    return Item(place, place.uid, state, known.member, known.syntax)


def _with_original(known: Known, original: bytes, member: Member, place: Place) -> Known:
    names = names_of(original)
    if (names.study, names.series) != place[:2]:
        raise RestoreError(f"{member.word} {member.number}: the original is of another series")
    return replace(known, original=names.uid, original_syntax=names.syntax)
