"""Synthetic photographs of two classes and quick options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlocker.train import TrainOptions

BACKBONE = "mobilenetv3_small_050"
OPTIONS = TrainOptions(epochs=2, size=64, batch_size=8, seed=3, validation=0.2, device="cpu")


@dataclass(frozen=True)
class Photographs:
    """A data set on disk."""

    folder: Path
    labels: Path


def photograph(seed: int, *, ill: bool) -> NDArray[np.uint8]:
    """A dark noisy picture; an ill one has a bright patch."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 70, (60, 80, 3)).astype(np.uint8)
    if ill:
        y, x = rng.integers(5, 30, 2)
        pixels[y : y + 25, x : x + 35, :2] += 170
    return pixels
