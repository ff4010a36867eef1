"""A fundus photograph brought to one size: the rim of its field of view becomes a circle of fixed diameter.

Then every length is a share of that diameter, however large the picture is, whether it was stretched to a
square, and whether its upper and lower edges cut the field.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.geometry import Box
from medlocker.regions._fundus import Field, field_of_view

DIAMETER_PX = 256
"""Of the field of view."""
SIDE_PX = DIAMETER_PX + 32

_ROUNDS = 4
_MOST_STRETCHED = 2.0
_LEAST_RIM_PX = 24


@dataclass(frozen=True)
class Ellipse:
    """An upright ellipse, in pixels.

    Args:
        x: Of its centre.
        y: Of its centre.
    """

    x: float
    y: float
    across: float
    down: float


@dataclass(frozen=True, eq=False)
class EyeView:
    """The photograph at one size.

    Args:
        pixels: (SIDE_PX, SIDE_PX, 3) uint8 RGB.
        inside: (SIDE_PX, SIDE_PX) uint8, 1 where the field of view is.
        rim: Where the field's rim lies in the picture that it was made from.
        made_from: (height, width) of that picture.
    """

    pixels: NDArray[np.uint8]
    inside: NDArray[np.uint8]
    rim: Ellipse
    made_from: tuple[int, int]

    def box(self, x: float, y: float, across: float, down: float, *, image: tuple[int, int]) -> Box | None:
        """Return the box around an ellipse, outwards to whole pixels, clipped to the image; None if outside.

        Args:
            x: Of the ellipse's centre, pixels of the view.
            y: Of its centre.
            image: (height, width) of the image that the box is for; the view shows all of it.
        """
        (height, width), (own_height, own_width) = image, self.made_from
        middle = (SIDE_PX - 1) / 2
        zoom_x, zoom_y = (2 * radius / DIAMETER_PX for radius in (self.rim.across, self.rim.down))

        def column(at: float) -> float:
            return (self.rim.x + (at - middle) * zoom_x + 0.5) * width / own_width

        def row(at: float) -> float:
            return (self.rim.y + (at - middle) * zoom_y + 0.5) * height / own_height

        left, right = max(math.floor(column(x - across)), 0), min(math.ceil(column(x + across)), width)
        top, bottom = max(math.floor(row(y - down)), 0), min(math.ceil(row(y + down)), height)
        return Box(left, top, right - left, bottom - top) if left < right and top < bottom else None


def view_eye(pixels: NDArray[np.uint8]) -> EyeView | None:
    """Bring a fundus photograph to one size; None if no field of view is seen.

    Args:
        pixels: (h, w, 3) uint8 RGB, shorter side about 320.
    """
    field = field_of_view(pixels)
    if field is None:
        return None
    rim = fit_ellipse(field)
    zoom_x, zoom_y = DIAMETER_PX / (2 * rim.across), DIAMETER_PX / (2 * rim.down)
    middle = (SIDE_PX - 1) / 2
    move = np.array([[zoom_x, 0, middle - zoom_x * rim.x], [0, zoom_y, middle - zoom_y * rim.y]])
    shown = cv2.warpAffine(pixels, move, (SIDE_PX, SIDE_PX), flags=cv2.INTER_LINEAR)
    whole = cv2.warpAffine(field.whole.view(np.uint8), move, (SIDE_PX, SIDE_PX), flags=cv2.INTER_NEAREST)
    inside = np.where(from_centre() < DIAMETER_PX / 2 - 1, whole, np.uint8(0))
    return EyeView(
        np.asarray(shown, dtype=np.uint8), np.asarray(inside, dtype=np.uint8), rim, field.whole.shape
    )


def from_centre(step: int = 1) -> NDArray[np.float32]:
    """Return every pixel's distance from the view's centre, of every so manieth pixel."""
    at = np.arange(step // 2, SIDE_PX, step, dtype=np.float32) - np.float32((SIDE_PX - 1) / 2)
    return np.asarray(np.hypot(at[:, None], at[None, :]), dtype=np.float32)


def fit_ellipse(field: Field) -> Ellipse:
    """Fit an upright ellipse to the rim of a field of view, also where the picture's edges cut it."""
    height, width = field.whole.shape
    outlines, _ = cv2.findContours(field.whole.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=len)[:, 0].astype(np.float64)
    x, y = outline.T
    # what the picture's edge cuts off is no rim
    rim = _fitted(outline[(x > 2) & (y > 2) & (x < width - 3) & (y < height - 3)])
    (left, top), (right, bottom) = outline.min(axis=0), outline.max(axis=0)
    bounds = Ellipse((left + right) / 2, (top + bottom) / 2, (right - left + 1) / 2, (bottom - top + 1) / 2)
    if rim is None or not _is_likely(rim, bounds):
        return bounds
    return rim


def _is_likely(rim: Ellipse, bounds: Ellipse) -> bool:
    """Tell whether an ellipse can be the rim of what its bounds are known of."""
    if not 1 / _MOST_STRETCHED < rim.across / rim.down < _MOST_STRETCHED:
        return False
    pairs = ((rim.across, bounds.across), (rim.down, bounds.down))
    return all(0.8 < fitted / seen < _MOST_STRETCHED for fitted, seen in pairs)


def _fitted(points: NDArray[Any]) -> Ellipse | None:
    """Fit ``x² + b y² + c x + d y + e = 0``, leaving out what is off, as notches and tabs at the rim are.

    Args:
        points: (N, 2) float64.
    """
    rim = None
    for _ in range(_ROUNDS):
        if len(points) < _LEAST_RIM_PX:
            break
        middle, spread = points.mean(axis=0), points.std() + 1e-6
        u, v = ((points - middle) / spread).T
        b, c, d, e = np.linalg.lstsq(-np.stack([v * v, u, v, np.ones_like(u)], 1), u * u, rcond=None)[0]
        if b <= 0 or (size := c * c / 4 + d * d / (4 * b) - e) <= 0:
            break
        x, y, across, down = -c / 2, -d / (2 * b), math.sqrt(size), math.sqrt(size / b)
        rim = Ellipse(
            float(middle[0] + spread * x),
            float(middle[1] + spread * y),
            float(spread * across),
            float(spread * down),
        )
        off = np.abs(np.hypot((u - x) / across, (v - y) / down) - 1)
        points = points[off <= max(float(np.percentile(off, 85)), 0.005)]
    return rim
