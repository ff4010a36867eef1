"""Attacks 1 to 4: what anybody does to a file before classifying it, on purpose or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from medlocker.evaluate.removal._evidence import CAPPED_PX, WHOLE_PX, Bytes, Evidence, Facts

Transform = Callable[[Bytes], Bytes]


@dataclass(frozen=True, eq=False)
class TransformAttack:
    """Changes the whole image without looking for a mark.

    Args:
        number: In the list of attacks.
        transforms: From the row's name to the change.
        comparable: Whether pixels stay in their places.
        longest_px: Largest side it works at.
    """

    number: int
    transforms: Mapping[str, Transform]
    comparable: bool = True
    longest_px: int = CAPPED_PX

    @property
    def facts(self) -> Facts:
        """What is told of it."""
        return Facts(
            self.number,
            "nothing",
            tuple(self.transforms),
            control="transform",
            longest_px=self.longest_px,
            comparable=self.comparable,
        )

    def restore(self, evidence: Evidence) -> dict[str, Bytes]:
        """Apply each transform."""
        return {name: change(evidence.marked) for name, change in self.transforms.items()}


def jpeg(pixels: Bytes, quality: int) -> Bytes:
    """Write and read as JPEG with halved chroma, as most programs do."""
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)[..., ::-1])


def there_and_back(pixels: Bytes, scale: float) -> Bytes:
    """Shrink and enlarge again."""
    height, width = pixels.shape[:2]
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def crop_middle(pixels: Bytes, share: float) -> Bytes:
    """Cut the middle out and enlarge it to the old size."""
    height, width = pixels.shape[:2]
    h, w = max(round(height * share), 1), max(round(width * share), 1)
    top, left = (height - h) // 2, (width - w) // 2
    part = pixels[top : top + h, left : left + w]
    return np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _median(pixels: Bytes, side: int) -> Bytes:
    return np.asarray(cv2.medianBlur(pixels, side), dtype=np.uint8)


def _gaussian(pixels: Bytes, sigma: float) -> Bytes:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), dtype=np.uint8)


def transform_attacks() -> list[TransformAttack]:
    """Return attacks 1 to 4."""
    return [
        TransformAttack(1, {"none": lambda p: p}, longest_px=WHOLE_PX),
        TransformAttack(2, {f"jpeg {q}": partial(jpeg, quality=q) for q in (90, 75, 50)}),
        TransformAttack(
            3,
            {
                **{f"blur {s}": partial(_gaussian, sigma=s) for s in (1, 2)},
                **{f"median {s}": partial(_median, side=s) for s in (3, 5)},
            },
        ),
        TransformAttack(4, {f"resize {s:g}": partial(there_and_back, scale=s) for s in (0.75, 0.5)}),
        TransformAttack(
            4,
            {
                "crop 90 %": partial(crop_middle, share=0.9),
                "flip": lambda p: np.ascontiguousarray(p[:, ::-1]),
            },
            comparable=False,
        ),
    ]
