"""Optic disc and fovea of a fundus photograph, by classical image processing; not a clinician's.

The disc is where the picture is bright in red and green against its surroundings, where vessels run together,
and where they run upright above and below. Its outline is the ellipse along which brightness falls outwards
most. The fovea is a dark place without vessels at its usual distance from the disc, on either side of it and
slightly below; what lies far from the middle of the picture is believed less.

All lengths are shares of the field of view's diameter. Weights and limits were chosen on photographs that the
published numbers do not use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.regions._eyeview import DIAMETER_PX, SIDE_PX, EyeView, from_centre

Map = NDArray[np.float32]
"""(n, n) float32."""

DISC_RATIO = 1.08
"""Height of an optic disc / its width."""

_STEP_PX = 3
_COARSE_PX = SIDE_PX // _STEP_PX
_UNIT = DIAMETER_PX / _STEP_PX
"""The field's diameter in coarse pixels."""

_BRIGHT_RED, _BRIGHT_GREEN, _CONVERGING, _UPRIGHT = 25, 20, 85, 30
_DARK_RED, _DARK_GREEN, _WIDE_RED, _WIDE_GREEN, _VESSELS, _ROUND = 25, 35, 15, 25, -15, -40

_FAINTEST_VESSEL = 0.05
_USUAL_RADIUS = 0.09
_USUAL_DISTANCE, _DISTANCE_SPREAD = 0.37, 0.045
_USUAL_ANGLE, _ANGLE_SPREAD = 6.0, 7.0
"""Of the line from the disc to the fovea, degrees below the horizontal."""
_CENTRE_SPREAD = 0.25
_UNHEARD_OF = -4.5
"""Three spreads off."""

_DISC_SCORE, _DISC_EDGE = 8.5, 0.01
_FOVEA_SCORE = 4
"""Below them nothing is said to be found."""


@dataclass(frozen=True)
class Circle:
    """Something round in a view.

    Args:
        x: Of its centre, pixels of the view.
        y: Of its centre.
        strength: From 1 on it counts as found.
    """

    x: float
    y: float
    radius: float
    strength: float


@dataclass(frozen=True)
class Landmarks:
    """What was found in a view.

    Args:
        disc: The optic disc, or None.
        fovea: The middle of the macula, with the radius that is kept clear, or None.
    """

    disc: Circle | None
    fovea: Circle | None


def landmarks_of(view: EyeView) -> Landmarks:
    """Find optic disc and fovea; the same view gives the same answer."""
    if not view.inside.any():
        return Landmarks(None, None)
    seen = _look_at(view)
    disc = _disc(view, seen)
    if disc.strength < 1:
        return Landmarks(None, None)
    fovea = _fovea(view, seen, disc)
    return Landmarks(disc, fovea if fovea is not None and fovea.strength >= 1 else None)


@dataclass(frozen=True, eq=False)
class _Seen:
    """Maps that both searches use.

    Args:
        plain: (SIDE_PX, SIDE_PX, 3) uint8, the view without its thin dark lines.
        smooth: The same without its small bright spots either, which exudates are.
        inside: Share of each coarse pixel that is in the field.
        converging: How far lines around each coarse pixel lead to it; below 0 where they go round it.
        upright: How much more upright than level lines are, above and below of it.
        vessels: How many there are around it.
    """

    plain: NDArray[np.uint8]
    smooth: NDArray[np.uint8]
    inside: Map
    converging: Map
    upright: Map
    vessels: Map


def _look_at(view: EyeView) -> _Seen:
    inside = view.inside.astype(np.float32)
    green = _contrast(view.pixels[..., 1].astype(np.float32), inside, DIAMETER_PX / 20)
    amount, level, slant = _lines(green, view.inside)
    to_x, to_y, upright = _vessel_kernels()
    plain = cv2.morphologyEx(view.pixels, cv2.MORPH_CLOSE, _round(1 / 96))
    return _Seen(
        plain=np.asarray(plain, dtype=np.uint8),
        smooth=np.asarray(cv2.morphologyEx(plain, cv2.MORPH_OPEN, _round(1 / 48)), dtype=np.uint8),
        inside=_coarse(inside),
        converging=_filtered(level, to_x) + _filtered(slant, to_y),
        upright=_filtered(-level, upright),
        vessels=_blurred(amount, 0.042 * _UNIT),
    )


def _lines(contrast: Map, inside: NDArray[np.uint8]) -> tuple[Map, Map, Map]:
    """Return how much dark line there is in each coarse pixel, 0 to 1, and that times its direction.

    The direction is an angle doubled, as a line has no front: 1 and 0 is level, -1 and 0 upright.
    """
    amount = level = slant = np.zeros_like(contrast)
    for sigma in (DIAMETER_PX / 256, DIAMETER_PX / 154):
        smooth = _blurred(contrast, sigma) * np.float32(sigma * sigma)
        xx, yy, xy = (cv2.Sobel(smooth, cv2.CV_32F, *order, ksize=3) for order in ((2, 0), (0, 2), (1, 1)))
        across = xx + yy
        along = np.sqrt((xx - yy) ** 2 + 4 * xy**2) + np.float32(1e-6)
        # curved one way only: a line; both ways: a spot
        found = np.maximum((across + along) / 2 - np.abs(across - along) / 2, 0)
        is_better = found > amount
        amount = np.where(is_better, found, amount)
        level = np.where(is_better, (yy - xx) / along, level)
        slant = np.where(is_better, -2 * xy / along, slant)
    amount = amount * cv2.erode(inside, _round(1 / 64))
    # as clear as most vessels of this picture; where nothing is as clear as any vessel, noise is none
    clear = max(float(np.percentile(amount[inside > 0], 98)), _FAINTEST_VESSEL)
    amount = np.minimum(amount / np.float32(clear), 1)
    amount = np.where(amount > 0.25, amount, np.float32(0))
    return _coarse(amount), _coarse(amount * level), _coarse(amount * slant)


def _disc(view: EyeView, seen: _Seen) -> Circle:
    """Return the likeliest optic disc."""
    within = (seen.inside > 0.5).astype(np.float32)
    score = _CONVERGING * seen.converging + _UPRIGHT * seen.upright
    for channel, weight in ((0, _BRIGHT_RED), (1, _BRIGHT_GREEN)):
        contrast = _contrast(_means(seen.smooth[..., channel], view.inside), within, _UNIT / 5)
        score = score + weight * _beyond_ring(np.minimum(contrast, 0.5), within, 0.068, 0.094, 0.135)
    row, column = _largest(np.where(seen.inside > 0.6, score, -np.inf))
    x, y = (at * _STEP_PX + _STEP_PX // 2 for at in (column, row))
    edge, x, y, radius = _outline(view, seen.plain, x, y)
    return Circle(x, y, radius, _disc_strength(float(score[row, column]), edge))


def _disc_strength(score: float, edge: float) -> float:
    return score / _DISC_SCORE / 2 + edge / _DISC_EDGE / 2


def _outline(view: EyeView, plain: NDArray[np.uint8], x: int, y: int) -> tuple[float, int, int, float]:
    """Find the ellipse about a place at whose edge brightness falls most: how clear, centre, radius."""
    half, reach = int(0.28 * DIAMETER_PX), int(0.085 * DIAMETER_PX)
    move = np.array([[1, 0, half - x], [0, 1, half - y]], np.float64)
    size = (2 * half + 1, 2 * half + 1)
    near = cv2.warpAffine(plain, move, size).astype(np.float32)
    inside = cv2.warpAffine(view.inside, move, size)
    light = near[..., 0] * np.float32(0.4) + near[..., 1] * np.float32(0.6)
    light = (light / max(float(np.median(light[inside > 0])), 1)).astype(np.float32)
    light = _blurred(light, DIAMETER_PX / 192)
    slopes = [cv2.Sobel(light, cv2.CV_32F, *order, ksize=3) / 8 for order in ((1, 0), (0, 1))]
    # exudates are steeper than any disc
    steep = np.maximum(np.hypot(*slopes), 1e-6)
    limit = cv2.erode(inside, _round(1 / 77)) * np.minimum(np.float32(0.045) / steep, 1)
    down_x, down_y = ((slope * limit).astype(np.float32) for slope in slopes)
    at = np.arange(-reach, reach + 1, dtype=np.float32)
    moved = at[:, None] ** 2 + at[None, :] ** 2
    window = (slice(half - reach, half + reach + 1),) * 2
    best = (-math.inf, x, y, 0.0)
    for radius, kernel_x, kernel_y in _ellipse_kernels():
        falls = (_filtered(down_x, kernel_x) + _filtered(down_y, kernel_y))[window]
        share = radius / DIAMETER_PX
        usual = math.exp(-0.5 * (math.log(share / _USUAL_RADIUS) / 0.6) ** 2) * (share / 0.08) ** 0.5
        falls = falls * np.exp(-0.5 * moved / np.float32(0.6 * radius) ** 2) * np.float32(usual)
        row, column = _largest(falls)
        if falls[row, column] > best[0]:
            best = (float(falls[row, column]), x + column - reach, y + row - reach, radius)
    return best


def _fovea(view: EyeView, seen: _Seen, disc: Circle) -> Circle | None:
    """Return the likeliest fovea of an eye with this disc, None if no place for it is in the field."""
    inner = np.asarray(cv2.erode(view.inside, _round(1 / 30)), dtype=np.uint8)
    within = (_coarse(inner.astype(np.float32)) > 0.6).astype(np.float32)
    score = _VESSELS * seen.vessels + _ROUND * seen.converging
    for channel, narrow, wide in ((0, _DARK_RED, _WIDE_RED), (1, _DARK_GREEN, _WIDE_GREEN)):
        contrast = np.clip(_contrast(_means(seen.smooth[..., channel], inner), within, _UNIT / 6), -0.4, 0.1)
        score = score - narrow * _beyond_ring(contrast, within, 0.045, 0.07, 0.12)
        score = score - wide * _beyond_ring(contrast, within, 0.08, 0.11, 0.18)
    # eyes seen larger show larger discs, but discs differ too
    scale = math.sqrt(disc.radius / DIAMETER_PX / 0.079)
    distance = from_centre(_STEP_PX)
    places = _likely_places(disc, scale)
    score = score + places - 0.5 * (distance / (_CENTRE_SPREAD * DIAMETER_PX)) ** 2
    allowed = (within > 0) & (distance < 0.44 * DIAMETER_PX) & (places > _UNHEARD_OF)
    if not allowed.any():
        return None
    row, column = _largest(np.where(allowed, score, -np.inf))
    x, y = (at * _STEP_PX + _STEP_PX // 2 for at in (column, row))
    return Circle(x, y, 0.1 * DIAMETER_PX * scale, float(score[row, column]) / _FOVEA_SCORE)


def _likely_places(disc: Circle, scale: float) -> Map:
    """Return how likely each coarse pixel is the fovea by its place alone: a logarithm, 0 at most."""
    at = np.arange(_COARSE_PX, dtype=np.float32) * _STEP_PX + _STEP_PX // 2
    x, y = (at - np.float32(disc.x))[None, :], (at - np.float32(disc.y))[:, None]
    off = (np.hypot(x, y) / DIAMETER_PX - _USUAL_DISTANCE * scale) / _DISTANCE_SPREAD
    turned = (np.degrees(np.arctan2(y, np.abs(x))) - _USUAL_ANGLE) / _ANGLE_SPREAD
    return np.asarray(-0.5 * (off**2 + turned**2), dtype=np.float32)


def _contrast(values: Map, inside: Map, sigma: float) -> Map:
    """Return how much brighter each pixel is than its surroundings, as a share of theirs."""
    around = _blurred(values * inside, sigma) / np.maximum(_blurred(inside, sigma), 1e-3)
    return np.where(inside > 0, values / np.maximum(around, 4) - 1, np.float32(0))


def _means(channel: NDArray[Any], inside: NDArray[np.uint8]) -> Map:
    """Return each coarse pixel's mean over those of its pixels that are inside."""
    weights = inside.astype(np.float32)
    means = _coarse(channel.astype(np.float32) * weights) / np.maximum(_coarse(weights), 0.05)
    return means.astype(np.float32)


def _beyond_ring(values: Map, inside: Map, radius: float, ring: float, end: float) -> Map:
    """Return each coarse pixel's mean within a radius less that of a ring about it."""
    middle, around = _ring_kernel(0, radius, end), _ring_kernel(ring, end, end)
    means = [
        _filtered(values * inside, kernel) / np.maximum(_filtered(inside, kernel), 1)
        for kernel in (middle, around)
    ]
    return np.asarray(means[0] - means[1], dtype=np.float32)


def _largest(values: Map) -> tuple[int, int]:
    row, column = np.unravel_index(int(np.argmax(values)), values.shape)
    return int(row), int(column)


def _blurred(values: Map, sigma: float) -> Map:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), dtype=np.float32)


def _coarse(values: Map) -> Map:
    size = (_COARSE_PX, _COARSE_PX)
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _filtered(values: Map, kernel: Map) -> Map:
    found = cv2.filter2D(values, cv2.CV_32F, kernel, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(found, dtype=np.float32)


def _square(half: int) -> tuple[Map, Map, Map]:
    """Return x as (1, n), y as (n, 1) and the distance from the middle, which is not 0 even there."""
    at = np.arange(-half, half + 1, dtype=np.float32)
    x, y = at[None, :], at[:, None]
    return x, y, np.maximum(np.hypot(x, y), np.float32(1e-6))


@cache
def _round(share: float) -> NDArray[np.uint8]:
    side = 2 * max(round(share * DIAMETER_PX), 1) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), dtype=np.uint8)


@cache
def _ring_kernel(start: float, stop: float, end: float) -> Map:
    _, _, distance = _square(math.ceil(end * _UNIT))
    return ((distance >= start * _UNIT) & (distance < stop * _UNIT)).astype(np.float32)


@cache
def _vessel_kernels() -> tuple[Map, Map, Map]:
    """Return what to filter lines' directions with: two for those that lead here, one for upright ones."""
    x, y, distance = _square(int(0.3 * _UNIT))
    ring = np.exp(-0.5 * ((distance / _UNIT - 0.156) / 0.083) ** 2)
    ring /= ring.sum()
    above = np.exp(-0.5 * (x / (0.052 * _UNIT)) ** 2 - 0.5 * ((np.abs(y) / _UNIT - 0.083) / 0.052) ** 2)
    to_x, to_y = ring * (x**2 - y**2) / distance**2, ring * 2 * x * y / distance**2
    return to_x.astype(np.float32), to_y.astype(np.float32), (above / above.sum()).astype(np.float32)


@cache
def _ellipse_kernels() -> tuple[tuple[float, Map, Map], ...]:
    """Return radii of optic discs and what to filter slopes with, to see how they fall along such an edge."""
    kernels = []
    for radius in np.geomspace(0.05, 0.165, 14) * DIAMETER_PX:
        x, y, distance = _square(int(radius * DISC_RATIO) + 3)
        edge = np.exp(-0.5 * ((np.hypot(x, y / DISC_RATIO) - radius) / (DIAMETER_PX / 256)) ** 2)
        edge = (-edge / edge.sum() / distance).astype(np.float32)
        kernels.append((float(radius), edge * x, edge * y))
    return tuple(kernels)
