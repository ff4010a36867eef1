"""A set of names in 8 bytes each, for data sets whose names together would not be small."""

from __future__ import annotations

import hashlib
import secrets
from bisect import bisect_left
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


class NameSet:
    """Remembers names by a keyed 64-bit hash; who does not know the random key cannot make two collide.

    Args:
        names: Any number; they are not kept.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._key = secrets.token_bytes(16)
        hashes = np.fromiter((self._hash(name) for name in names), dtype=np.uint64)
        hashes.sort()
        self._hashes: NDArray[np.uint64] = hashes

    def _hash(self, name: str) -> int:
        raw = name.encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(raw, digest_size=8, key=self._key).digest(), "little")

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, name: str) -> bool:
        wanted = np.uint64(self._hash(name))
        place = bisect_left(self._hashes, wanted)
        return place < len(self._hashes) and bool(self._hashes[place] == wanted)

    @property
    def has_repeats(self) -> bool:
        """Whether a name was given twice."""
        return bool((self._hashes[1:] == self._hashes[:-1]).any())
