"""Letting a network of square windows repaint a picture of any size: overlapping tiles, seams blended."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from medlocker.attacks import Bytes, Floats, to_bytes

_BATCH = 8
_LEAST = 1e-3


def repaint(
    picture: Bytes, network: Callable[[Floats], Floats], *, side_px: int, overlap_px: int | None = None
) -> Bytes:
    """Repaint a picture tile by tile.

    A tile counts most in its middle and hardly at its edges, so that no seam is seen. Memory holds one row of
    tiles besides the picture and its result.

    Args:
        picture: (H, W, 3) uint8; smaller ones are continued by their mirror image.
        network: From (N, side, side, 3) float32 in 0..1 to the same shape.
        overlap_px: By which neighbouring tiles overlap at least; None: half a tile.

    Returns:
        (H, W, 3) uint8.
    """
    height, width = picture.shape[:2]
    overlap = side_px // 2 if overlap_px is None else overlap_px
    below, right = max(side_px - height, 0), max(side_px - width, 0)
    whole = np.pad(picture, ((0, below), (0, right), (0, 0)), mode="symmetric")
    tops, lefts = (_starts(length, side_px, overlap) for length in whole.shape[:2])
    hat = _hat(side_px)
    share = np.zeros((side_px, whole.shape[1], 1), np.float32)
    colors = np.zeros((side_px, whole.shape[1], 3), np.float32)
    made = np.empty_like(whole)
    for top, following in zip(tops, [*tops[1:], tops[-1] + side_px], strict=True):
        for begin in range(0, len(lefts), _BATCH):
            some = lefts[begin : begin + _BATCH]
            tiles = np.stack([whole[top : top + side_px, left : left + side_px] for left in some])
            answers = network(tiles.astype(np.float32) / np.float32(255))
            for left, answer in zip(some, answers, strict=True):
                colors[:, left : left + side_px] += hat * answer
                share[:, left : left + side_px] += hat
        done = following - top  # no later tile reaches these rows
        made[top:following] = to_bytes(colors[:done] * np.float32(255) / share[:done])
        for part in (colors, share):
            part[: side_px - done] = part[done:].copy()
            part[side_px - done :] = 0
    return np.ascontiguousarray(made[:height, :width])


def _starts(length: int, side: int, overlap: int) -> list[int]:
    """Return where tiles begin, evenly spread from edge to edge."""
    count = 1 if length <= side else -(-(length - overlap) // (side - overlap))
    return [round(k * (length - side) / max(count - 1, 1)) for k in range(count)]


def _hat(side: int) -> Floats:
    """Return (side, side, 1) weights that fall from the middle to the edges."""
    one = np.minimum(np.arange(side), np.arange(side)[::-1]).astype(np.float32) + np.float32(0.5)
    one = one / one.max() + np.float32(_LEAST)
    return np.asarray(np.outer(one, one)[..., None], dtype=np.float32)
