"""Veils made by hand: a lattice of the logo, on a paler ground or on none, by the one blend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.geometry import Box
from medlocker.images import Image
from medlocker.logo import Logo, blend, builtin_logo, render

LOGO = builtin_logo()


def veiled(
    image: Image,
    *,
    opacity: float = 0.12,
    period_px: int = 24,
    ground: float = 0.3,
    boxes: Sequence[Box] = (),
    logo: Logo = LOGO,
) -> NDArray[Any]:
    """Return the pixels under a lattice; nothing changes in the boxes."""
    height, width = image.pixels.shape[:2]
    raster = render(logo, round(0.75 * period_px))
    color = np.full((height, width, 3), 160, np.uint8)
    weight = np.full((height, width), round(ground * opacity * 65535), np.uint16)
    own = (raster.coverage.astype(np.uint32) * round(opacity * 65535) // 255).astype(np.uint16)
    for top in range(0, height, period_px):
        for left in range(0, width, period_px):
            part = slice(top, top + own.shape[0]), slice(left, left + own.shape[1])
            here = weight[part]
            there = slice(0, here.shape[0]), slice(0, here.shape[1])
            color[part] = np.where((own[there] > here)[..., None], raster.color[there], color[part])
            weight[part] = np.maximum(here, own[there])
    for box in boxes:
        weight[box.y : box.bottom, box.x : box.right] = 0
    deep = color if image.pixels.dtype == np.uint8 else color.astype(np.uint16) * 257
    return blend(image.pixels, deep, weight)
