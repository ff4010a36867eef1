"""Pairs of windows, painted on and clean, that a removal network learns from: the same ones for a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from medlocker.attacks import Bytes

Painter = Callable[[Bytes, np.random.Generator], Bytes]
"""From one picture, (H, W, 3) uint8 RGB, to a new one of the same shape."""

STORED = 1.5
"""Pictures are kept, and painted on, at this many times the size at which the network works: marks are drawn
before a picture is shrunk, as they are on the files."""

_SMALLER = 0.9
_ON_A_MARK = 0.75


@dataclass(frozen=True, eq=False)
class Pairs:
    """Painted and clean windows, (N, side, side, 3) uint8 both."""

    painted: Bytes
    clean: Bytes


@dataclass(frozen=True, eq=False)
class WindowMaker:
    """Paints on pictures and cuts windows.

    Args:
        pictures: Clean, (H, W, 3) uint8, about ``STORED`` times as large as ``longest_px``.
        paint: Puts random marks on a picture.
        longest_px: Longer side of the pictures that the network will repaint; painted pictures are shrunk to
            a tenth less at most, smaller ones stay.
        cuts: Windows from each painted picture.
    """

    pictures: Sequence[Bytes]
    paint: Painter
    side_px: int
    longest_px: int
    cuts: int = 2

    def make(self, seed: Sequence[int]) -> Pairs:
        """Paint on one picture by chance and cut ``cuts`` windows out of it."""
        rng = np.random.default_rng(seed)
        clean = self.pictures[int(rng.integers(len(self.pictures)))]
        painted = self.paint(clean, rng)
        longest = round(self.longest_px * float(rng.uniform(_SMALLER, 1)))
        clean, painted = _shrunk(clean, longest), _shrunk(painted, longest)
        painted, clean = (_at_least(picture, self.side_px) for picture in (painted, clean))
        marked = np.argwhere((painted != clean).any(axis=2))
        found = [self._cut(painted, clean, marked, rng) for _ in range(self.cuts)]
        return Pairs(np.stack([one for one, _ in found]), np.stack([other for _, other in found]))

    def _cut(
        self, painted: Bytes, clean: Bytes, marked: np.ndarray, rng: np.random.Generator
    ) -> tuple[Bytes, Bytes]:
        """Cut one window, mostly about a marked pixel, turned and mirrored by chance."""
        side = self.side_px
        height, width = painted.shape[:2]
        y, x = int(rng.integers(height)), int(rng.integers(width))
        if len(marked) and rng.random() < _ON_A_MARK:
            y, x = (int(v) for v in marked[int(rng.integers(len(marked)))])
            y, x = (v + int(rng.integers(-side // 3, side // 3 + 1)) for v in (y, x))
        top = min(max(y - side // 2, 0), height - side)
        left = min(max(x - side // 2, 0), width - side)
        turns, mirrored = int(rng.integers(4)), rng.random() < 0.5
        step = -1 if mirrored else 1
        cut = (slice(top, top + side), slice(left, left + side))
        pair = [np.rot90(picture[cut][:, ::step], turns) for picture in (painted, clean)]
        return pair[0], pair[1]


def digest_of(pictures: Sequence[Bytes]) -> str:
    """Return the SHA-256 of pictures in their order, 64 hex digits."""
    found = hashlib.sha256()
    for picture in pictures:
        found.update(repr(picture.shape).encode("ascii"))
        found.update(picture.tobytes())
    return found.hexdigest()


def _shrunk(picture: Bytes, longest: int) -> Bytes:
    height, width = picture.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return picture
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _at_least(picture: Bytes, side: int) -> Bytes:
    """Continue a picture that is smaller than a window by its mirror image."""
    below, right = (max(side - length, 0) for length in picture.shape[:2])
    return np.pad(picture, ((0, below), (0, right), (0, 0)), mode="symmetric") if below or right else picture
