"""A lattice of the logo over a whole image, in integers: the same on every machine.

A few differently turned and sized copies of the logo are rendered once (*stamps*); every place of the lattice
takes one of them by key. Large images are rendered in grains of several pixels: nobody sees the difference at
an opacity of 0.15, and it takes a fraction of the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import InputError
from medlocker.logo._hardening import Hardening, smooth_noise, stream
from medlocker.logo._logo import Logo
from medlocker.logo._render import Raster, direction, render_once, rendered_size

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
        logo: The picture.
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
    looks = _looks(lattice)
    x, y, chosen = _places(lattice, width=width, height=height)
    sizes = np.array([rendered_size(logo, look.size, rotation=look.rotation) for look in looks])
    left, top, across, down = _windows(x, y, sizes[chosen], width=width, height=height)
    touching = (across > 0) & (down > 0)
    _check_work(sizes[np.unique(chosen[touching])], across[touching] * down[touching])
    color = np.zeros((height, width, 3), np.uint8)
    coverage = np.zeros((height, width), np.uint8)
    stamps: dict[int, Raster] = {}
    for which, x0, y0 in zip(*(part[touching].tolist() for part in (chosen, left, top)), strict=True):
        if which not in stamps:
            stamps[which] = looks[which].render(logo)
        _stamp(stamps[which], x0, y0, color, coverage)
    return Raster(color, coverage)


@dataclass(frozen=True)
class _Look:
    """One of the differently turned, sized, warped and coloured copies."""

    size: int
    rotation: int
    hardening: Hardening
    negative: bool

    def render(self, logo: Logo) -> Raster:
        stamp = render_once(logo, self.size, rotation=self.rotation, hardening=self.hardening)
        if not self.negative:
            return stamp
        opposite = np.where(stamp.coverage[..., None] > 0, 255 - stamp.color, 0)
        return Raster(opposite.astype(np.uint8), stamp.coverage)


def _looks(lattice: Lattice) -> list[_Look]:
    drawn = stream(lattice.key, "stamps", 2 * lattice.stamps).reshape(-1, 2)
    found = []
    for number, (turned, scaled) in enumerate(drawn.tolist()):
        rotation = (turned * 2 * lattice.turn >> _FIXED) - lattice.turn
        size = lattice.size * (1000 - lattice.scale + (scaled * 2 * lattice.scale >> _FIXED)) // 1000
        hardening = Hardening(
            lattice.key + number.to_bytes(2, "big"), warp_256=lattice.warp_256, texture=lattice.texture
        )
        negative = lattice.negatives and number % 2 == 1
        found.append(_Look(max(size, 1), rotation % _ONE, hardening, negative))
    return found


def _places(
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
            values += noise * (lattice.warp_256 << 8) // 32768
    x, y = (x + (width << _FIXED - 1)) >> _FIXED, (y + (height << _FIXED - 1)) >> _FIXED
    chosen = stream(lattice.key, "places", x.size) * lattice.stamps >> _FIXED
    return x.ravel(), y.ravel(), chosen


def _windows(
    x: NDArray[np.int64], y: NDArray[np.int64], sizes: NDArray[np.int64], *, width: int, height: int
) -> tuple[NDArray[np.int64], ...]:
    """Return left and top edges of copies, and how wide and high the part of each on the image is."""
    w, h = sizes[:, 0], sizes[:, 1]
    left, top = x - w // 2, y - h // 2
    across = np.minimum(left + w, width) - np.maximum(left, 0)
    down = np.minimum(top + h, height) - np.maximum(top, 0)
    return left, top, across, down


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


def _stamp(stamp: Raster, left: int, top: int, color: NDArray[np.uint8], coverage: NDArray[np.uint8]) -> None:
    """Put one copy that touches the image on it, clipped to it."""
    height, width = coverage.shape
    h, w = stamp.coverage.shape
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + w, width), min(top + h, height)
    part = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    window = (slice(y0, y1), slice(x0, x1))
    own, there = stamp.coverage[part], coverage[window]
    more = own > there
    np.copyto(there, own, where=more)
    np.copyto(color[window], stamp.color[part], where=more[..., None])
