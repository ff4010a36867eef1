"""Finding the copies of a veil one by one: gradients correlated with rendered copies of the known logo."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from medlocker.attacks import Bytes, Floats, Mask
from medlocker.evaluate.removal._grid import Grid, anchored, contrast_of, folded
from medlocker.evaluate.removal.copies import ONE_TURN, Copy
from medlocker.logo import Logo, Raster, render

_FILLS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
_UNTURNED = 0.6
"""Correlation with a folded copy from which on all copies surely look alike."""
_MATCHED_PX = 16
_SIZES = (0.6, 0.74, 0.9, 1.1, 1.35)
_TURNS = 24
_APART = 0.45
_OFF_PX = 3
_TRUST = 0.12
_FINER = ((0, 0.0), (-4, 0.0), (4, 0.0), (0, -0.07), (0, 0.07))


def copies_alike(pixels: Bytes, mask: Mask, logo: Logo, grid: Grid) -> list[Copy]:
    """Return the copies of a lattice that are all turned and sized alike; none if it is no such lattice.

    Args:
        pixels: (h, w, 3) uint8.
        mask: (h, w) bool, where the veil is.
        logo: As the image shows it.
        grid: Its period, angle and stagger.
    """
    ground = float(pixels[mask].mean())
    sizes = sorted({max(round(grid.period * fill), 4) for fill in _FILLS})
    tried = [(*_anchored(pixels, mask, logo, grid, size, ground), size) for size in sizes]
    found, told, size = max(tried, key=lambda one: one[1])
    if told < _UNTURNED:
        return []
    look = _Look.of(pixels, mask)
    best: tuple[float, list[Copy]] = (-1.0, [])
    for other in range(size - 2, size + 3):
        score = look.told(render(logo, other))
        places = found.places(*mask.shape, beyond_px=other).tolist()
        seen = [_nearest(score, x, y, reach=_OFF_PX) for x, y in places]
        told = float(np.median([one[2] for one in seen if one[2] > -1]))
        if told > best[0]:
            best = told, [Copy(x, y, other) for x, y, _ in seen]
    return best[1]


def _anchored(
    pixels: Bytes, mask: Mask, logo: Logo, grid: Grid, size: int, ground: float
) -> tuple[Grid, float]:
    contrast = contrast_of(pixels, mask, sigma=size / 4)
    return anchored(grid, folded(grid, contrast), _contrast(logo, size, ground))


def find_random_copies(pixels: Bytes, mask: Mask, logo: Logo, *, size_px: float) -> list[Copy]:
    """Return copies of any turn, several sizes and both signs, the surest first.

    Args:
        pixels: (h, w, 3) uint8.
        mask: (h, w) bool, where the veil is.
        logo: As the image shows it.
        size_px: Of a copy of the middle size.
    """
    scale = min(_MATCHED_PX / size_px, 1.0)
    how = cv2.INTER_AREA
    small = np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=how), dtype=np.uint8)
    seen = cv2.resize(mask.astype(np.uint8), small.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
    look = _Look.of(small, seen)
    best = np.full(seen.shape, -1.0, np.float32)
    which = np.zeros(seen.shape, np.int32)
    bank = list(_bank(logo, size_px * scale))
    for number, copy in enumerate(bank):
        score = look.told(copy.raster(logo))
        nearer = score > best
        best[nearer], which[nearer] = score[nearer], number
    side = 2 * max(round(_APART * size_px * scale), 1) + 1
    tops = (cv2.dilate(best, np.ones((side, side), np.uint8)) == best) & (best > _TRUST) & seen
    whole = _Look.of(pixels, mask)
    found = []
    for y, x in zip(*(part.tolist() for part in np.nonzero(tops)), strict=True):
        start = bank[which[y, x]]
        rough = replace(
            start,
            x=round((x + 0.5) / scale),
            y=round((y + 0.5) / scale),
            size_px=max(round(start.size_px / scale), 3),
            score=float(best[y, x]),
        )
        found.append(_finer(whole, logo, rough, reach=math.ceil(1 / scale)))
    return sorted(found, key=lambda copy: -copy.score)


def _bank(logo: Logo, size_px: float) -> Iterator[Copy]:
    for share in _SIZES:
        for turn in range(_TURNS):
            for negative in (False, True):
                yield Copy(0, 0, max(round(size_px * share), 3), turn * ONE_TURN // _TURNS, negative)


def _finer(look: _Look, logo: Logo, rough: Copy, *, reach: int) -> Copy:
    """Try turns and sizes beside a rough one, at the image's own size."""
    best = replace(rough, score=-1.0)
    for degrees, share in _FINER:
        other = replace(
            rough,
            rotation=(rough.rotation + degrees * ONE_TURN // 360) % ONE_TURN,
            size_px=max(round(rough.size_px * (1 + share)), 3),
        )
        x, y, told = look.best_near(other.raster(logo), rough.x, rough.y, reach=reach)
        if told > best.score:
            best = replace(other, x=x, y=y, score=told)
    return best


@dataclass(frozen=True, eq=False)
class _Look:
    """An image as matching sees it: its clipped Laplacian, negative, with its strength, and its brightness.

    What a copy adds is weight times colour minus weight times the ground's brightness, so its correlation is
    a sum of two, whatever the ground.
    """

    sharp: Floats
    ground: Floats
    squares: Floats

    @classmethod
    def of(cls, pixels: Bytes, mask: Mask) -> _Look:
        grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.float32)
        sharp = cv2.Laplacian(
            cv2.GaussianBlur(grey, (0, 0), 0.6), cv2.CV_32F, borderType=cv2.BORDER_REPLICATE
        )
        seen = np.abs(sharp[mask])
        most = 4 * float(np.median(seen)) + 4 if seen.size else 4.0
        bounded: Floats = np.where(mask, -sharp.clip(-most, most), np.float32(0)).astype(np.float32)
        ground = cv2.GaussianBlur(grey, (0, 0), max(min(grey.shape) * 0.02, 3.0))
        return cls(
            bounded, np.asarray(ground, dtype=np.float32), np.asarray(np.square(bounded), dtype=np.float32)
        )

    def told(self, raster: Raster) -> Floats:
        """Return (h, w), the correlation with a copy whose middle lies on each pixel."""
        ink, of_ground = _kernels(raster)
        top = raster.coverage.shape[0] // 2
        left = raster.coverage.shape[1] // 2
        parts = [
            cv2.filter2D(self.sharp, -1, kernel, anchor=(left, top), borderType=cv2.BORDER_CONSTANT)
            for kernel in (ink, of_ground)
        ]
        support = (raster.coverage > 0).astype(np.float32)
        there = cv2.filter2D(self.squares, -1, support, anchor=(left, top), borderType=cv2.BORDER_CONSTANT)
        own = _norm(ink, of_ground, self.ground)
        return np.asarray(
            (parts[0] - self.ground * parts[1]) / (own * np.sqrt(np.maximum(there, 0)) + 1e-3),
            dtype=np.float32,
        )

    def best_near(self, raster: Raster, x: int, y: int, *, reach: int) -> tuple[int, int, float]:
        """Return the best place near one, and the correlation there."""
        ink, of_ground = _kernels(raster)
        h, w = raster.coverage.shape
        height, width = self.sharp.shape
        y0, x0 = y - h // 2 - reach, x - w // 2 - reach
        if y0 < 0 or x0 < 0 or y0 + h + 2 * reach > height or x0 + w + 2 * reach > width:
            return x, y, -1.0
        window = slice(y0, y0 + h + 2 * reach), slice(x0, x0 + w + 2 * reach)
        ground = float(self.ground[y, x])
        kernel = ink - np.float32(ground) * of_ground
        support = (raster.coverage > 0).astype(np.float32)
        both = cv2.matchTemplate(self.sharp[window], kernel, cv2.TM_CCORR)
        there = cv2.matchTemplate(self.squares[window], support, cv2.TM_CCORR)
        sharp = _sharp(kernel)
        told = both / (np.linalg.norm(sharp) * np.sqrt(np.maximum(there, 0)) + 1e-3)
        _, best, _, (dx, dy) = cv2.minMaxLoc(told)
        return x + dx - reach, y + dy - reach, float(best)


def _kernels(raster: Raster) -> tuple[Floats, Floats]:
    weight = raster.coverage.astype(np.float32) / np.float32(255)
    grey = np.asarray(cv2.cvtColor(raster.color, cv2.COLOR_RGB2GRAY), dtype=np.float32)
    return weight * grey, weight


def _sharp(kernel: Floats) -> Floats:
    return np.asarray(
        cv2.Laplacian(np.pad(kernel, 1), cv2.CV_32F, borderType=cv2.BORDER_CONSTANT), dtype=np.float32
    )


def _norm(ink: Floats, of_ground: Floats, ground: Floats) -> Floats:
    """Return the norm of a copy's Laplacian for each brightness of the ground."""
    one, other = _sharp(ink), _sharp(of_ground)
    squares = float((one * one).sum()) - 2 * ground * float((one * other).sum())
    squares += np.square(ground) * float((other * other).sum())
    return np.asarray(np.sqrt(np.maximum(squares, 1e-6)), dtype=np.float32)


def _nearest(score: Floats, x: float, y: float, *, reach: int) -> tuple[int, int, float]:
    """Return the best pixel near a place, and its score."""
    height, width = score.shape
    cx, cy = round(x), round(y)
    x0, y0 = max(cx - reach, 0), max(cy - reach, 0)
    part = score[y0 : min(cy + reach + 1, height), x0 : min(cx + reach + 1, width)]
    if not part.size:
        return cx, cy, -1.0
    _, best, _, (dx, dy) = cv2.minMaxLoc(part)
    return x0 + dx, y0 + dy, float(best)


def _contrast(logo: Logo, size: int, ground: float) -> Floats:
    """Return what a copy looks like in an image without slow changes, on ground of some brightness."""
    raster = render(logo, size)
    weight = raster.coverage.astype(np.float32) / np.float32(255)
    grey = np.asarray(cv2.cvtColor(raster.color, cv2.COLOR_RGB2GRAY), dtype=np.float32)
    height, width = weight.shape
    side = 2 * size + 1
    shown = np.zeros((side, side), np.float32)
    top, left = size - height // 2, size - width // 2
    shown[top : top + height, left : left + width] = weight * (grey - np.float32(ground))
    return np.asarray(shown - cv2.GaussianBlur(shown, (0, 0), size / 4), dtype=np.float32)
