"""Keyed changes of a rendered logo that only the key's holder can repeat.

Who knows the logo and this program can otherwise invert the blend: everything here comes from a key
derived from the release's secret and the original's digest. See docs/THREAT_MODEL.md.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Hardening:
    """What is changed, how much, and by which key.

    Args:
        key: 16 to 64 bytes; the same key gives the same changes.
        warp_256: Largest shift of a logo pixel in 1/256 px; colour and coverage move together.
        texture: Standard deviation of the texture added to each channel, grey levels of 255, unclipped.
        opaque_permille: Share of the logo's fully covered pixels that become fully opaque, in 1/1000.
    """

    key: bytes
    warp_256: int = 0
    texture: int = 0
    opaque_permille: int = 0


def stream(key: bytes, purpose: str, count: int) -> NDArray[np.int64]:
    """Return ``count`` integers in 0..65535 from SHAKE-256: stable for ever, unlike a library's generator.

    Args:
        key: What they come from.
        purpose: ASCII; other purposes give other integers.
        count: How many.
    """
    raw = hashlib.shake_256(b"medlocker/v1/" + purpose.encode("ascii") + b"\0" + key).digest(2 * count)
    return np.frombuffer(raw, dtype="<u2").astype(np.int64)


def smooth_noise(key: bytes, purpose: str, height: int, width: int, *, cell: int) -> NDArray[np.int64]:
    """Bilinear value noise in -32768..32767, one lattice point every ``cell`` pixels."""
    rows, cols = height // cell + 2, width // cell + 2
    lattice = stream(key, purpose, rows * cols).reshape(rows, cols) - 32768
    if cell == 1:
        return np.asarray(lattice[:height, :width])
    y, fy = np.divmod(np.arange(height, dtype=np.int64), cell)
    x, fx = np.divmod(np.arange(width, dtype=np.int64), cell)
    # along the lattice's few rows first: whole numbers, so the order does not matter
    across = lattice[:, x] * (cell - fx) + lattice[:, x + 1] * fx
    value = across[y] * (cell - fy)[:, None]
    value += across[y + 1] * fy[:, None]
    value //= cell * cell
    return np.asarray(value)


def warp_field(height: int, width: int, hardening: Hardening) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return smooth shifts (dx, dy), each (height, width), in 1/65536 px."""
    cell = max(max(height, width) // 8, 2)
    reach = hardening.warp_256 << 8
    dx = smooth_noise(hardening.key, "warp-x", height, width, cell=cell) * reach // 32768
    dy = smooth_noise(hardening.key, "warp-y", height, width, cell=cell) * reach // 32768
    return dx, dy


def texture(height: int, width: int, hardening: Hardening) -> NDArray[np.int64]:
    """Return (height, width, 3) grey-level changes, in each channel with the given standard deviation.

    Every channel has its own: the same change in all of them would leave the colour differences intact, and
    in photographs brightness follows from those. Three octaves: smoothing removes the fine ones only.
    """
    wide = max(max(height, width) // 8, 2)
    changes = np.empty((height, width, 3), np.int64)
    for c, name in enumerate("rgb"):
        fine = smooth_noise(hardening.key, f"texture-fine-{name}", height, width, cell=1)
        coarse = smooth_noise(hardening.key, f"texture-coarse-{name}", height, width, cell=4)
        whole = smooth_noise(hardening.key, f"texture-wide-{name}", height, width, cell=wide)
        # uniform values of +-32768 deviate by 18919, bilinear ones between them by about 2/3 of it
        changes[..., c] = (50 * fine + 80 * coarse + 100 * whole) * hardening.texture // 1_891_900
    return changes


def opaque_strokes(height: int, width: int, hardening: Hardening) -> NDArray[np.bool_]:
    """Return a (height, width) mask of wavy strokes that cover about the given share."""
    cell = max(max(height, width) // 6, 2)
    wave = smooth_noise(hardening.key, "strokes", height, width, cell=cell)
    share = min(max(hardening.opaque_permille, 0), 1000)
    order = np.sort(np.abs(wave), axis=None)
    threshold = int(order[max(share * order.size // 1000 - 1, 0)])
    return np.asarray(np.abs(wave) <= threshold)
