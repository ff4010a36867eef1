"""Which stored samples of a volume are shown black and white, as viewers of research volumes do it.

The header may say so; else nearly all samples lie between the two, so that a few bright voxels do not darken
all others. The second rule looks at the samples, so a marked volume has other limits than its original: who
takes marks off must be told the original's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.formats._shownrange import ShownRange
from medlocker.formats.nifti._header import NiftiHeader
from medlocker.images import Pixels

_TAIL = 200
"""One sample in so many is darker than black, and one brighter than white."""


def find_window(header: NiftiHeader, frames: Iterable[Pixels]) -> ShownRange:
    """Return what a volume's header tells, else what its samples suggest.

    Args:
        header: Of a volume of one channel.
        frames: All its slices, (H, W, 1) each.
    """
    told = _told(header)
    return _suggested(frames, header.type.held_bits) if told is None else told


def _told(header: NiftiHeader) -> ShownRange | None:
    dark, bright = header.calibration
    slope, intercept = header.scaling if header.scaling[0] else (1.0, 0.0)
    if not all(map(math.isfinite, (dark, bright, slope, intercept))) or dark >= bright:
        return None
    bits = header.type.held_bits

    def stored(value: float) -> int:
        sample = (value - intercept) / slope
        return round(min(max(sample - header.base, 0), (1 << bits) - 1))

    black, white = stored(dark), stored(bright)
    return None if black == white else ShownRange(black, white, bits)


def _suggested(frames: Iterable[Pixels], bits: int) -> ShownRange:
    counts = np.zeros(1 << bits, np.int64)
    for samples in _batches(frames, 1 << bits):
        counts += np.bincount(samples, minlength=1 << bits)
    below = counts.cumsum()
    total = int(below[-1])
    low = int((below * _TAIL >= total).argmax())
    high = int((below * _TAIL >= (_TAIL - 1) * total).argmax())
    if low == high:
        used = np.flatnonzero(counts)
        low, high = int(used[0]), int(used[-1])
    if low == high:  # one colour: any other sample will do
        low, high = max(low - 1, 0), max(low, 1)
    return ShownRange(low, high, bits)


def _batches(frames: Iterable[Pixels], least: int) -> Iterator[NDArray[Any]]:
    """Yield all samples, small frames together: counting takes time for every level there is."""
    waiting: list[NDArray[Any]] = []
    size = 0
    for frame in frames:
        waiting.append(frame.reshape(-1))
        size += frame.size
        if size >= least:
            yield np.concatenate(waiting) if len(waiting) > 1 else waiting[0]
            waiting, size = [], 0
    if waiting:
        yield np.concatenate(waiting)
