"""The marked pictures of releases that are at hand, and with the owner's keys the sealed mark of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.certificates import Access, Owner, Release, owner_access
from medlocker.formats import read_image
from medlocker.images import viewed
from medlocker.restore import read_marked, restore_image
from medlocker.tracing._fingerprint import Likeness
from medlocker.tracing._proof import MarkEvidence, mark_evidence
from medlocker.tracing._search import Candidate


@dataclass(frozen=True)
class Look:
    """What a look at one marked picture told.

    Args:
        evidence: Whether its sealed mark is in the found picture; None without keys, or if little is seen.
        marked: The marked picture, (h, w, 3) uint8 or uint16.
    """

    evidence: MarkEvidence | None
    marked: NDArray[Any] = field(repr=False)


class MarkedPictures:
    """Looks at the marks of candidates; one picture is in memory at a time.

    Args:
        found: The found picture, (H, W, 3) uint8 or uint16.
        releases: Those at hand, their statements checked.
        owner: Private keys, None if only the public ones are known.
    """

    def __init__(self, found: NDArray[Any], releases: Sequence[Release], owner: Owner | None) -> None:
        self._found, self._owner = found, owner
        self._releases = {one.statement.release: one for one in releases}
        self._access: dict[str, Access] = {}

    @property
    def can_prove(self) -> bool:
        """Whether sealed marks can be looked at."""
        return self._owner is not None and bool(self._releases)

    def look(self, candidate: Candidate, likeness: Likeness) -> Look | None:
        """Look at one; None if its release is not at hand.

        Raises:
            MedlockerError: If it cannot be read or restored.
        """
        release = self._releases.get(candidate.release)
        if release is None:
            return None
        line = release.line(candidate.index)
        data = read_marked(release, line.entry)
        marked = _frame(data, candidate)
        if self._owner is None:
            return Look(None, marked)
        if candidate.release not in self._access:
            self._access[candidate.release] = owner_access(release, self._owner.identity())
        original = restore_image(data, self._access[candidate.release].open(line), logo=release.logo())
        return Look(mark_evidence(self._found, _frame(original.data, candidate), marked, likeness), marked)


def _frame(data: bytes, candidate: Candidate) -> NDArray[Any]:
    image = read_image(data, name=candidate.name)
    return np.asarray(viewed(image, None if image.frames is None else image.frames[candidate.frame]))
