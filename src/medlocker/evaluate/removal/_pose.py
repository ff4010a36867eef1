"""How far a known logo is turned, and how large it is, from the box that it is seen in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from medlocker.attacks import Bytes, Window
from medlocker.evaluate.removal._locate import match, template_of
from medlocker.logo import Logo, Raster, render

_COARSE_PX, _FINE_PX = 40, 80
_COARSE_STEP, _KEPT, _REACH = 3, 3, 3
_ASPECT = 0.15
ONE_TURN = 65536


@dataclass(frozen=True, order=True)
class PoseGuess:
    """A guess at one mark.

    Args:
        degrees: Counter-clockwise, whole: so this program turns marks.
        size_px: Longer side of the logo before turning.
        x: Left edge of the rendered logo.
        y: Top edge.
    """

    score: float
    degrees: int
    size_px: float
    x: float
    y: float

    @property
    def rotation(self) -> int:
        """The same in 1/65536 of a turn."""
        return round(self.degrees * ONE_TURN / 360) % ONE_TURN


@dataclass(frozen=True, eq=False)
class _Seen:
    """A turned logo and the box of what is seen of it, in shares of its size."""

    degrees: int
    raster: Raster
    left: float
    top: float
    width: float
    height: float


@lru_cache(maxsize=512)
def _seen(logo: Logo, degrees: int, box_px: int) -> _Seen:
    """Render a logo so that the longer side of what is seen of it measures about ``box_px``."""
    rotation = round(degrees * ONE_TURN / 360) % ONE_TURN
    size = box_px
    for _ in range(2):
        raster = render(logo, size, rotation=rotation)
        rows, cols = np.flatnonzero(raster.support.any(axis=1)), np.flatnonzero(raster.support.any(axis=0))
        height, width = int(rows[-1] - rows[0]) + 1, int(cols[-1] - cols[0]) + 1
        found = _Seen(degrees, raster, cols[0] / size, rows[0] / size, width / size, height / size)
        size = max(round(size * box_px / max(height, width)), 1)
    return found


def likeliest_poses(
    pixels: Bytes, box: Window, logo: Logo, *, wider_px: int, turned: int | None = None
) -> list[PoseGuess]:
    """Return the likeliest turns of one mark, the best first.

    Args:
        pixels: (H, W, 3) uint8, the mark and some surroundings.
        box: Where it is seen, somewhat too wide.
        wider_px: How much too wide on each side.
        turned: The rotation where it is known, 1/65536 of a turn.

    Returns:
        At most three; empty if the box has another shape than the logo at any turn.
    """
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    look = _Look(grey, box, logo, wider_px)
    if turned is not None:
        known = [round(turned * 360 / ONE_TURN)]
        return _best(look.scores(known, _FINE_PX, sizes=(0.96, 0.98, 1.0, 1.02, 1.04)))
    coarse = look.scores(range(-180, 180, _COARSE_STEP), _COARSE_PX, sizes=(0.97, 1.0, 1.03))
    near = {one.degrees + step for one in _best(coarse) for step in range(1 - _COARSE_STEP, _COARSE_STEP)}
    if coarse:
        near.add(0)
    return _best(look.scores(sorted(near), _FINE_PX, sizes=(0.96, 0.98, 1.0, 1.02, 1.04)))


def _best(turns: Iterable[PoseGuess]) -> list[PoseGuess]:
    """Return the best of each number of degrees, the three best of these."""
    by_degrees: dict[int, PoseGuess] = {}
    for one in sorted(turns):
        by_degrees[one.degrees] = one
    return sorted(by_degrees.values(), reverse=True)[:_KEPT]


@dataclass(frozen=True, eq=False)
class _Look:
    grey: Bytes
    box: Window
    logo: Logo
    wider_px: int

    def scores(self, turns: Iterable[int], box_px: int, *, sizes: Iterable[float]) -> list[PoseGuess]:
        """Correlate with turned logos that fit the box at one of several sizes of it."""
        rows, cols = self.box
        height, width = (max(span.stop - span.start - 2 * self.wider_px, 1) for span in self.box)
        middle = ((rows.start + rows.stop) / 2, (cols.start + cols.stop) / 2)
        shapes = [
            seen
            for seen in (_seen(self.logo, degrees, box_px) for degrees in turns)
            if abs(height / width * seen.width / seen.height - 1) < _ASPECT
        ]
        found = []
        for share in sizes if shapes else ():
            longer = share * max(height, width)
            scale = box_px / longer
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            resized = cv2.resize(self.grey, None, fx=scale, fy=scale, interpolation=how)
            small = np.asarray(resized, dtype=np.uint8)
            for seen in shapes:
                size = longer / max(seen.height, seen.width)
                top = middle[0] - (seen.top + seen.height / 2) * size
                left = middle[1] - (seen.left + seen.width / 2) * size
                y, x = round(top * scale), round(left * scale)
                h, w = seen.raster.coverage.shape
                part = small[max(y - _REACH, 0) : y + h + _REACH, max(x - _REACH, 0) : x + w + _REACH]
                if part.shape[0] >= h and part.shape[1] >= w:
                    score = float(match(part, template_of(seen.raster, part)).max())
                    found.append(PoseGuess(score, seen.degrees, size, left, top))
        return found
