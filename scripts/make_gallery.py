"""Make the pictures of docs/gallery.md: synthetic images of three kinds, each with the marks of every preset.

Run it from the project's root; it takes about a minute and needs nothing besides the base install::

    python scripts/make_gallery.py

It writes small WebP files into ``docs/images/gallery``. Everything is seeded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import medlocker as ml
from medlocker.classifiers import Classifier, load_onnx
from medlocker.demo.model import builtin_model
from medlocker.demo.paint import synthesise
from medlocker.geometry import Box
from medlocker.testing import LinearClassifier

SIDE_PX, SHOWN_PX, QUALITY = 512, 280, 62
SEED = 5
OUT = Path(__file__).resolve().parent.parent / "docs" / "images" / "gallery"
PRESETS: dict[str, Any] = {
    "veil": ml.Veil(),
    "veil-faint": ml.Veil(opacity=0.08),
    "strong": ml.Marks(budget=60),
    "paper": ml.Marks(preset="paper", budget=60),
}
"""The name in the file, and how marks look."""


@dataclass(frozen=True)
class Sample:
    """One synthetic image.

    Args:
        pixels: (H, W, C) uint8.
        lesions: What no mark may touch.
        model: What marks are searched on.
    """

    pixels: NDArray[np.uint8]
    lesions: Sequence[Box]
    model: Classifier


def fundus() -> Sample:
    """Return the demo's fundus photograph; the built-in model reads it."""
    made = synthesise(SEED, grade="severe", width=SIDE_PX, height=SIDE_PX)
    return Sample(made.image, _boxes(made.mask), load_onnx(builtin_model()))


def skin() -> Sample:
    """Return a brown mole on skin; a linear stand-in reads it."""
    rng = np.random.default_rng(SEED)
    fine, coarse = _noise(rng, 1.2), _noise(rng, 24.0)
    x, y = _plane()
    angle = np.arctan2(y - 0.04, x + 0.02)
    rim = 0.34 + 0.05 * np.sin(3 * angle + 1) + 0.03 * np.sin(7 * angle) + 0.04 * coarse
    depth = _soft((rim - np.hypot(x + 0.02, y - 0.04)) / 0.06)[..., None]
    ground = np.array([214.0, 164.0, 142.0]) + 10 * coarse[..., None] + 5 * fine[..., None]
    mole = np.array([104.0, 64.0, 48.0]) + 26 * coarse[..., None] + 12 * fine[..., None]
    light = 1 - 0.18 * (x**2 + y**2)[..., None]
    pixels = (ground + depth * (mole - ground)) * light
    mask = (depth[..., 0] > 0.1).astype(np.uint8) * 255
    return Sample(_bytes(pixels), _boxes(mask), LinearClassifier())


def brain() -> Sample:
    """Return a grey slice of a head with a bright lesion; a linear stand-in reads it."""
    rng = np.random.default_rng(SEED)
    x, y = _plane()
    folds = np.sin(26 * np.hypot(x, y) + 5 * _noise(rng, 9.0)) + _noise(rng, 5.0)
    head = np.hypot(x / 0.74, y / 0.9)
    pixels = 150 * _soft((1.0 - head) / 0.02) - 130 * _soft((0.93 - head) / 0.02)
    pixels += _soft((0.88 - head) / 0.02) * (86 + 6 * folds)
    for side in (-1, 1):
        pixels -= 70 * _soft((1 - np.hypot((x - 0.13 * side) / 0.09, (y + 0.05) / 0.24)) / 0.2)
    spot = _soft((1 - np.hypot((x - 0.36) / 0.12, (y - 0.26) / 0.1)) / 0.3)
    pixels = pixels + 95 * spot + 4 * _noise(rng, 0.8)
    return Sample(_bytes(pixels)[..., None], _boxes((spot > 0.1).astype(np.uint8) * 255), LinearClassifier())


def main() -> None:
    """Write all pictures."""
    OUT.mkdir(parents=True, exist_ok=True)
    for kind, sample in (("fundus", fundus()), ("skin", skin()), ("brain", brain())):
        _write(sample.pixels, f"{kind}-original")
        for name, style in PRESETS.items():
            found = style(sample.model, sample.pixels, keep_out=sample.lesions, seed=SEED)
            _write(found.apply(sample.pixels), f"{kind}-{name}")


def _write(pixels: NDArray[np.uint8], name: str) -> None:
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    small = picture.resize((SHOWN_PX, SHOWN_PX), Image.Resampling.LANCZOS)
    small.save(OUT / f"{name}.webp", quality=QUALITY, method=6)


def _plane() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y, x = np.mgrid[-1 : 1 : SIDE_PX * 1j, -1 : 1 : SIDE_PX * 1j]
    return x, y


def _noise(rng: np.random.Generator, sigma_px: float) -> NDArray[np.float64]:
    """Return smooth noise of mean 0 and standard deviation 1."""
    raw = cv2.GaussianBlur(rng.normal(size=(SIDE_PX, SIDE_PX)), (0, 0), sigma_px)
    return np.asarray((raw - raw.mean()) / raw.std())


def _soft(value: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(value, 0.0, 1.0)


def _bytes(pixels: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _boxes(mask: NDArray[np.uint8]) -> list[Box]:
    stats = cv2.connectedComponentsWithStats(mask)[2][1:]
    whole = (mask.shape[1], mask.shape[0])
    return [Box(*map(int, one[:4])).grown(4, within=whole) for one in stats]


if __name__ == "__main__":
    main()
