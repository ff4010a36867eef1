"""How much a mark changes an image: area, PSNR, SSIM, legibility, and pixels of regions that were touched."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.evaluate._blocks import ChangedBlocks
from medlocker.evaluate._covering import MOSTLY, clear, is_covering, is_lossy
from medlocker.evaluate._marks import find_marks
from medlocker.geometry import Box
from medlocker.legibility import (
    Legibility,
    compare_parts,
    differences,
    find_ink,
    legibility_of,
)
from medlocker.legibility import ssim_map as ssim_map
from medlocker.logo import Logo


@dataclass(frozen=True, eq=False)
class Found:
    """Where the marks of an image are.

    Args:
        mask: (H, W) bool, the pixels that are marked: that differ, or differ clearly in a file that was not
            stored without loss.
        difference: (H, W), see :func:`medlocker.legibility.differences`.
        windows: Of every separate mark; of a mark that covers the image one, around all of it.
        is_covering: Whether the marks lie over nearly all of the image.
        area: Share of the pixels that differ at all; in JPEG of those whose stored blocks do.
        unit_px: By how much a decoder may spread a change beyond the windows; 0 if pixels are stored.
        in_blocks: Whether stored blocks of JPEG were compared.
    """

    mask: NDArray[np.bool_]
    difference: NDArray[Any]
    windows: tuple[Box, ...]
    is_covering: bool
    area: float
    unit_px: int
    in_blocks: bool


@dataclass(frozen=True)
class Quality:
    """One marked image compared with its original.

    Args:
        area: Share of the pixels that differ at all; with ``in_blocks`` of those whose blocks differ.
        area_clear: Share of the pixels that differ by more than a sixteenth of the range: about what an
            opaque logo covers.
        psnr_outside: Decibels, over the pixels outside the marks' windows; infinity if they are identical.
            With ``in_blocks`` the windows reach one unit of blocks farther: decoders spread colour.
        psnr_inside: Over the pixels of the windows that differ; None if no mark was found.
        ssim_inside: Structural similarity over the same; None if no mark was found.
        touched: How many pixels of regions differ, looked at one by one; None without regions.
        marks: How many separate marks were found; one that covers the image counts one.
        legibility: How well people can still read it.
        in_blocks: Both files are JPEG with the same tables, so the blocks that are stored were compared.
        is_covering: Whether the marks lie over nearly all of the image.
    """

    area: float
    area_clear: float
    psnr_outside: float
    psnr_inside: float | None
    ssim_inside: float | None
    touched: int | None
    marks: int
    legibility: Legibility
    in_blocks: bool = False
    is_covering: bool = False

    @property
    def ssim(self) -> float:
        """Structural similarity (Wang et al. 2004) of the whole image, 1 if identical."""
        return self.legibility.ssim


def measure_quality(
    clean: NDArray[Any],
    marked: NDArray[Any],
    *,
    logo: Logo,
    boxes: Sequence[Box] | None = None,
    blocks: ChangedBlocks | None = None,
) -> tuple[Quality, tuple[Box, ...]]:
    """Compare two pictures.

    Where most pixels differ and no mark covers the image (the file was not stored without loss), only clear
    differences count as marks.

    Args:
        clean: (H, W, 3) uint8 or uint16.
        marked: Same shape and type.
        logo: To tell marks of several parts.
        boxes: Regions, inside the image.
        blocks: Where the stored blocks of two JPEG files differ; not believed if pixels differ elsewhere.

    Returns:
        The numbers and the windows of the marks.
    """
    found = find_marked(clean, marked, logo=logo, blocks=blocks)
    return measure_known_marks(clean, marked, found, boxes=boxes), found.windows


def find_marked(
    clean: NDArray[Any], marked: NDArray[Any], *, logo: Logo, blocks: ChangedBlocks | None = None
) -> Found:
    """Find the marks; arguments as for :func:`measure_quality`."""
    difference = differences(clean, marked)
    changed = difference > 0
    if blocks is not None and not blocks.explain(changed):
        blocks = None
    stored, unit = (changed, 0) if blocks is None else (blocks.mask, blocks.unit_px)
    area, in_blocks = float(stored.mean()), blocks is not None
    if not changed.any():
        return Found(changed, difference, (), False, 0.0, unit, in_blocks)
    if is_covering(clean, marked, difference, logo=logo):
        return Found(changed, difference, (_around(changed),), True, area, unit, in_blocks)
    if area > MOSTLY:
        stored = clear(difference)
    mask = clear(difference) if is_lossy(difference, is_covering=False) else changed
    return Found(mask, difference, find_marks(stored, logo=logo), False, area, unit, in_blocks)


def measure_known_marks(
    clean: NDArray[Any], marked: NDArray[Any], found: Found, *, boxes: Sequence[Box] | None = None
) -> Quality:
    """Compare two pictures whose marks are known; arguments as for :func:`measure_quality`."""
    changed, unit = found.difference > 0, found.unit_px
    within = np.zeros(changed.shape, np.bool_)
    for box in found.windows:  # a block under a faint edge may stay as it is: the mark goes on behind it
        within[max(box.y - unit, 0) : box.bottom + unit, max(box.x - unit, 0) : box.right + unit] = True
    ink = find_ink(found.difference)
    whole, outside, inside, beside_ink = compare_parts(clean, marked, [None, ~within, changed & within, ~ink])
    return Quality(
        area=found.area,
        area_clear=float(clear(found.difference).mean()),
        psnr_outside=math.inf if outside is None else outside.psnr,
        psnr_inside=None if inside is None else inside.psnr,
        ssim_inside=None if inside is None else inside.ssim,
        touched=None if boxes is None else _touched(changed, boxes),
        marks=len(found.windows),
        legibility=legibility_of(clean, marked, ink=ink, whole=whole, outside=beside_ink),
        in_blocks=found.in_blocks,
        is_covering=found.is_covering,
    )


def _around(changed: NDArray[np.bool_]) -> Box:
    rows, cols = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    return Box(int(cols[0]), int(rows[0]), int(cols[-1] - cols[0]) + 1, int(rows[-1] - rows[0]) + 1)


def _touched(changed: NDArray[np.bool_], boxes: Sequence[Box]) -> int:
    inside = np.zeros_like(changed)
    for box in boxes:
        inside[max(box.y, 0) : box.bottom, max(box.x, 0) : box.right] = True
    return int(np.count_nonzero(changed & inside))
