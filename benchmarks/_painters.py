"""What somebody who expects veils paints on training images: random veils of this program, random holes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.geometry import Box
from medlocker.logo import blend, builtin_logo, fit_color, render_lattice
from medlocker.marking._keepouts import spared
from medlocker.veilstyle import DEFAULT_STYLE

LOGO = builtin_logo()


def veil(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Lay a veil of a random key over (H, W, 3): the shipped style and styles about it, holes at random."""
    height, width = pixels.shape[:2]
    shorter = min(height, width)
    style = replace(
        DEFAULT_STYLE,
        period=float(np.exp(rng.uniform(np.log(0.04), np.log(0.2)))),
        fill=float(rng.uniform(0.55, 1.2)),
        opacity=float(rng.uniform(0.08, 0.15)),
        texture=int(rng.choice([0, 32, 64])),
        scale=float(rng.uniform(0.1, 0.5)),
        warp=float(rng.uniform(0.02, 0.12)),
    )
    if rng.random() < 0.5:
        style = DEFAULT_STYLE
    holes = tuple(_hole(rng, width, height, shorter) for _ in range(int(rng.integers(0, 25))))
    one = style.draw(LOGO, width=width, height=height, key=rng.bytes(16))
    raster = render_lattice(LOGO, one.lattice(), width=width, height=height)
    weight = (raster.coverage.astype(np.uint32) * one.opacity // 255).astype(np.uint16)
    weight = spared(weight, holes, soft_px=one.soft_px)
    color: NDArray[Any] = fit_color(raster.color, channels=3, bits=8)
    return np.asarray(blend(pixels, color, weight), np.uint8)


def _hole(rng: np.random.Generator, width: int, height: int, shorter: int) -> Box:
    w, h = (max(round(float(rng.uniform(0.015, 0.12)) * shorter), 1) for _ in range(2))
    return Box(int(rng.integers(0, width - w)), int(rng.integers(0, height - h)), w, h)
