"""Attacks 9 and 7 with many images: a mark, or what was added to a known one, learned from all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from medlocker.evaluate.removal._denoise import to_bytes
from medlocker.evaluate.removal._evidence import (
    Attack,
    Bytes,
    Evidence,
    Facts,
    Floats,
    Mask,
    Window,
    widened,
)
from medlocker.evaluate.removal._invert import Fit
from medlocker.evaluate.removal._matte import (
    REACH_PX,
    Matte,
    Sample,
    best_opacity,
    learn_matte,
    rolled,
    shift_to,
    straight,
)

_SURROUNDINGS_PX = 14
_SAME_SIZE = 0.06
_MOST_SAMPLES = 40
_TOO_WIDE_PX = 4
_SOFT_PX = 1.5

Placed = tuple[float, Window, Floats, Floats]
"""How a matte lies on a mark: share of edges left, frame, colours and weights in it."""


@dataclass(frozen=True)
class MattingLearner:
    """Studies marked images without knowing the logo."""

    facts: ClassVar[Facts] = Facts(9, "many marked images", ("matting",))

    def learn(self, crowd: Sequence[Evidence], *, public: Sequence[Bytes], seed: int) -> Attack:
        """Learn the mark from all images whose mark has the commonest size."""
        marks = [(one, window) for one in crowd for window in one.windows()]
        sides = [_side(window) for _, window in marks]
        if not sides:
            return MattingAttack(None, 0)
        usual = int(np.median(sides))
        near = [pair for pair, side in zip(marks, sides, strict=True) if abs(side / usual - 1) < _SAME_SIZE]
        half = usual // 2 + _SURROUNDINGS_PX + 1
        samples = [_sample(one, window, half) for one, window in near[:_MOST_SAMPLES]]
        return MattingAttack(learn_matte(samples), usual)


@dataclass(frozen=True, eq=False)
class MattingAttack:
    """Takes a learned mark off.

    Args:
        matte: What was learned, None if nothing could be.
        side_px: Longer side of the mark in the matte, as seen.
    """

    matte: Matte | None
    side_px: int
    facts: ClassVar[Facts] = Facts(9, "many marked images", ("matting",))

    def restore(self, evidence: Evidence) -> dict[str, Bytes]:
        """Fit place and opacity of the learned mark to each mark of the image, and invert."""
        result = evidence.marked.copy()
        if self.matte is not None:
            for window in evidence.windows():
                self._take_off(result, evidence.mask, window, self.matte)
        return {"matting": result}

    def _take_off(self, pixels: Bytes, mask: Mask, window: Window, matte: Matte) -> None:
        ratio = _side(window) / self.side_px
        placed = _place(pixels, mask, window, matte)
        if abs(ratio - 1) >= _SAME_SIZE:
            placed = self._place_resized(pixels, mask, window, matte)
        (rows, cols), color, weight = placed[1:]
        values = _padded(pixels, rows, cols).astype(np.float32)
        restored = to_bytes((values - weight * color) / (1 - weight))
        top, left = max(rows.start, 0), max(cols.start, 0)
        target = pixels[top : rows.stop, left : cols.stop]
        inner = (
            slice(top - rows.start, top - rows.start + target.shape[0]),
            slice(left - cols.start, left - cols.start + target.shape[1]),
        )
        inside = weight[inner][..., 0] > 0
        target[inside] = restored[inner][inside]

    def _place_resized(self, pixels: Bytes, mask: Mask, window: Window, matte: Matte) -> Placed:
        """Fit the matte to a mark of another size: how large, and how far between pixels, edges left tell."""
        true, learned = _side(window) - _TOO_WIDE_PX, max(self.side_px - _TOO_WIDE_PX, 1)
        change = (true / learned, 0.0, 0.0)
        best = _place(pixels, mask, window, _resized(matte, *change), smooth_px=_SOFT_PX)
        steps = [
            [((true + k / 2) / learned, 0.0, 0.0) for k in range(-4, 5)],
            *([(0.0, k / 4 * (axis == 1), k / 4 * (axis == 0)) for k in (-2, -1, 1, 2)] for axis in (1, 0)),
        ]
        for around in steps:
            middle = change
            for ratio, dx, dy in around:
                tried = (ratio or middle[0], middle[1] + dx, middle[2] + dy)
                placed = _place(pixels, mask, window, _resized(matte, *tried), smooth_px=_SOFT_PX)
                if placed[0] < best[0]:
                    best, change = placed, tried
        return best


def _blurred(plane: Floats, sigma: float) -> Floats:
    made = cv2.GaussianBlur(plane, (0, 0), sigma)
    return np.asarray(made, dtype=np.float32).reshape(plane.shape)


def _place(pixels: Bytes, mask: Mask, window: Window, matte: Matte, *, smooth_px: float = 0.0) -> Placed:
    """Fit a matte to a mark; returns the share of edges left, the frame, colours and weights in it."""
    rows, cols = frame = _middle(window, matte.color.shape[0] // 2)
    part = _padded(pixels, rows, cols)
    shift = shift_to(part, matte.slopes, widened(_padded(mask, rows, cols) > 0, 2))
    back = (-shift[0], -shift[1])
    color, coverage = rolled(matte.color, back), rolled(matte.coverage, back)
    fit = Fit(part.astype(np.float32), color, coverage)
    if smooth_px:
        # enlarged edges are softer than the mark's own: blurred alike they compare
        layers = [_blurred(one, smooth_px) for one in (fit.image, color * coverage, coverage)]
        fit = Fit(layers[0], straight(layers[1], layers[2]), layers[2])
    opacity = best_opacity(fit.image, fit.color, fit.coverage)
    left = fit.cost(opacity) / max(fit.cost(0.0), 1e-9)
    return left, frame, color, np.asarray(np.float32(opacity) * coverage, dtype=np.float32)


def _side(window: Window) -> int:
    rows, cols = window
    return int(max(rows.stop - rows.start, cols.stop - cols.start))


def _middle(window: Window, half: int) -> Window:
    """Return a square around a window's middle; it may leave the image."""
    rows, cols = window
    y, x = (rows.start + rows.stop) // 2, (cols.start + cols.stop) // 2
    return slice(y - half, y + half), slice(x - half, x + half)


def _padded(pixels: Bytes | Mask, rows: slice, cols: slice) -> Bytes:
    """Cut a window that may leave the image, which repeats its edge there."""
    ys = np.clip(np.arange(rows.start, rows.stop), 0, pixels.shape[0] - 1)
    xs = np.clip(np.arange(cols.start, cols.stop), 0, pixels.shape[1] - 1)
    return np.ascontiguousarray(pixels[ys[:, None], xs[None, :]], dtype=np.uint8)


def _sample(one: Evidence, window: Window, half: int) -> Sample:
    rows, cols = _middle(window, half)
    return Sample(_padded(one.marked, rows, cols), _padded(one.mask, rows, cols) > 0)


def _resized(matte: Matte, ratio: float, dx: float, dy: float) -> Matte:
    """Scale a matte about its middle and move it by parts of a pixel."""
    old = matte.color.shape[0]
    side = max(2 * round(old * ratio / 2), 4 * REACH_PX)
    move = np.array([[ratio, 0, dx], [0, ratio, dy]]) + np.array([[0, 0, 1], [0, 0, 1]]) * (
        (side - 1) / 2 - ratio * (old - 1) / 2
    )

    def fit(plane: Floats) -> Floats:
        if ratio < 1:
            plane = np.asarray(cv2.GaussianBlur(plane, (0, 0), 0.4 / ratio), dtype=np.float32)
        made = cv2.warpAffine(plane, move, (side, side), flags=cv2.INTER_LINEAR)
        return np.asarray(made, dtype=np.float32).reshape(side, side, -1)

    # premultiplied, or the colours at the edge would mix with the black beyond it
    coverage = fit(matte.coverage)
    color = straight(fit(matte.color * matte.coverage), coverage)
    slopes = np.concatenate([fit(matte.slopes[..., :3]), fit(matte.slopes[..., 3:])], axis=2)
    return Matte(color, coverage, slopes, matte.images)
