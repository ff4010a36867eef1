"""The differently turned, sized, warped and coloured copies of a logo that a lattice is made of.

Small ones are rendered many at a time, for a call of numpy's takes longer than their few pixels. Each comes
out as :func:`medlocker.logo._render.render_once` would give it alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medlocker.logo._hardening import Hardening, coarsest_cell, textures, warp_fields
from medlocker.logo._logo import Logo
from medlocker.logo._render import (
    Raster,
    changed,
    direction,
    framed,
    render_once,
    rendered_size,
    sample_at,
    straight,
    turned_grid,
    upright_size,
)

_SMALL_PX = 64
"""Larger copies are rendered one by one."""


@dataclass(frozen=True)
class CopyStyle:
    """How a copy looks.

    Args:
        size: Longer side before it is turned, pixels.
        rotation: Counter-clockwise, in 1/65536 of a turn.
        hardening: Warp and texture; those of one lattice differ in their keys alone.
        negative: Whether it has the opposite colours.
    """

    size: int
    rotation: int
    hardening: Hardening
    negative: bool


def render_looks(logo: Logo, looks: Sequence[CopyStyle]) -> list[Raster]:
    """Render the copies of one lattice.

    Returns:
        One for each look.
    """
    sizes = [rendered_size(logo, look.size, rotation=look.rotation) for look in looks]
    found: dict[int, Raster] = {}
    together: defaultdict[int, list[int]] = defaultdict(list)
    for k, (width, height) in enumerate(sizes):
        if max(width, height) > _SMALL_PX:
            look = looks[k]
            found[k] = render_once(logo, look.size, rotation=look.rotation, hardening=look.hardening)
        else:
            together[coarsest_cell(height, width)].append(k)
    for chosen in together.values():
        rasters = _render_small(logo, [looks[k] for k in chosen], [sizes[k] for k in chosen])
        found.update(zip(chosen, rasters, strict=True))
    return [_opposite(found[k]) if look.negative else found[k] for k, look in enumerate(looks)]


def _render_small(logo: Logo, looks: Sequence[CopyStyle], sizes: Sequence[tuple[int, int]]) -> list[Raster]:
    """Render copies side by side: every step is that of ``render_once`` with one more axis.

    Args:
        looks: Of copies of one :func:`coarsest_cell`.
        sizes: Width and height of each.
    """
    hardenings = [look.hardening for look in looks]
    heights_first = [(height, width) for width, height in sizes]
    upright = np.array([upright_size(logo, look.size) for look in looks], np.int64)
    x, y = _positions(looks, upright, np.array(sizes, np.int64))
    if hardenings[0].warp_256:
        dx, dy = warp_fields(heights_first, hardenings)
        x += dx
        y += dy
    color, coverage = straight(_sampled(logo, upright, x, y))
    if hardenings[0].texture:
        color = changed(color, coverage, textures(heights_first, hardenings))
    return [Raster(color[k, :h, :w], coverage[k, :h, :w]) for k, (w, h) in enumerate(sizes)]


def _positions(
    looks: Sequence[CopyStyle], upright: NDArray[np.int64], sizes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return x and y of all pixels in the upright copies.

    Args:
        upright: (n, 2), width and height of each before it is turned.
        sizes: (n, 2), those after it.

    Returns:
        (n, H, W) each, in 1/65536 pixel.
    """
    width, height = sizes.max(axis=0).tolist()
    cos, sin = np.array([direction(look.rotation) for look in looks], np.int64).T[..., None, None]
    (w, h), (out_w, out_h) = upright.T[..., None, None], sizes.T[..., None, None]
    across = np.arange(width, dtype=np.int64)[None, None, :] * 2 + 1 - out_w
    down = np.arange(height, dtype=np.int64)[None, :, None] * 2 + 1 - out_h
    return turned_grid(across, down, cos, sin, w, h)


def _sampled(
    logo: Logo, upright: NDArray[np.int64], x: NDArray[np.int64], y: NDArray[np.int64]
) -> NDArray[np.uint32]:
    """Return (n, H, W, 4) premultiplied samples at positions in the upright copies."""
    height, width = logo.rgba.shape[:2]
    w, h = upright.T
    by_x, by_y = np.maximum(width // w, 1), np.maximum(height // h, 1)
    blocks = list(zip(by_x.tolist(), by_y.tolist(), strict=True))
    sources = {block: framed(logo, *block) for block in blocks}
    # rows, columns and beginning of each
    places: dict[tuple[int, int], tuple[int, int, int]] = {}
    begin = 0
    for block, source in sources.items():
        places[block] = (*source.shape[:2], begin)
        begin += source.shape[0] * source.shape[1]
    flat = np.concatenate([source.reshape(-1, 4) for source in sources.values()])
    rows, cols, first = np.array([places[block] for block in blocks], np.int64).T[..., None, None]
    x, y = x * width, y * height
    x //= (w * by_x)[:, None, None]
    y //= (h * by_y)[:, None, None]
    return sample_at(flat, x, y, rows=rows, cols=cols, first=first)


def _opposite(raster: Raster) -> Raster:
    color = (255 - raster.color) * (raster.coverage > 0)[..., None]
    return Raster(np.asarray(color, np.uint8), raster.coverage)
