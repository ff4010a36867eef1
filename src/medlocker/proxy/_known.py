"""What is known of the store's instances: which image or companion they are, and what the original is called.

An instance on the store has another SOP Instance UID than its original. The original's is only found by
restoring, so it is remembered, series by series, for a while.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

from medlocker.proxy._members import Member

_MOST_INSTANCES = 200_000
_MOST_AGE_S = 300.0


class Place(NamedTuple):
    """Where an instance lies on the store: UIDs."""

    study: str
    series: str
    uid: str


@dataclass(frozen=True)
class Known:
    """One instance of the store.

    Args:
        member: What it is of a release, or None.
        original: SOP Instance UID of the original; empty as long as nobody had it restored.
        syntax: Transfer syntax of the file that the store has.
        original_syntax: That of the original, once it is known.
    """

    member: Member | None
    syntax: str
    original: str = ""
    original_syntax: str = ""


@dataclass
class _Series:
    since: float
    instances: dict[str, Known] = field(default_factory=dict)
    originals: dict[str, str] = field(default_factory=dict)


class KnownInstances:
    """Remembers instances of the series that were asked for last; several threads may use it."""

    def __init__(self) -> None:
        self._series: OrderedDict[tuple[str, str], _Series] = OrderedDict()
        self._count = 0
        self._lock = threading.Lock()

    def find(self, place: Place) -> Known | None:
        """Return what is known of an instance of the store."""
        with self._lock:
            series = self._fresh(place)
            return None if series is None else series.instances.get(place.uid)

    def marked_uid(self, study: str, series: str, original: str) -> str:
        """Return what the instance is called on the store whose original has this UID; empty if unknown."""
        with self._lock:
            found = self._fresh(Place(study, series, ""))
            return "" if found is None else found.originals.get(original, "")

    def keep(self, place: Place, known: Known) -> None:
        """Remember an instance."""
        with self._lock:
            series = self._fresh(place)
            if series is None:
                series = self._series[place.study, place.series] = _Series(time.monotonic())
            self._count += place.uid not in series.instances
            series.instances[place.uid] = known
            if known.original:
                series.originals[known.original] = place.uid
            while self._count > _MOST_INSTANCES and len(self._series) > 1:
                self._count -= len(self._series.popitem(last=False)[1].instances)

    def _fresh(self, place: Place) -> _Series | None:
        key = place.study, place.series
        series = self._series.get(key)
        if series is None:
            return None
        if time.monotonic() - series.since > _MOST_AGE_S:
            self._count -= len(self._series.pop(key).instances)
            return None
        self._series.move_to_end(key)
        return series
