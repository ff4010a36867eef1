"""Attacks 9 and 7 with many images: a mark, or what was added to a known one, learned from all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.attacks import Bytes, Floats, Mask, Window, to_bytes, widened
from medlocker.evaluate.removal._align import colour_slopes, pose_guesses, turn_to, turned
from medlocker.evaluate.removal._evidence import Attack, AttackInfo, Evidence
from medlocker.evaluate.removal._invert import BlendFit
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
_SOFT_PX = 2.5

Placed = tuple[float, Window, Floats, Floats]
"""How a matte lies on a mark: share of edges left, frame, colours and weights in it."""


@dataclass(frozen=True)
class MattingLearner:
    """Studies marked images without knowing the logo."""

    facts: ClassVar[AttackInfo] = AttackInfo(9, "many marked images", ("matting",), on="marks")

    def learn(self, crowd: Sequence[Evidence], *, public: Sequence[Bytes], seed: int) -> Attack:
        """Learn the mark from all images whose mark has the commonest size, turned so that they lie alike."""
        # a part of an image may show pieces of its other marks: the largest is whole
        marks = [(one, window) for one in crowd for window in one.windows()[:1]]
        extents = [_extent(one.mask, window) for one, window in marks]
        if not extents:
            return MattingAttack(None, 1.0)
        usual = float(np.median(extents))
        near = [pair for pair, size in zip(marks, extents, strict=True) if abs(size / usual - 1) < _SAME_SIZE]
        near = near[:_MOST_SAMPLES]
        half = max(_side(window) for _, window in near) // 2 + _SURROUNDINGS_PX + 1
        samples = [_sample(one, window, half) for one, window in near]
        turns = pose_guesses([sample.pixels for sample in samples])
        alike = [
            Sample(turned(sample.pixels, d), turned(sample.mask.astype(np.uint8) * 255, d) > 127)
            for sample, d in zip(samples, turns, strict=True)
        ]
        return MattingAttack(learn_matte(alike), usual, any(turns))


@dataclass(frozen=True, eq=False)
class MattingAttack:
    """Takes a learned mark off.

    Args:
        matte: What was learned, None if nothing could be.
        extent_px: Square root of the area of the mark in the matte, as seen.
        turned: Whether marks are turned differently in each image.
    """

    matte: Matte | None
    extent_px: float
    turned: bool = False
    facts: ClassVar[AttackInfo] = AttackInfo(9, "many marked images", ("matting",), on="marks")

    def restore(self, evidence: Evidence) -> dict[str, Bytes]:
        """Fit place and opacity of the learned mark to each mark of the image, and invert."""
        result = evidence.marked.copy()
        if self.matte is not None:
            for window in evidence.windows():
                self._take_off(result, evidence.mask, window, self.matte)
        return {"matting": result}

    def _take_off(self, pixels: Bytes, mask: Mask, window: Window, matte: Matte) -> None:
        ratio = _extent(mask, window) / self.extent_px
        frame = _middle(window, round(matte.color.shape[0] / 2 * max(ratio, 0.2)))
        degrees = turn_to(_padded(pixels, *frame), matte.typical) if self.turned else 0
        if not self.turned and abs(ratio - 1) < _SAME_SIZE:
            placed = _place(pixels, mask, window, matte)
        else:
            placed = _place_moved(pixels, mask, window, matte, (ratio, float(-degrees)))
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


def _place_moved(
    pixels: Bytes, mask: Mask, window: Window, matte: Matte, start: tuple[float, float]
) -> Placed:
    """Fit the matte to a mark of another size or turn: by the edges that are left, to parts of a pixel."""
    same = abs(start[0] - 1) < _SAME_SIZE
    best_at = np.array([1.0 if same else start[0], start[1], 0.0, 0.0])
    best = _place(pixels, mask, window, _moved(matte, best_at), smooth_px=_SOFT_PX)
    length = matte.color.shape[0]
    steps = [
        np.array([[0 if same else k / length, 0, 0, 0] for k in range(-4, 5) if k and not same]),
        np.array([[0, k / 2, 0, 0] for k in (-4, -3, -2, -1, 1, 2, 3, 4)]),
        np.array([[0, 0, k / 4, 0] for k in (-2, -1, 1, 2)]),
        np.array([[0, 0, 0, k / 4] for k in (-2, -1, 1, 2)]),
    ]
    for moves in steps:
        middle = best_at
        for move in moves:
            placed = _place(pixels, mask, window, _moved(matte, middle + move), smooth_px=_SOFT_PX)
            if placed[0] < best[0]:
                best, best_at = placed, middle + move
    return best


def _blurred(plane: Floats, sigma: float) -> Floats:
    made = cv2.GaussianBlur(plane, (0, 0), sigma)
    return np.asarray(made, dtype=np.float32).reshape(plane.shape)


def _place(pixels: Bytes, mask: Mask, window: Window, matte: Matte, *, smooth_px: float = 0.0) -> Placed:
    """Fit a matte to a mark; returns the share of edges left, the frame, colours and weights in it."""
    rows, cols = frame = _middle(window, matte.color.shape[0] // 2)
    part = _padded(pixels, rows, cols)
    shift = shift_to(part, colour_slopes(matte.typical), widened(_padded(mask, rows, cols) > 0, 2))
    back = (-shift[0], -shift[1])
    color, coverage = rolled(matte.color, back), rolled(matte.coverage, back)
    fit = BlendFit(part.astype(np.float32), color, coverage)
    if smooth_px:
        # enlarged edges are softer than the mark's own: blurred alike they compare, at half the size too
        layers = [_blurred(one, smooth_px)[::2, ::2] for one in (fit.image, color * coverage, coverage)]
        fit = BlendFit(layers[0], straight(layers[1], layers[2]), layers[2])
    opacity = best_opacity(fit.image, fit.color, fit.coverage)
    left = fit.cost(opacity) / max(fit.cost(0.0), 1e-9)
    return left, frame, color, np.asarray(np.float32(opacity) * coverage, dtype=np.float32)


def _extent(mask: Mask, window: Window) -> float:
    """Return the square root of a mark's area: the same however it is turned."""
    return float(np.sqrt(np.count_nonzero(mask[window])))


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


def _moved(matte: Matte, how: NDArray[np.float64]) -> Matte:
    """Scale a matte about its middle, turn it counter-clockwise, and move it by parts of a pixel."""
    ratio, degrees, dx, dy = (float(value) for value in how)
    old = matte.color.shape[0]
    side = max(2 * round(old * ratio / 2), 4 * REACH_PX)
    move = cv2.getRotationMatrix2D(((old - 1) / 2, (old - 1) / 2), degrees, ratio)
    move += np.array([[0, 0, dx], [0, 0, dy]]) + np.array([[0, 0, 1], [0, 0, 1]]) * (side - old) / 2

    def fit(plane: Floats) -> Floats:
        if ratio < 1:
            plane = _blurred(plane, 0.4 / ratio)
        made = cv2.warpAffine(plane, move, (side, side), flags=cv2.INTER_LINEAR)
        return np.asarray(made, dtype=np.float32).reshape(side, side, -1)

    # premultiplied, or the colours at the edge would mix with the black beyond it
    coverage = fit(matte.coverage)
    return Matte(straight(fit(matte.color * matte.coverage), coverage), coverage, matte.ground, matte.images)
