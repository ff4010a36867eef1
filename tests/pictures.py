"""Images in memory of every kind a mark can be put on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.images import CHANNELS, Image, Kind

KINDS: tuple[Kind, ...] = ("grey", "grey-alpha", "rgb", "rgba", "palette")


def smooth(height: int, width: int, channels: int, *, seed: int = 0) -> NDArray[np.float64]:
    """(H, W, C) in 0..1: coarse random shading, like a photograph, with a little grain."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((5, 5, channels))
    y, x = np.linspace(0, 3.999, height), np.linspace(0, 3.999, width)
    i, j = y.astype(int), x.astype(int)
    fy, fx = (y - i)[:, None, None], (x - j)[None, :, None]
    upper = coarse[i][:, j] * (1 - fx) + coarse[i][:, j + 1] * fx
    lower = coarse[i + 1][:, j] * (1 - fx) + coarse[i + 1][:, j + 1] * fx
    grain = rng.normal(0, 0.01, (height, width, channels))
    return np.asarray(np.clip(upper * (1 - fy) + lower * fy + grain, 0, 1))


def make_image(
    kind: Kind = "rgb",
    *,
    height: int = 48,
    width: int = 64,
    bits: int = 8,
    seed: int = 0,
    white_is_zero: bool = False,
    noise: bool = False,
) -> Image:
    """An image without a file behind it; palettes have 216 colours evenly spread."""
    if kind == "palette":
        levels = np.array([0, 51, 102, 153, 204, 255], np.uint8)
        palette = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=3).reshape(-1, 3)
        steps = np.round(smooth(height, width, 3, seed=seed) * 5).astype(int)
        indices = (steps * [36, 6, 1]).sum(axis=2)[..., None].astype(np.uint8)
        return Image(indices, kind, "png", b"", palette=palette)
    top = (1 << bits) - 1
    dtype: Any = np.uint8 if bits == 8 else np.uint16
    shape = (height, width, CHANNELS[kind])
    if noise:
        pixels = np.random.default_rng(seed).integers(0, top + 1, shape).astype(dtype)
    else:
        pixels = np.round(smooth(*shape, seed=seed) * top).astype(dtype)
    return Image(pixels, kind, "png", b"", white_is_zero=white_is_zero)
