"""What happens to a picture by the way before a model sees it, drawn by chance.

A veil that works only on the very pixels that were written is worth little: screenshots are cut, resized and
stored as JPEG.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from medlocker.attacks import Bytes, jpeg

_LEAST_KEPT, _SMALLEST, _MOST_EDGE = 0.9, 0.6, 0.05
_QUALITIES = (60, 95)
_SMALLEST_PX = 8


@dataclass(frozen=True)
class ViewTransform:
    """One way of looking at a picture.

    Args:
        kept: Share of height and width that is kept.
        offset: Where the kept part lies in the rest, 0 to 1, down and across.
        scale: By which it is resized.
        edge: Black edges added at the top and at the left, shares of the sides.
        quality: Of the JPEG that it is stored as, or None.
    """

    kept: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    edge: tuple[float, float] = (0.0, 0.0)
    quality: int | None = None

    def at(self, picture: Bytes) -> Bytes:
        """Return what a model sees of (H, W, 3) uint8."""
        height, width = picture.shape[:2]
        h, w = (max(round(share * side), 1) for share, side in zip(self.kept, (height, width), strict=True))
        top, left = round(self.offset[0] * (height - h)), round(self.offset[1] * (width - w))
        seen = picture[top : top + h, left : left + w]
        if self.scale != 1:
            size = (max(round(w * self.scale), _SMALLEST_PX), max(round(h * self.scale), _SMALLEST_PX))
            seen = np.asarray(cv2.resize(seen, size, interpolation=cv2.INTER_AREA), np.uint8)
        if any(self.edge):
            above, beside = round(self.edge[0] * seen.shape[0]), round(self.edge[1] * seen.shape[1])
            seen = np.pad(seen, ((above, 0), (beside, 0), (0, 0)))
        return seen if self.quality is None else jpeg(seen, self.quality)


def draw_view_transform(rng: np.random.Generator) -> ViewTransform:
    """Draw a glance: each of the changes in half of the cases."""

    def half(low: float, high: float, without: float) -> float:
        value = float(rng.uniform(low, high))
        return value if rng.random() < 0.5 else without

    quality = half(*_QUALITIES, 0)
    return ViewTransform(
        kept=(half(_LEAST_KEPT, 1, 1), half(_LEAST_KEPT, 1, 1)),
        offset=(float(rng.random()), float(rng.random())),
        scale=half(_SMALLEST, 1, 1),
        edge=(half(0, _MOST_EDGE, 0), half(0, _MOST_EDGE, 0)),
        quality=round(quality) or None,
    )
