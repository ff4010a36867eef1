"""Turning marks of an unknown logo so that they lie alike: found by the gradients they share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from medlocker.attacks import Bytes, Floats

_SMALL_PX = 48
_STEP = 4
_CLIP = 80


def pose_guesses(images: Sequence[Bytes]) -> list[int]:
    """Return by how many degrees each image must be turned so that their marks lie alike.

    All zero where most lie alike already: interpolating them would only blur them.

    Args:
        images: (h, h, 3) uint8, a mark in the middle of each.
    """
    small = [_small(image) for image in images]
    slopes = [colour_slopes(image) for image in small]
    strong = int(np.argmax([np.median(np.abs(one)) for one in slopes]))
    found = [_turn(image, slopes[strong], range(-180, 180, _STEP)) for image in small]
    for _ in range(2):
        common = np.median(
            np.stack([colour_slopes(turned(i, d)) for i, d in zip(small, found, strict=True)]), axis=0
        )
        found = [
            _turn(image, common, range(d - _STEP, d + _STEP + 1))
            for image, d in zip(small, found, strict=True)
        ]
    return found if np.median(np.abs(found)) > 1 else [0] * len(found)


def turn_to(image: Bytes, typical: Floats) -> int:
    """Return by how many degrees an image must be turned so that its mark lies as in a typical one.

    Args:
        image: (h, h, 3) uint8.
        typical: (h, h, 3), any background.
    """
    small, common = _small(image), colour_slopes(_small(np.clip(typical, 0, 255).astype(np.uint8)))
    coarse = _turn(small, common, range(-180, 180, _STEP))
    return _turn(small, common, range(coarse - _STEP, coarse + _STEP + 1))


def turned(image: Bytes, degrees: float) -> Bytes:
    """Turn an image about its middle, counter-clockwise; its edge is repeated."""
    if degrees % 360 == 0:
        return image
    height, width = image.shape[:2]
    move = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    made = cv2.warpAffine(
        image, move, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(made, dtype=image.dtype)


def colour_slopes(image: Floats | Bytes) -> Floats:
    """Return (h, w, 6) central differences of the three channels."""
    image = image.astype(np.float32)
    return np.concatenate([cv2.Sobel(image, cv2.CV_32F, dx, 1 - dx, ksize=1) for dx in (1, 0)], axis=2)


def _small(image: Bytes) -> Bytes:
    how = cv2.INTER_AREA if image.shape[0] > _SMALL_PX else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (_SMALL_PX, _SMALL_PX), interpolation=how), dtype=np.uint8)


def _turn(small: Bytes, common: Floats, turns: Iterable[int]) -> int:
    """Return the number of degrees at which gradients correlate best."""
    side, reach = _SMALL_PX, 2
    y, x = np.mgrid[0:side, 0:side] - (side - 1) / 2
    disc = (x**2 + y**2 < (side / 2 - reach) ** 2)[..., None]
    template = np.clip(common * disc, -_CLIP, _CLIP)[reach:-reach, reach:-reach].astype(np.float32)
    scores = {}
    for degrees in turns:
        own = np.clip(colour_slopes(turned(small, degrees)) * disc, -_CLIP, _CLIP).astype(np.float32)
        planes = [
            cv2.matchTemplate(own[..., c], np.ascontiguousarray(template[..., c]), cv2.TM_CCORR)
            for c in range(own.shape[2])
        ]
        scores[degrees] = float(np.sum(planes, axis=0).max()) / (float(np.sqrt((own**2).sum())) + 1)
    return max(scores, key=lambda degrees: scores[degrees])
