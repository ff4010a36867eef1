"""Whether a mark is a few logos, or lies over nearly all of an image: told from the pixels."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.evaluate._marks import MAX_MARKS, SPECK, coarsely, find_marks
from medlocker.logo import Logo, render

COVERING = 0.4
"""Share of the pixels above which a mark covers an image: single logos cover an eighth of it by default."""
MOSTLY = 0.5
"""Share of differing pixels above which a file that no mark covers was surely not stored without loss."""

_BLOCK_PX = 8
_STRIP_BLOCKS = 16
_CLEARLY = 1 / 16
_STORING_RMS = 1 / 255
"""Coding an image anew as JPEG, down to a quality of 50, moves the means of blocks by less."""
_HARDLY = 0.25
_LOGO_PX = 64
_SPREAD = 0.5


def is_covering(clean: NDArray[Any], marked: NDArray[Any], difference: NDArray[Any], *, logo: Logo) -> bool:
    """Tell whether marks lie over nearly all of an image.

    Nearly all pixels also differ where a file was not stored without loss. But then, outside of the few marks
    there are, the changes cancel each other out within small blocks; those of a mark do not.

    Args:
        clean: (H, W, 3) uint8 or uint16.
        marked: Same shape and type.
        difference: (H, W) of the same type, from :func:`medlocker.legibility.differences`.
        logo: Of which marks are made.
    """
    changed = difference > 0
    if changed.mean() <= COVERING:
        return _are_many(changed, logo)
    outside = np.ones(changed.shape, np.bool_)
    for box in find_marks(clear(difference), logo=logo):
        top, left = max(box.y - _BLOCK_PX, 0), max(box.x - _BLOCK_PX, 0)
        outside[top : box.bottom + _BLOCK_PX, left : box.right + _BLOCK_PX] = False
    if outside.mean() < _HARDLY:
        return True
    return _shift(clean, marked, outside) > _STORING_RMS


def is_lossy(difference: NDArray[Any], *, is_covering: bool) -> bool:
    """Tell whether a file was not stored without loss, so that only clear differences are marks."""
    return not is_covering and float((difference > 0).mean()) > MOSTLY


def clear(difference: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where two pictures differ by more than lossy storing explains: by a sixteenth of the range."""
    return np.asarray(difference > int(np.iinfo(difference.dtype).max * _CLEARLY))


def _are_many(changed: NDArray[np.bool_], logo: Logo) -> bool:
    """Tell whether there are more parts, all over the image, than a few logos have: a bare lattice."""
    parts, spread = _parts(changed)
    return parts > MAX_MARKS * _parts_of(logo) and spread > _SPREAD


@lru_cache(maxsize=8)
def _parts_of(logo: Logo) -> int:
    return max(_parts(render(logo, _LOGO_PX).support)[0], 1)


def _parts(changed: NDArray[np.bool_]) -> tuple[int, float]:
    """Return how many connected parts there are, without specks, and the share of the image they span."""
    coarse, _ = coarsely(changed)
    _, _, stats, _ = cv2.connectedComponentsWithStats(coarse, connectivity=8)
    stats = stats[1:]  # the first is what did not change
    if len(stats) == 0:
        return 0, 0.0
    left, top, width, height, area = stats[stats[:, 4] > SPECK * stats[:, 4].max()].T
    across, down = (left + width).max() - left.min(), (top + height).max() - top.min()
    return len(area), float(across * down / coarse.size)


def _shift(clean: NDArray[Any], marked: NDArray[Any], outside: NDArray[np.bool_]) -> float:
    """Return by how much the means of blocks outside of marks differ: root mean square, in 0..1."""
    height, width = (length // _BLOCK_PX for length in outside.shape)
    if not height or not width:
        return 0.0
    squares, count = 0.0, 0
    for start in range(0, height, _STRIP_BLOCKS):
        blocks = min(_STRIP_BLOCKS, height - start)
        part = slice(start * _BLOCK_PX, (start + blocks) * _BLOCK_PX), slice(0, width * _BLOCK_PX)
        apart = (marked[part].astype(np.float32) - clean[part]).mean(axis=2)
        means = cv2.resize(apart, (width, blocks), interpolation=cv2.INTER_AREA)
        whole = outside[part].reshape(blocks, _BLOCK_PX, width, _BLOCK_PX).all(axis=(1, 3))
        squares += float(np.square(means[whole], dtype=np.float64).sum())
        count += int(np.count_nonzero(whole))
    return float(np.sqrt(squares / count)) / float(np.iinfo(clean.dtype).max) if count else 0.0
