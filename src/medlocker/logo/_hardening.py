"""Keyed changes of a rendered logo that only the key's holder can repeat.

Who knows the logo and this program can otherwise invert the blend: everything here comes from a key
derived from the release's secret and the original's digest. See docs/THREAT_MODEL.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
    """
    return _stream(key, purpose, count).astype(np.int64)


def _stream(key: bytes, purpose: str, count: int) -> NDArray[np.uint16]:
    raw = hashlib.shake_256(b"medlocker/v1/" + purpose.encode("ascii") + b"\0" + key).digest(2 * count)
    return np.frombuffer(raw, dtype="<u2")


def smooth_noise(key: bytes, purpose: str, height: int, width: int, *, cell: int) -> NDArray[Any]:
    """Bilinear value noise in -32768..32767, one lattice point every ``cell`` pixels."""
    return np.asarray(smooth_noises([(key, purpose)], [(height, width)], cell=cell)[0])


def smooth_noises(
    streams: Sequence[tuple[bytes, str]], sizes: Sequence[tuple[int, int]], *, cell: int
) -> NDArray[Any]:
    """Return several fields of :func:`smooth_noise` at once: small ones take hardly longer than one.

    Args:
        streams: Key and purpose of each.
        sizes: Height and width of each.
        cell: Pixels from one lattice point to the next, the same for all.

    Returns:
        (n, H, W) int32, of large cells int64. H and W are the greatest height and width; what lies beyond a
        field's own is of no meaning.
    """
    height, width = max(h for h, _ in sizes), max(w for _, w in sizes)
    # the greatest product below is 2**15 times the square of a cell
    points = np.zeros(
        (len(streams), height // cell + 2, width // cell + 2), np.int32 if cell < 256 else np.int64
    )
    for own, (key, purpose), (h, w) in zip(points, streams, sizes, strict=True):
        rows, cols = h // cell + 2, w // cell + 2
        own[:rows, :cols] = _stream(key, purpose, rows * cols).reshape(rows, cols)
    points -= 32768
    if cell == 1:
        return points[:, :height, :width]
    y, fy = np.divmod(np.arange(height, dtype=points.dtype), cell)
    x, fx = np.divmod(np.arange(width, dtype=points.dtype), cell)
    # along the lattice's few rows first: whole numbers, so the order does not matter
    across = points.take(x, axis=2) * (cell - fx) + points.take(x + 1, axis=2) * fx
    value = across.take(y, axis=1) * (cell - fy)[:, None]
    value += across.take(y + 1, axis=1) * fy[:, None]
    value //= cell * cell
    return np.asarray(value)


def coarsest_cell(height: int, width: int) -> int:
    """Return how far apart the lattice points of a copy's widest noise are, pixels."""
    return max(max(height, width) // 8, 2)


def warp_fields(
    sizes: Sequence[tuple[int, int]], hardenings: Sequence[Hardening]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return smooth shifts (dx, dy), each (n, H, W), in 1/65536 px, of copies of one cell and one warp.

    Args:
        sizes: Height and width of each; one :func:`coarsest_cell` for all.
        hardenings: Of each; one ``warp_256`` for all.
    """
    cell, reach = coarsest_cell(*sizes[0]), hardenings[0].warp_256 << 8

    def shifts(purpose: str) -> NDArray[np.int64]:
        noise = smooth_noises([(one.key, purpose) for one in hardenings], sizes, cell=cell)
        shifted = noise.astype(np.int64)
        shifted *= reach
        shifted >>= 15
        return shifted

    return shifts("warp-x"), shifts("warp-y")


def texture(height: int, width: int, hardening: Hardening) -> NDArray[Any]:
    """Return (height, width, 3) grey-level changes, in each channel with the given standard deviation."""
    return np.asarray(textures([(height, width)], [hardening])[0])


def textures(sizes: Sequence[tuple[int, int]], hardenings: Sequence[Hardening]) -> NDArray[Any]:
    """Return (n, H, W, 3) grey-level changes, in each channel with the given standard deviation.

    Every channel has its own: the same change in all of them would leave the colour differences intact, and
    in photographs brightness follows from those. Three octaves: smoothing removes the fine ones only.

    Args:
        sizes: Height and width of each copy; one :func:`coarsest_cell` for all.
        hardenings: Of each; one ``texture``, at most 127, for all.
    """
    each = [size for size in sizes for _ in "rgb"]

    def noise(octave: str, cell: int) -> NDArray[Any]:
        streams = [(one.key, f"texture-{octave}-{name}") for one in hardenings for name in "rgb"]
        return smooth_noises(streams, each, cell=cell)

    # uniform values of +-32768 deviate by 18919, bilinear ones between them by about 2/3 of it
    changes = noise("wide", coarsest_cell(*sizes[0]))
    changes *= 100
    changes += 80 * noise("coarse", 4)
    changes += 50 * noise("fine", 1)
    changes *= hardenings[0].texture
    changes //= 1_891_900
    return np.moveaxis(changes.reshape(len(sizes), 3, *changes.shape[1:]), 1, 3)


def opaque_strokes(height: int, width: int, hardening: Hardening) -> NDArray[np.bool_]:
    """Return a (height, width) mask of wavy strokes that cover about the given share."""
    cell = max(max(height, width) // 6, 2)
    wave = smooth_noise(hardening.key, "strokes", height, width, cell=cell)
    share = min(max(hardening.opaque_permille, 0), 1000)
    order = np.sort(np.abs(wave), axis=None)
    threshold = int(order[max(share * order.size // 1000 - 1, 0)])
    return np.asarray(np.abs(wave) <= threshold)
