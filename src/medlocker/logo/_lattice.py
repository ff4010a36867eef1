"""A lattice of the logo over a whole image, in integers: the same on every machine.

A few differently turned and sized copies of the logo are rendered once (*stamps*); every place of the lattice
takes one of them by key. Large images are rendered in grains of several pixels: nobody sees the difference at
an opacity of 0.15, and it takes a fraction of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import InputError
from medlocker.logo._copies import CopyStyle, render_looks
from medlocker.logo._hardening import Hardening, smooth_noise, stream
from medlocker.logo._logo import Logo
from medlocker.logo._render import Raster, direction, rendered_size

MAX_STAMPS = 64
MAX_PLACES = 1 << 16
"""Copies that touch an image."""
MAX_GRID = 1 << 20
"""Places that are looked at for them."""
MAX_GRAINS = 1 << 24
MAX_COPY_GRAINS = 1 << 22
"""Of one copy: in work it takes about 130 bytes for each."""
MAX_COPIES_GRAINS = 1 << 24
"""Of all different copies together."""
MAX_STAMPED_GRAINS = 1 << 27
"""Of all copies together, as far as they lie on the image."""
_FIXED = 16
_ONE = 1 << _FIXED
_PACKED = np.dtype("<u4")
_COLOR_BITS = np.uint32(0xFFFFFF)


@dataclass(frozen=True)
class Lattice:
    """Where copies of a logo lie and how each of them looks. All lengths are in grains.

    Args:
        period: Distance of neighbouring places, in 1/65536 grain.
        size: Longer side of a copy before it is turned.
        angle: Of the rows, counter-clockwise, in 1/65536 of a turn.
        phase_x: Shift along the rows, in 1/65536 of a period.
        phase_y: Shift across the rows, in 1/65536 of a period.
        stagger: Shift of every second row along itself, in 1/65536 of a period.
        turn: Every copy is turned by up to this either way, in 1/65536 of a turn.
        scale: Every copy is larger or smaller by up to this, in 1/1000.
        warp_256: Largest keyed shift of a place, and of a copy's pixels, in 1/256 grain.
        texture: Standard deviation of a keyed texture on every copy, grey levels of 255.
        negatives: Whether every second stamp has the opposite colours.
        stamps: How many different copies are rendered, 1 to 64.
        key: What all that is drawn by key comes from, at least one byte.
    """

    period: int
    size: int
    angle: int
    phase_x: int
    phase_y: int
    stagger: int
    turn: int
    scale: int
    warp_256: int
    texture: int
    negatives: bool
    stamps: int
    key: bytes


@lru_cache(maxsize=2)
def render_lattice(logo: Logo, lattice: Lattice, *, width: int, height: int) -> Raster:
    """Render a lattice over an image.

    Args:
        lattice: Where its copies lie.
        width: Of the image, grains.
        height: Of the image, grains.

    Returns:
        Colours and coverage, (height, width); where two copies overlap the one that covers more is seen.
        The latest results are kept: do not write into them.

    Raises:
        InputError: If it would take more work than any veil of use: parameters may come from somebody else.
    """
    if width * height > MAX_GRAINS:
        raise InputError(f"expected a veil of at most {MAX_GRAINS} grains, got {width} x {height}")
    looks = lattice_looks(lattice)
    x, y, chosen = lattice_places(lattice, width=width, height=height)
    sizes = np.array([rendered_size(logo, look.size, rotation=look.rotation) for look in looks])
    left, top = x - sizes[chosen, 0] // 2, y - sizes[chosen, 1] // 2
    windows = _windows(left, top, sizes[chosen], width=width, height=height)
    touching = (windows[:, 2] > windows[:, 0]) & (windows[:, 3] > windows[:, 1])
    windows = windows[touching]
    used, which = np.unique(chosen[touching], return_inverse=True)
    areas = (windows[:, 2:] - windows[:, :2]).prod(axis=1)
    _check_work(sizes[used], areas)
    stamps = [_packed(raster) for raster in render_looks(logo, [looks[k] for k in used.tolist()])]
    seen = np.zeros((height, width), _PACKED)
    corners = windows[:, :2] - np.stack((left, top), axis=1)[touching]
    for k, window, corner in zip(which.tolist(), windows.tolist(), corners.tolist(), strict=True):
        _stamp(stamps[k], seen, window, corner)
    return _unpacked(seen)


def lattice_looks(lattice: Lattice) -> list[CopyStyle]:
    """Return the looks that the copies of a lattice have."""
    drawn = stream(lattice.key, "stamps", 2 * lattice.stamps).reshape(-1, 2)
    found = []
    for number, (turned, scaled) in enumerate(drawn.tolist()):
        rotation = (turned * 2 * lattice.turn >> _FIXED) - lattice.turn
        size = lattice.size * (1000 - lattice.scale + (scaled * 2 * lattice.scale >> _FIXED)) // 1000
        hardening = Hardening(
            lattice.key + number.to_bytes(2, "big"), warp_256=lattice.warp_256, texture=lattice.texture
        )
        negative = lattice.negatives and number % 2 == 1
        found.append(CopyStyle(max(size, 1), rotation % _ONE, hardening, negative))
    return found


def lattice_places(
    lattice: Lattice, *, width: int, height: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return x and y of the centres of all copies that may touch the image, in grains, and their looks."""
    cos, sin = direction(lattice.angle)
    # half the diagonal and a copy more, in periods: no copy further away is seen
    reach = (((width + height) // 2 + 2 * lattice.size << _FIXED) // lattice.period) + 2
    if (2 * reach + 1) ** 2 > MAX_GRID:
        raise InputError("expected a veil with fewer copies of the logo: its period is too small")
    steps = np.arange(-reach, reach + 1, dtype=np.int64)
    rows, cols = steps[:, None], steps[None, :]
    along = (cols << _FIXED) + lattice.phase_x + (rows & 1) * lattice.stagger
    across = (rows << _FIXED) + lattice.phase_y
    u, v = along * lattice.period >> _FIXED, across * lattice.period >> _FIXED
    x, y = u * cos - v * sin >> _FIXED, u * sin + v * cos >> _FIXED
    if lattice.warp_256:
        count = len(steps)
        for name, values in (("x", x), ("y", y)):
            noise = smooth_noise(lattice.key, f"places-{name}", count, count, cell=2)
            values += noise.astype(np.int64) * (lattice.warp_256 << 8) >> 15
    x, y = (x + (width << _FIXED - 1)) >> _FIXED, (y + (height << _FIXED - 1)) >> _FIXED
    chosen = stream(lattice.key, "places", x.size) * lattice.stamps >> _FIXED
    return x.ravel(), y.ravel(), chosen


def _windows(
    left: NDArray[np.int64], top: NDArray[np.int64], sizes: NDArray[np.int64], *, width: int, height: int
) -> NDArray[np.int64]:
    """Return (n, 4) left, top, right and bottom of the part of each copy that lies on the image.

    Args:
        left: (n,) left edges of copies.
        top: (n,) top edges.
        sizes: (n, 2) width and height.
    """
    right, bottom = np.minimum(left + sizes[:, 0], width), np.minimum(top + sizes[:, 1], height)
    return np.stack((np.maximum(left, 0), np.maximum(top, 0), right, bottom), axis=1)


def _check_work(sizes: NDArray[np.int64], areas: NDArray[np.int64]) -> None:
    """Refuse what would take too long.

    Args:
        sizes: (n, 2) of all different copies.
        areas: Of all copies, as far as they lie on the image.
    """
    if len(areas) > MAX_PLACES:
        raise InputError("expected a veil with fewer copies of the logo: its period is too small")
    different = sizes[:, 0] * sizes[:, 1]
    if int(different.max(initial=0)) > MAX_COPY_GRAINS or int(different.sum()) > MAX_COPIES_GRAINS:
        raise InputError("expected a veil with smaller copies of the logo: its grain is too fine for them")
    if int(areas.sum()) > MAX_STAMPED_GRAINS:
        raise InputError("expected a veil whose copies of the logo overlap less: its period is too small")


def _stamp(stamp: NDArray[Any], seen: NDArray[Any], window: Sequence[int], corner: Sequence[int]) -> None:
    """Put one copy where it covers more than what is there.

    Args:
        stamp: (h, w), packed.
        seen: (H, W), packed; changed in place.
        window: Left, top, right and bottom of the part of the image to put it on.
        corner: Which column and row of the copy comes into the window's corner.
    """
    left, top, right, bottom = window
    x, y = corner
    there = seen[top:bottom, left:right]
    own = stamp[y : y + bottom - top, x : x + right - left]
    # with all bits of the colour set, only more coverage is more
    np.copyto(there, own, where=own > (there | _COLOR_BITS))


def _packed(raster: Raster) -> NDArray[Any]:
    """Return one number for each pixel, its coverage above its colour."""
    packed = np.empty((*raster.coverage.shape, 4), np.uint8)
    packed[..., :3], packed[..., 3] = raster.color, raster.coverage
    return packed.view(_PACKED)[..., 0]


def _unpacked(packed: NDArray[Any]) -> Raster:
    parts = packed.view(np.uint8).reshape(*packed.shape, 4)
    return Raster(np.ascontiguousarray(parts[..., :3]), np.ascontiguousarray(parts[..., 3]))
