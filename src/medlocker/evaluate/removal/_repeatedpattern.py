"""Copies of a veil that are alike: a program that draws few different ones gives all of them away.

Nothing of the logo or the key is needed. Where the image is dark, a copy is seen by itself. The same copy,
with its warp and texture, is looked for in the rest of the image; all that are found are averaged, and what
they have in common is taken off each of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.attacks import Bytes, Floats, Mask, to_bytes

_MOST_SEEDS = 96
_LEAST = 3
_ALIKE, _SURELY = 0.55, 0.45
_EVEN = 0.45
"""Deviation of the blur that tells the image under a copy, in periods."""
_ROUNDS = 3
_MOST_ALIKE = 48
"""Copies that are averaged: more tell no more, and take long where all are alike."""
_MOST_WEIGHT = 0.5


@dataclass(frozen=True, eq=False)
class RepeatedPattern:
    """What copies that are alike add to the image.

    Args:
        added: (s, s, 3) float32, opacity times colour.
        spread: (s, s) float32, how much the copies disagree there, grey levels.
        places: (n, 2) middles of the copies, x and y.
    """

    added: Floats
    spread: Floats
    places: NDArray[np.int64]


def remove_repeated_pattern(pixels: Bytes, mask: Mask, *, period: float) -> tuple[Bytes, int]:
    """Find copies that are alike, and take off what they have in common.

    Args:
        pixels: (h, w, 3) uint8.
        mask: (h, w) bool, where the veil is.
        period: Distance of neighbouring copies, pixels.

    Returns:
        The picture, and how many different copies were found; without any it is as it was.
    """
    search = _Search(pixels, mask, period)
    groups = list(search.groups())
    if not groups:
        return pixels.copy(), 0
    image = pixels.astype(np.float32)
    sigma = max(_EVEN * period, 2.0)
    under = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.float32)
    half = max(round(0.85 * period), 4)
    opacity, added = 0.0, np.zeros(image.shape, np.float32)
    for _ in range(2):
        even = 2 + cv2.GaussianBlur(np.square(image - under).mean(axis=2), (0, 0), sigma)
        stamps = [_averaged(image, under, even, mask, places, half, opacity) for places in groups]
        # colours end at 255: the brightest strokes tell the opacity
        core = np.concatenate([one.added[one.spread <= np.median(one.spread)].ravel() for one in stamps])
        opacity = float(np.clip(np.quantile(core, 0.99) / 255, 0, _MOST_WEIGHT))
        added, covered = _laid(image, under, even, mask, stamps, opacity)
        weight = opacity * covered[..., None]
        rest = ((image - added) / (1 - weight)).clip(0, 255)
        under = np.asarray(cv2.GaussianBlur(rest, (0, 0), sigma), dtype=np.float32)
    return to_bytes((image - added) / (1 - weight)), len(stamps)


class _Search:
    """Looks for windows that are alike, up to the image under them."""

    def __init__(self, pixels: Bytes, mask: Mask, period: float) -> None:
        grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.float32)
        self._mask, self._period = mask, period
        rough = grey - cv2.GaussianBlur(grey, (0, 0), max(period / 4, 1.5))
        most = 3 * float(np.median(np.abs(rough[mask]))) + 4 if mask.any() else 4.0
        self._rough = np.where(mask, rough.clip(-most, most), 0).astype(np.float32)
        half = max(round(0.42 * period), 3)
        yy, xx = np.mgrid[-half : half + 1, -half : half + 1]
        self._disc = (np.hypot(xx, yy) <= half + 0.5).astype(np.float32)
        self._half = half
        self._energy = np.sqrt(
            np.maximum(
                cv2.filter2D(np.square(self._rough), -1, self._disc, borderType=cv2.BORDER_CONSTANT), 1
            )
        )
        self._dark = cv2.blur(np.where(mask, grey, 255), (2 * half + 1, 2 * half + 1))

    def groups(self) -> Iterator[NDArray[np.int64]]:
        """Yield (n, 2) middles, x and y, of windows that are alike; every place is in one group at most."""
        free = self._mask.copy()
        half = self._half
        free[:half] = free[-half:] = False
        free[:, :half] = free[:, -half:] = False
        self._free = free
        order = np.where(free, self._dark - 0.25 * self._energy / half, np.inf)
        reach = max(round(0.35 * self._period), 2)
        for _ in range(_MOST_SEEDS):
            y, x = np.unravel_index(int(order.argmin()), order.shape)
            if not np.isfinite(order[y, x]):
                return
            places = self._alike(int(x), int(y))
            for px, py in [(int(x), int(y)), *places.tolist()]:
                order[max(py - reach, 0) : py + reach + 1, max(px - reach, 0) : px + reach + 1] = np.inf
            if len(places) >= _LEAST:
                for px, py in places.tolist():
                    free[max(py - reach, 0) : py + reach + 1, max(px - reach, 0) : px + reach + 1] = False
                yield places

    def _alike(self, x: int, y: int) -> NDArray[np.int64]:
        places = self._peaks(self._cut(x, y), _ALIKE)
        if len(places) < _LEAST:
            return places
        cuts = np.stack([self._cut(px, py) for px, py in places.tolist()])
        mean = np.asarray(cuts.mean(axis=0), dtype=np.float32)
        return self._peaks(mean, _SURELY)

    def _cut(self, x: int, y: int) -> Floats:
        padded = self._rough[y - self._half : y + self._half + 1, x - self._half : x + self._half + 1]
        return np.asarray(padded * self._disc, dtype=np.float32)

    def _peaks(self, template: Floats, least: float) -> NDArray[np.int64]:
        told = cv2.matchTemplate(self._rough, template, cv2.TM_CCORR)
        half = self._half
        told = told / (self._energy[half:-half, half:-half] * max(float(np.linalg.norm(template)), 1e-6))
        side = 2 * max(round(0.35 * self._period), 2) + 1
        top = cv2.dilate(told, np.ones((side, side), np.uint8))
        free = self._free[half:-half, half:-half]
        ys, xs = np.nonzero((told >= least) & (told == top) & free)
        return np.stack([xs + half, ys + half], axis=1).astype(np.int64)


def _averaged(
    image: Floats,
    under: Floats,
    even: Floats,
    mask: Mask,
    places: NDArray[np.int64],
    half: int,
    opacity: float,
) -> RepeatedPattern:
    """Average what copies add, those over even ground counting most, without those that others cover."""
    places_all, places = places, places[:: -(-len(places) // _MOST_ALIKE)]
    seen, ground = _windows(image, places, half), _windows(under, places, half)
    added = seen - (1 - opacity) * ground
    noise = _windows(even[..., None], places, half)
    there = _windows(mask[..., None].astype(np.float32), places, half) / np.maximum(noise, 1)
    weight = there
    for _ in range(_ROUNDS):
        total = np.maximum(weight.sum(axis=0), 1e-9)
        mean = (weight * added).sum(axis=0) / total
        apart = np.square(added - mean).mean(axis=3, keepdims=True)
        weight = there / (1 + apart / (4 * np.maximum(noise, 1)))
    spread = np.sqrt((weight * apart).sum(axis=0) / total)[..., 0]
    return RepeatedPattern(mean.astype(np.float32), np.asarray(spread, dtype=np.float32), places_all)


def _laid(
    image: Floats, under: Floats, even: Floats, mask: Mask, stamps: list[RepeatedPattern], opacity: float
) -> tuple[Floats, Floats]:
    """Choose for every pixel the copy that explains it and those around it best."""
    height, width = mask.shape
    best = np.full((height, width), 4.0, np.float32)  # as far off as a pixel may be that is explained
    added, covered = np.zeros(image.shape, np.float32), np.zeros((height, width), np.float32)
    for stamp in stamps:
        side = stamp.spread.shape[0]
        half = side // 2
        for x, y in stamp.places.tolist():
            x0, y0, x1, y1 = (
                max(x - half, 0),
                max(y - half, 0),
                min(x + half + 1, width),
                min(y + half + 1, height),
            )
            part = slice(y0 - y + half, y1 - y + half), slice(x0 - x + half, x1 - x + half)
            window = slice(y0, y1), slice(x0, x1)
            off = image[window] - (1 - opacity) * under[window] - stamp.added[part]
            far = np.square(off).mean(axis=2) / (even[window] + np.square(stamp.spread[part]))
            far = cv2.blur(far + np.square(stamp.spread[part]) / (even[window] + 16), (5, 5))
            nearer = (far < best[window]) & mask[window]
            best[window][nearer] = far[nearer]
            added[window][nearer] = stamp.added[part][nearer]
            covered[window][nearer] = 1
    return added, covered


def _windows(values: Floats, places: NDArray[np.int64], half: int) -> Floats:
    """Return (n, 2 * half + 1, 2 * half + 1, channels), zeros beyond the image."""
    padded = np.pad(values, ((half, half), (half, half), (0, 0)))
    side = 2 * half + 1
    return np.stack([padded[y : y + side, x : x + side] for x, y in places.tolist()])
