"""Candidates for lesions in a fundus photograph, by classical image processing; not a clinician's.

Bright ones (exudates, cotton-wool spots, and the optic disc, which is kept: it costs little room and hides
nothing) stand out against the smoothed green channel. Dark ones (haemorrhages, microaneurysms) are what a
black top-hat finds and oriented lines do not explain: vessels are long, lesions are not. All sizes are in
parts of the field of view's diameter, so that the camera's resolution does not matter. Kernels and limits
were chosen on photographs that the published numbers do not use.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.regions.parts import Part, parts_of

FUNDUS_SIDE_PX = 712
"""Larger photographs are worked on at this shorter side."""
FUNDUS_MARGIN_PX = 6

_DARK_SHARE = 0.18
"""Outside the field of view everything is darker than this share of the brightest pixels."""
_BRIGHT_LIMIT, _DARK_LIMIT = 2.0, 6.0
"""Robust deviations from which a pixel is a candidate."""
_MIN_AREA_PX = 3
_ANGLES = 12
_ROUNDS = 3
_NO_FIELD_PX = 32


@dataclass(frozen=True, eq=False)
class Field:
    """The field of view.

    Args:
        whole: (h, w) bool.
        inner: The same without its rim, which is no tissue.
    """

    whole: NDArray[np.bool_]
    inner: NDArray[np.bool_]
    diameter_px: int


def field_of_view(pixels: NDArray[np.uint8]) -> Field | None:
    """Find the lit disc of a photograph (h, w, 3) uint8; None if there is nothing lit."""
    light = cv2.GaussianBlur(pixels.max(axis=2), (0, 0), 3)
    lit = (light > _DARK_SHARE * np.percentile(light, 95)).view(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(lit)
    if count < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, 4]))
    diameter = int(max(stats[largest, 2], stats[largest, 3]))
    if diameter < _NO_FIELD_PX:
        return None
    whole = cv2.morphologyEx((labels == largest).astype(np.uint8), cv2.MORPH_CLOSE, _disc(diameter / 20))
    # a frame of zeros: where the disc is cut by the picture's edge, that edge is a rim too
    inner = cv2.erode(np.pad(whole, 1), _disc(diameter / 40), borderValue=0)[1:-1, 1:-1]
    return Field(whole > 0, inner > 0, diameter)


def fundus_parts(pixels: NDArray[np.uint8]) -> list[Part]:
    """Return candidates in a fundus photograph, the strongest first.

    Args:
        pixels: (h, w, 3) uint8 RGB, shorter side about 712.

    Returns:
        Parts without margin; strength 1 is the limit from which they count.

    Raises:
        NoRoomError: If there are more than can be told apart.
    """
    field = field_of_view(pixels)
    if field is None:
        return []
    green = pixels[..., 1].astype(np.float32)
    fine = max(field.diameter_px / 900, 0.6)
    bright = _smooth(_contrast(green, field, field.diameter_px / 60, _ROUNDS), fine)
    flat = _smooth(_contrast(green, field, field.diameter_px / 25, 1), fine)
    found: list[Part] = []
    for response, limit in (
        (bright, _BRIGHT_LIMIT),
        (_dark(flat, field.diameter_px), _DARK_LIMIT),
    ):
        strength = _deviations(response, field) / np.float32(limit)
        found += parts_of(strength > 1, strength, min_area_px=_MIN_AREA_PX)
    return sorted(found, key=lambda part: (-part.strength, part.box))


def _smooth(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), dtype=np.float32)


def _contrast(green: NDArray[np.float32], field: Field, sigma: float, rounds: int) -> NDArray[np.float32]:
    """Return how much brighter each pixel is than its surroundings, as a share of theirs.

    In each further round, what stood out in the one before no longer counts as surroundings.
    """
    inside = field.whole.astype(np.float32)
    weight = inside
    contrast = np.zeros_like(green)
    for _ in range(rounds):
        amount = cv2.GaussianBlur(weight, (0, 0), sigma)
        around = cv2.GaussianBlur(green * weight, (0, 0), sigma) / np.maximum(amount, 1e-3)
        contrast = np.where(field.whole, green / np.maximum(around, 1) - 1, 0).astype(np.float32)
        usual = 1.4826 * float(np.median(np.abs(contrast[field.whole])))
        weight = inside * (np.abs(contrast) < 2 * usual)
        # inside of a large lesion nothing would be left to compare with
        sparse = cv2.GaussianBlur(weight, (0, 0), sigma) < 0.05
        weight = np.where(sparse, inside, weight).astype(np.float32)
    return contrast


def _dark(contrast: NDArray[np.float32], diameter_px: int) -> NDArray[np.float32]:
    """Return a black top-hat without what only a line in some direction fits into."""
    holes = cv2.morphologyEx(contrast, cv2.MORPH_CLOSE, _disc(diameter_px / 22)) - contrast
    best = np.zeros_like(holes)
    worst = np.full_like(holes, np.inf)
    for step in range(_ANGLES):
        fits = cv2.morphologyEx(holes, cv2.MORPH_OPEN, _line(diameter_px / 20, np.pi * step / _ANGLES))
        best, worst = np.maximum(best, fits), np.minimum(worst, fits)
    # in a large lesion lines of all directions fit: nothing is taken off
    return np.asarray(np.maximum(holes - (best - worst), 0), dtype=np.float32)


def _deviations(response: NDArray[np.float32], field: Field) -> NDArray[np.float32]:
    """Return a response in robust deviations above its median, 0 outside of the inner field."""
    values = response[field.inner]
    if values.size == 0:
        return np.zeros_like(response)
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle))) + 1e-4
    return np.where(field.inner, (response - max(middle, 0)) / spread, 0).astype(np.float32)


def _disc(size_px: float) -> NDArray[np.uint8]:
    side = max(int(size_px), 1) | 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), dtype=np.uint8)


def _line(length_px: float, angle: float) -> NDArray[np.uint8]:
    side = max(int(length_px), 3) | 1
    kernel = np.zeros((side, side), np.uint8)
    middle = side // 2
    dx, dy = round(np.cos(angle) * middle), round(np.sin(angle) * middle)
    cv2.line(kernel, (middle - dx, middle - dy), (middle + dx, middle + dy), (1,))
    return kernel
