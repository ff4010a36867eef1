"""From the eye's units to pixels: where the field of view lies, and how outlines become coverage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
"""(H, W) float32."""
Points = NDArray[np.float64]
"""(N, 2) float64 in the eye's units."""

_OVERSAMPLING = 2
_SHIFT = 6


@dataclass(frozen=True)
class Frame:
    """The place of the round field of view in the picture.

    Args:
        width: Of the picture, pixels.
        height: Of the picture, pixels.
        centre: Column and row of the field's centre, pixels.
        radius: Of the field, pixels: the eye's unit.
    """

    width: int
    height: int
    centre: tuple[float, float]
    radius: float

    def grid(self) -> tuple[Plane, Plane]:
        """Return x as (1, W) and y as (H, 1), in the eye's units."""
        x = (np.arange(self.width, dtype=np.float32) + 0.5 - self.centre[0]) / self.radius
        y = (np.arange(self.height, dtype=np.float32) + 0.5 - self.centre[1]) / self.radius
        return x[None, :].astype(np.float32), y[:, None].astype(np.float32)

    def spot(self, at: tuple[float, float], sigma: float, *, tall: float = 1.0) -> Plane:
        """Return a Gaussian bump of height 1; ``tall`` stretches it vertically."""
        x, y = self.grid()
        across = np.exp(-(((x - at[0]) / sigma) ** 2) / 2)
        down = np.exp(-(((y - at[1]) / (sigma * tall)) ** 2) / 2)
        return np.asarray(down * across, dtype=np.float32)

    def fill(self, outlines: Iterable[tuple[Points, float]], *, blur_px: float = 0.0) -> Plane:
        """Fill polygons, later ones over earlier ones; values 0 to 1, antialiased.

        Args:
            outlines: Polygons and their values.
            blur_px: Sigma of a blur afterwards.
        """
        big = np.zeros((self.height * _OVERSAMPLING, self.width * _OVERSAMPLING), np.uint8)
        origin = np.asarray(self.centre) * _OVERSAMPLING - 0.5
        for outline, value in outlines:
            pixels = outline * (self.radius * _OVERSAMPLING) + origin
            corners = np.round(pixels * (1 << _SHIFT)).astype(np.int32)
            cv2.fillPoly(big, [corners], (round(255 * value),), cv2.LINE_8, _SHIFT)
        plane = cv2.resize(big, (self.width, self.height), interpolation=cv2.INTER_AREA)
        plane = plane.astype(np.float32) / np.float32(255)
        return blurred(plane, blur_px)

    def noise(self, rng: np.random.Generator, *, grain: float) -> Plane:
        """Return smooth noise of deviation about 1, whose grains measure ``grain`` of the radius."""
        step = max(grain * self.radius, 1.0)
        size = (int(self.height / step) + 4, int(self.width / step) + 4)
        coarse = rng.standard_normal(size, dtype=np.float32)
        plane = cv2.resize(
            coarse,
            (round(size[1] * step), round(size[0] * step)),
            interpolation=cv2.INTER_CUBIC,
        )
        top, left = int(step), int(step)
        cut = plane[top : top + self.height, left : left + self.width]
        return np.asarray(cut * np.float32(1.35), dtype=np.float32)


def blurred(plane: Plane, sigma_px: float) -> Plane:
    """Blur a plane or picture; nothing happens below 0.2 px."""
    if sigma_px < 0.2:
        return plane
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma_px), dtype=np.float32)


def mix(picture: NDArray[np.float32], color: NDArray[np.float32], share: Plane) -> None:
    """Move a (H, W, 3) picture towards a colour, in place; share is 0 to 1."""
    for c in range(3):
        plane = picture[..., c]
        plane += (color[c] - plane) * share
