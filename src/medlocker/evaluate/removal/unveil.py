"""Attacks 16 and 17: a veil's lattice is found; its copies are undone, or its frequencies are taken out."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import ClassVar

from medlocker.attacks import Bytes, Mask, notch
from medlocker.evaluate.removal._evidence import AttackInfo, Evidence
from medlocker.evaluate.removal._findcopies import copies_alike, find_random_copies
from medlocker.evaluate.removal._grid import Grid, find_grids
from medlocker.evaluate.removal._known import as_rendered
from medlocker.evaluate.removal._repeatedpattern import remove_repeated_pattern
from medlocker.evaluate.removal.copies import Copy, opacity_of, painted, undo
from medlocker.logo import Logo, Raster

UNVEILED_PX = 1536
_ORDERS = 6
_USUAL_FILL = 1.0
"""Of copies whose size the lattice does not tell: in the middle of what this program is used with."""
_EXPLAINS = 0.2


class GridFinder(threading.local):
    """Finds the lattice of an image; remembers each thread's last one, with which several attacks begin."""

    def __init__(self) -> None:
        self._last: tuple[Evidence, list[Grid]] | None = None

    def __call__(self, evidence: Evidence) -> list[Grid]:
        """Return lattices, the more certain first; none if the image is too small for one to be seen."""
        if self._last is None or self._last[0] is not evidence:
            self._last = (evidence, find_grids(evidence.marked, evidence.mask))
        return self._last[1]


def inverted(pixels: Bytes, mask: Mask, logo: Logo, grids: list[Grid]) -> Bytes:
    """Find the copies of a known logo's lattice and undo the blend of each.

    Args:
        pixels: (h, w, 3) uint8.
        mask: (h, w) bool, where the veil is.
        grids: From :func:`find_grids`.

    Returns:
        The picture; as it was where no copies are found that explain it.
    """
    if not grids or not mask.any():
        return pixels.copy()
    logo = as_rendered(logo, pixels)
    for grid in grids:
        if copies := copies_alike(pixels, mask, logo, grid):
            return undone(pixels, mask, logo, copies)
    size_px = _USUAL_FILL * grids[0].period
    return undone(pixels, mask, logo, find_random_copies(pixels, mask, logo, size_px=size_px))


def undone(pixels: Bytes, mask: Mask, logo: Logo, copies: list[Copy]) -> Bytes:
    """Paint copies, estimate their opacity and undo the blend; nothing is done if they explain nothing."""
    height, width = mask.shape
    best: tuple[float, int, Raster] | None = None
    for order in (copies, copies[::-1]):  # which lies on top depends on which way round the rows go
        raster = painted(order, lambda copy: copy.raster(logo), height=height, width=width)
        opacity, told = opacity_of(pixels, raster, mask)
        if best is None or told > best[0]:
            best = (told, opacity, raster)
    if best is None:
        return pixels.copy()
    told, opacity, raster = best
    if told < _EXPLAINS:
        return pixels.copy()
    return undo(pixels, raster, opacity=opacity, mask=mask)


def notched(pixels: Bytes, grids: list[Grid]) -> Bytes:
    """Take the frequencies of the likeliest lattice out."""
    return notch(pixels, grids[0].frequencies(_ORDERS)) if grids else pixels.copy()


@dataclass(frozen=True, eq=False)
class LatticeAttack:
    """Knows the logo: finds lattice, copies and opacity, and undoes the blend; with notches before and after.

    Args:
        finder: Shared with the others.
    """

    finder: GridFinder
    facts: ClassVar[AttackInfo] = AttackInfo(
        16,
        "the logo and this program",
        ("lattice inverted", "lattice inverted, notched", "notched, lattice inverted"),
        longest_px=UNVEILED_PX,
        on="veils",
    )

    def restore(self, evidence: Evidence) -> dict[str, Bytes]:
        """Undo what is found."""
        if evidence.logo is None:
            return dict.fromkeys(self.facts.variants, evidence.marked)
        pixels, mask, logo, grids = evidence.marked, evidence.mask, evidence.logo, self.finder(evidence)
        plain = inverted(pixels, mask, logo, grids)
        filtered = notched(pixels, grids)
        return {
            "lattice inverted": plain,
            "lattice inverted, notched": notched(plain, grids),
            "notched, lattice inverted": inverted(filtered, mask, logo, grids),
        }


@dataclass(frozen=True, eq=False)
class AlikeAttack:
    """Takes off what copies that are alike have in common; needs no logo.

    Args:
        finder: Shared with the others.
    """

    finder: GridFinder
    facts: ClassVar[AttackInfo] = AttackInfo(
        17, "where the veil is", ("alike copies averaged",), longest_px=UNVEILED_PX, on="veils"
    )

    def restore(self, evidence: Evidence) -> dict[str, Bytes]:
        """Average the copies."""
        grids = self.finder(evidence)
        if not grids:
            return {"alike copies averaged": evidence.marked}
        picture, _ = remove_repeated_pattern(evidence.marked, evidence.mask, period=grids[0].period)
        return {"alike copies averaged": picture}


@dataclass(frozen=True, eq=False)
class NotchAttack:
    """Takes the lattice's frequencies out of the whole image.

    Args:
        finder: Shared with the others.
    """

    finder: GridFinder
    facts: ClassVar[AttackInfo] = AttackInfo(
        17, "nothing", ("notched",), control="clean", longest_px=UNVEILED_PX, on="veils"
    )

    def restore(self, evidence: Evidence) -> dict[str, Bytes]:
        """Filter."""
        return {"notched": notched(evidence.marked, self.finder(evidence))}
