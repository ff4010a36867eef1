"""Which image of a release a file is, by its SHA-256, with 12 bytes of memory for an image."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np

from medlocker.certificates import IndexEntry

_PREFIX_DIGITS = 16


class DigestTable:
    """The first 64 bits of every marked file's digest, in order, with the images' numbers.

    Two files may share them: whoever asks compares the whole digest with that of the index.

    Args:
        entries: Of a release, each read once.
    """

    def __init__(self, entries: Iterable[IndexEntry]) -> None:
        prefixes, numbers = array("Q"), array("i")
        for entry in entries:
            prefixes.append(_prefix(entry.file))
            numbers.append(entry.index)
        found = np.frombuffer(prefixes, np.uint64) if prefixes else np.empty(0, np.uint64)
        order = np.argsort(found, kind="stable")
        self._prefixes = found[order]
        self._numbers = (np.frombuffer(numbers, np.int32) if numbers else np.empty(0, np.int32))[order]

    def __len__(self) -> int:
        return len(self._prefixes)

    def numbers(self, digest: str) -> list[int]:
        """Return the numbers of the images that may have this digest, nearly always at most one."""
        wanted = np.uint64(_prefix(digest))
        first, last = (int(np.searchsorted(self._prefixes, wanted, side)) for side in ("left", "right"))
        return [int(number) for number in self._numbers[first:last]]


def _prefix(digest: str) -> int:
    return int(digest[:_PREFIX_DIGITS], 16)
