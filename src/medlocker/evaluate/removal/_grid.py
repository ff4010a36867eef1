"""Finding the lattice of a veil: period, angle and stagger of its rows from the image's spectrum."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.attacks import Bytes, Floats, Mask

_PERIODS = (0.025, 0.21)
"""Looked at, shares of the shorter side."""
_LEAST_PX = 6
_PERIOD_STEP = 1.006
_ANGLE_STEP = math.radians(0.4)
_ORDERS = 3
_REFINED = 7
_SIDE = 2048
_CELL = 48


@dataclass(frozen=True)
class Grid:
    """Where the copies of a veil lie, but for chance.

    Args:
        period: Distance of neighbouring places, pixels.
        angle: Of the rows, counter-clockwise on the program's terms, radians.
        stagger: Shift of every second row, periods: 0 or 0.5.
        score: How far the spectrum's peaks stand out, natural logarithm; about 0 where there is no lattice.
        x: Of one place, pixels.
    """

    period: float
    angle: float
    stagger: float
    score: float
    x: float = 0.0
    y: float = 0.0

    @property
    def basis(self) -> NDArray[np.float64]:
        """(2, 2): the steps to the next place in a row and to the next row, as columns, pixels."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        row = np.array([cos, sin])
        across = np.array([self.stagger * cos - sin, self.stagger * sin + cos])
        return self.period * np.stack([row, across], axis=1)

    def frequencies(self, orders: int) -> NDArray[np.float64]:
        """Return (n, 2), across and down, at which it repeats, cycles per pixel, half of the plane."""
        steps = range(-orders, orders + 1)
        pairs = [(m, n) for m in steps for n in steps if (m, n) > (0, 0) and m * m + n * n <= orders * orders]
        found = np.array(pairs, np.float64) @ np.linalg.inv(self.basis)
        return np.asarray(found[(np.abs(found) < 0.5).all(axis=1)])

    def places(self, height: int, width: int, *, beyond_px: float) -> NDArray[np.float64]:
        """Return (n, 2), x and y of all places on an image or a little beyond its edges, row after row."""
        reach = math.ceil((width + height + 2 * beyond_px) / self.period) + 2
        steps = np.arange(-reach, reach + 1)
        rows, cols = np.meshgrid(steps, steps, indexing="ij")
        pairs = np.stack([cols.ravel(), rows.ravel()], axis=1)
        found = pairs @ self.basis.T + [self.x, self.y]
        inside = (found > -beyond_px).all(axis=1) & (found < [width + beyond_px, height + beyond_px]).all(1)
        return np.asarray(found[inside])


def contrast_of(pixels: Bytes, mask: Mask, *, sigma: float | None = None) -> Floats:
    """Return (h, w) luminance without slow changes, clipped so that vessels and edges do not drown a veil.

    Args:
        pixels: (h, w, 3) uint8.
        mask: (h, w) bool, where the veil is.
        sigma: Deviation of the blur that makes the slow changes, pixels; None: a median instead.
    """
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.float32)
    if sigma is None:
        slow = cv2.medianBlur(grey.astype(np.uint8), 21 if min(grey.shape) > 300 else 11)
    else:
        slow = cv2.GaussianBlur(grey, (0, 0), sigma)
    rough = grey - slow
    seen = rough[mask]
    most = 3 * float(np.median(np.abs(seen))) + 2 if seen.size else 1.0
    return np.asarray(np.clip(rough, -most, most) * mask, dtype=np.float32)


def find_grids(pixels: Bytes, mask: Mask) -> list[Grid]:
    """Return the likeliest lattice by the signed and by the unsigned contrast, the more certain first.

    Copies that all look alike show in the first, copies of opposite colours and any turn in the second.

    Args:
        pixels: (h, w, 3) uint8.
        mask: (h, w) bool, where the veil is.
    """
    contrast = contrast_of(pixels, mask)
    size = np.abs(contrast)
    size = np.where(mask, size - (size[mask].mean() if mask.any() else 0), 0).astype(np.float32)
    found = [grid for one in (contrast, size) if (grid := _likeliest(one)) is not None]
    return sorted(found, key=lambda grid: -grid.score)


def _likeliest(contrast: Floats) -> Grid | None:
    shorter = min(contrast.shape)
    low, high = max(_PERIODS[0] * shorter, _LEAST_PX), _PERIODS[1] * shorter
    if high <= low:
        return None
    spectrum = _white_spectrum(contrast)
    count = math.ceil(math.log(high / low) / math.log(_PERIOD_STEP))
    periods = low * _PERIOD_STEP ** np.arange(count + 1)
    angles = np.arange(0, math.pi, _ANGLE_STEP)
    best: Grid | None = None
    for stagger in (0.5, 0.0):
        score = _scores(spectrum, periods, angles, stagger)
        at = np.unravel_index(int(score.argmax()), score.shape)
        grid = Grid(float(periods[at[0]]), float(angles[at[1]]), stagger, float(score[at]))
        if best is None or grid.score > best.score:
            best = grid
    return None if best is None else _refined(spectrum, best)


def _refined(spectrum: tuple[Floats, float], grid: Grid) -> Grid:
    for step in (1.0, 0.3, 0.1):
        periods = grid.period * (1 + (_PERIOD_STEP - 1) * step * np.linspace(-1, 1, _REFINED))
        angles = grid.angle + _ANGLE_STEP * step * np.linspace(-1, 1, _REFINED)
        score = _scores(spectrum, periods, angles, grid.stagger)
        at = np.unravel_index(int(score.argmax()), score.shape)
        grid = Grid(float(periods[at[0]]), float(angles[at[1]]), grid.stagger, float(score[at]))
    return grid


def _white_spectrum(contrast: Floats) -> tuple[Floats, float]:
    """Return the logarithm of the power spectrum over its mean at each frequency, and the image's scale."""
    height, width = contrast.shape
    scale = min(_SIDE / 2 / max(height, width), 1.0)
    small = contrast
    if scale < 1:
        resized = cv2.resize(contrast, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        small = np.asarray(resized, dtype=np.float32)
    h, w = small.shape
    window = np.outer(np.hanning(h + 2)[1:-1], np.hanning(w + 2)[1:-1]).astype(np.float32)
    padded = np.zeros((_SIDE, _SIDE), np.float32)
    padded[:h, :w] = small * window
    planes = cv2.dft(padded, flags=cv2.DFT_COMPLEX_OUTPUT)
    power = np.square(planes).sum(axis=2)
    ring = np.hypot(*np.meshgrid(np.fft.fftfreq(_SIDE), np.fft.fftfreq(_SIDE))) * _SIDE
    which = (ring / 8).astype(np.int64)
    mean = np.bincount(which.ravel(), power.ravel()) / np.maximum(np.bincount(which.ravel()), 1)
    white = np.log(power / np.maximum(mean[which], 1e-9) + 1e-3)
    return np.asarray(white, dtype=np.float32), scale


def _scores(
    spectrum: tuple[Floats, float], periods: NDArray[np.float64], angles: NDArray[np.float64], stagger: float
) -> NDArray[np.float64]:
    """Return (periods, angles): how far the spectrum stands out at the frequencies of each lattice."""
    white, scale = spectrum
    p = periods[:, None] * scale
    cos, sin = np.cos(angles)[None], np.sin(angles)[None]
    total, weights = np.zeros((len(periods), len(angles))), 0.0
    for m in range(0, _ORDERS + 1):
        for n in range(-_ORDERS, _ORDERS + 1):
            if (m == 0 and n <= 0) or m * m + n * n > _ORDERS**2:
                continue
            # the reciprocal lattice of (1, 0) and (stagger, 1)
            fx, fy = m, n - m * stagger
            kx, ky = (fx * cos - fy * sin) / p * _SIDE, (fx * sin + fy * cos) / p * _SIDE
            ix, iy = np.rint(kx).astype(np.int64) % _SIDE, np.rint(ky).astype(np.int64) % _SIDE
            weight = 1 / (1 + fx * fx + fy * fy)
            total += weight * white[iy, ix]
            weights += weight
    return np.asarray(total / weights + 0.58)  # the mean of the logarithm of an exponential variable is -0.58


def anchored(grid: Grid, cell: NDArray[np.float64], template: Floats) -> tuple[Grid, float]:
    """Find where the places of a lattice are: look for one copy in the cell onto which an image was folded.

    Args:
        grid: Where x and y are not known yet.
        cell: From :func:`folded`.
        template: (s, s) what a copy looks like in it, its middle in the middle.

    Returns:
        The same with x and y, and the correlation with the folded copy.
    """
    side = template.shape[0]
    there = replace(grid, x=(side - 1) / 2, y=(side - 1) / 2)
    copy = folded(there, template, mean=False)
    cell, copy = cell - cell.mean(), copy - copy.mean()
    product = np.fft.fft2(cell) * np.conj(np.fft.fft2(copy))
    map_ = np.fft.ifft2(product).real
    v, u = np.unravel_index(int(map_.argmax()), map_.shape)
    x, y = grid.basis @ (np.array([u, v]) / _CELL)
    told = float(map_.max() / max(np.linalg.norm(cell) * np.linalg.norm(copy), 1e-9))
    return replace(grid, x=float(x), y=float(y)), told


def folded(grid: Grid, values: Floats, *, mean: bool = True) -> NDArray[np.float64]:
    """Return the mean, or sum, of all cells of a lattice over an image, (48, 48)."""
    height, width = values.shape
    inverse = np.linalg.inv(grid.basis)
    x, y = np.arange(width)[None] - grid.x, np.arange(height)[:, None] - grid.y
    u, v = (inverse[k, 0] * x + inverse[k, 1] * y for k in (0, 1))
    where = [np.floor((one % 1) * _CELL).astype(np.int64) % _CELL for one in (u, v)]
    index = (where[1] * _CELL + where[0]).ravel()
    total = np.bincount(index, values.ravel(), minlength=_CELL**2)
    count = np.bincount(index, minlength=_CELL**2) if mean else 1
    cell = (total / np.maximum(count, 1)).reshape(_CELL, _CELL)
    padded = np.pad(cell, 3, mode="wrap").astype(np.float32)
    return np.asarray(cv2.GaussianBlur(padded, (0, 0), 1.0)[3:-3, 3:-3], dtype=np.float64)
