"""Heavy ordinary augmentation as a painter: blur, noise, JPEG, occlusion, colour."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.attacks import downscale_and_upscale, gaussian, jpeg

Pixels = NDArray[np.uint8]
Painter = Callable[[Pixels, np.random.Generator], Pixels]
"""From one picture, (H, W, 3) uint8 RGB, to a new one of the same shape."""

_CHANCE = 0.45


def ordinary(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Spoil a picture in several of the usual ways at once, in random order and to a random degree."""
    for position in rng.permutation(len(_WAYS)):
        if rng.random() < _CHANCE:
            pixels = _WAYS[position](pixels, rng)
    return pixels


def _blur(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    scale = min(pixels.shape[:2]) / 224
    return gaussian(pixels, float(rng.uniform(0.3, 2.0)) * scale)


def _shrink(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    return downscale_and_upscale(pixels, float(rng.uniform(0.25, 0.8)))


def _noise(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    noise = rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(rng.uniform(2, 25))
    return _bytes(pixels + noise)


def _compress(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    return jpeg(pixels, int(rng.integers(10, 80)))


def _occlude(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Lay rectangles and ellipses over the picture, from nearly clear to opaque."""
    covered = pixels.copy()
    side = min(pixels.shape[:2])
    for _ in range(int(rng.integers(1, 7))):
        layer = covered.copy()
        at = (int(rng.uniform(0, pixels.shape[1])), int(rng.uniform(0, pixels.shape[0])))
        half = tuple(max(1, int(v)) for v in rng.uniform(0.03, 0.2, 2) * side)
        color = tuple(float(v) for v in rng.uniform(0, 255, 3))
        if rng.random() < 0.5:
            cv2.ellipse(layer, at, half, float(rng.uniform(0, 180)), 0, 360, color, -1, cv2.LINE_AA)
        else:
            corner = (at[0] - half[0], at[1] - half[1])
            cv2.rectangle(layer, corner, (at[0] + half[0], at[1] + half[1]), color, -1)
        opacity = float(rng.uniform(0.1, 1.0))
        covered = np.asarray(cv2.addWeighted(layer, opacity, covered, 1 - opacity, 0), np.uint8)
    return covered


def _recolor(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Change gamma, gain of each channel, contrast and saturation."""
    image = np.power(pixels.astype(np.float32) / 255, np.float32(np.exp(rng.normal(0, 0.25))))
    image *= (np.exp(rng.normal(0, 0.15)) * np.exp(rng.normal(0, 0.1, 3))).astype(np.float32)
    grey = image.mean(axis=2, keepdims=True)
    image = grey + (image - grey) * np.float32(rng.uniform(0.4, 1.5))
    middle = image.mean()
    image = middle + (image - middle) * np.float32(rng.uniform(0.6, 1.4))
    return _bytes(image * 255)


def _bytes(image: NDArray[np.float32]) -> Pixels:
    return np.asarray(np.clip(np.rint(image), 0, 255), np.uint8)


_WAYS: tuple[Painter, ...] = (_blur, _shrink, _noise, _compress, _occlude, _recolor)
