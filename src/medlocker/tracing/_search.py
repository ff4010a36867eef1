"""Which of very many known pictures a found one was made of."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from medlocker.certificates import Release
from medlocker.errors import MedlockerError
from medlocker.formats import read_image
from medlocker.images import viewed
from medlocker.restore import read_marked
from medlocker.tracing._fingerprint import Fingerprint, Likeness, compare, fingerprint_of

CERTAIN_MATCHES = 30
"""More than pictures have in common that only have the same logo."""
_CLEARLY_MORE = 4
_FEW = 300
"""So many known pictures are all compared; of more the likeliest."""
_OTHERS = 9
"""Beside the best: so many more are worth a look at their marks."""
_WORDS = 1 << 14


@dataclass(frozen=True)
class Candidate:
    """A known picture.

    Args:
        release: Id of its release.
        index: Its number in it.
        name: Of the marked file.
        frame: Which frame or slice.
        fingerprint: Of the marked picture.
    """

    release: str
    index: int
    name: str
    frame: int
    fingerprint: Fingerprint


class FingerprintMemory(Protocol):
    """What is remembered of the images of one release."""

    def known(self, index: int, file: str) -> list[Fingerprint] | None:
        """Return the fingerprints of an image's frames, None if they are not known of this very file."""

    def keep(self, index: int, file: str, name: str, frames: Sequence[Fingerprint]) -> None:
        """Remember an image."""


@dataclass(frozen=True)
class Traced:
    """What a found picture was made of.

    Args:
        candidate: The known picture that is most like it.
        likeness: How alike they are.
        others: The next pictures, most matches first, at most 9.
    """

    candidate: Candidate
    likeness: Likeness
    others: tuple[tuple[Candidate, Likeness], ...] = ()

    @classmethod
    def of(cls, compared: Iterable[tuple[Candidate, Likeness]]) -> Traced | None:
        """Put the picture with the most matches first; None without any."""
        ordered = sorted(compared, key=lambda pair: -pair[1].matches)[: _OTHERS + 1]
        return cls(*ordered[0], tuple(ordered[1:])) if ordered else None

    @property
    def likeliest(self) -> tuple[tuple[Candidate, Likeness], ...]:
        """The candidate and the others."""
        return ((self.candidate, self.likeness), *self.others)

    @property
    def second(self) -> int:
        """Most matches of another picture: what chance, or a near copy, comes to."""
        return max((likeness.matches for _, likeness in self.others), default=0)

    @property
    def is_found(self) -> bool:
        """Whether the found picture was made of the candidate, and not only has the same logo.

        Large logos alone make 18 points alike. So few points count only if no other picture has nearly as
        many; of many points copies of one image may have as many.
        """
        matches = self.likeness.matches
        is_clear = matches >= CERTAIN_MATCHES or matches >= self.second + _CLEARLY_MORE
        return self.likeness.is_same and is_clear


def trace(
    queries: Sequence[Fingerprint], known: Iterable[Candidate], *, progress: Callable[[], None] = lambda: None
) -> Traced | None:
    """Find the known picture that a found one was made of.

    Memory does not grow with the number of known pictures.

    Args:
        queries: From :func:`medlocker.tracing.query_of`.
        known: Gone through once.
        progress: Called once for each.

    Returns:
        The best one and the next, even if not alike enough (see :attr:`Traced.is_found`); None without any.
    """
    tables = [_table(query) for query in queries]
    best: list[tuple[float, int, Candidate]] = []
    for number, candidate in enumerate(known):
        words = candidate.fingerprint.words
        shared = max(float(table[words].sum()) for table in tables) if len(words) else 0.0
        heapq.heappush(best, (shared, -number, candidate))
        if len(best) > _FEW:
            heapq.heappop(best)
        progress()
    return Traced.of((candidate, compare(queries, candidate.fingerprint)) for *_, candidate in best)


def _table(query: Fingerprint) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return for each word whether the found picture has it."""
    table = np.zeros(_WORDS, np.bool_)
    table[query.words.ravel()] = True
    return table


def candidates_of(
    release: Release,
    *,
    memory: FingerprintMemory | None = None,
    progress: Callable[[], None] = lambda: None,
    passed_over: Callable[[str, MedlockerError], None] = lambda name, error: None,
) -> Iterator[Candidate]:
    """Yield every marked picture of a release, frame by frame.

    Args:
        release: Its statement checked; every file is checked before it is read.
        memory: Knows fingerprints that were made before, and keeps those that are made now.
        progress: Called once for each image.
        passed_over: Called with the name of a file that is missing or not the signed one.
    """
    for line in release.lines():
        entry = line.entry
        progress()
        found = None if memory is None else memory.known(entry.index, entry.file)
        if found is None:
            try:
                found = fingerprints_of_file(read_marked(release, entry), name=entry.name)
            except MedlockerError as error:
                passed_over(entry.name, error)
                continue
            if memory is not None:
                memory.keep(entry.index, entry.file, entry.name, found)
        for frame, fingerprint in enumerate(found):
            yield Candidate(release.statement.release, entry.index, entry.name, frame, fingerprint)


def fingerprints_of_file(data: bytes, *, name: str) -> list[Fingerprint]:
    """Return the fingerprint of every frame of a file.

    Raises:
        InputError: If it cannot be read.
    """
    image = read_image(data, name=name)
    frames = (None,) if image.frames is None else (image.frames[k] for k in range(len(image.frames)))
    return [fingerprint_of(viewed(image, frame)) for frame in frames]
