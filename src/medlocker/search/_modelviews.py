"""The ways in which a candidate is looked at: as it is, and as after an attack.

Attacks that are linear (blurring, resizing, cropping, mirroring) are one more pair of matrices before the
model's own resizing, so they cost no more than the plain look and have exact gradients. The others are really
carried out on a small picture; a gradient passes through them as if they changed nothing (Athalye et al.,
ICML 2018), or not at all where nothing of the mark is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.attacks import (
    BLUR_SIGMA_PX,
    CAPPED_PX,
    CROP_SHARE,
    RESIZE_SCALE,
    Attack,
    run_attack,
    to_bytes,
    widened,
)
from medlocker.classifiers import Classifier, LinearResize, linear_resize
from medlocker.errors import InputError

Floats = NDArray[np.float32]
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
LINEAR: frozenset[str] = frozenset({"blur", "resize", "crop", "flip"})
Part = tuple[slice, slice]
"""Rows and columns of a picture."""
WHOLE: Part = (slice(None), slice(None))
_SEEN = 1e-3
_WIDER_PX = 1


@dataclass(frozen=True, eq=False)
class Change:
    """What one mark changes of the work image.

    Args:
        y: First row, work pixels.
        change: (h, w, 3) float32: marked minus clean.
        coverage: (h, w, 1) float32; above 0 where the mark is.
    """

    y: int
    x: int
    change: Floats
    coverage: Floats


class ModelView(Protocol):
    """One model's view of an image in one way."""

    def compose(self, changes: list[Change], out: Floats) -> None:
        """Write the canvas of the marked image into ``out`` (h, w, c)."""

    def pull_back(self, gradient: Floats, part: Part = WHOLE) -> Floats:
        """Return the gradient with respect to work pixels of one with respect to the canvas.

        Args:
            gradient: (h, w, c).
            part: Rows and columns of the work image.

        Returns:
            (h', w', c) of the part.
        """


class LinearView:
    """A canvas that depends linearly on the work image.

    Args:
        canvas: (h, w, c) of the clean image.
        rows: (h, h') weights of work rows in canvas rows.
        cols: (w, w') the same for columns.
    """

    def __init__(self, canvas: Floats, rows: Floats, cols: Floats) -> None:
        self.canvas = canvas
        self._rows, self._cols = rows, cols
        self._row_reach, self._col_reach = _row_span(rows), _row_span(cols)
        # data sets are often stored in the size of a model
        self._resizes = not (_is_identity(rows) and _is_identity(cols))

    def compose(self, changes: list[Change], out: Floats) -> None:
        """See :class:`ModelView`."""
        out[...] = self.canvas
        for one in changes:
            h, w = one.change.shape[:2]
            change = one.change if out.shape[2] == 3 else (one.change @ LUMA)[..., None]
            if not self._resizes:
                out[one.y : one.y + h, one.x : one.x + w] += change
                continue
            r, c = _touched(self._row_reach[one.y : one.y + h]), _touched(self._col_reach[one.x : one.x + w])
            rows, cols = self._rows[r, one.y : one.y + h], self._cols[c, one.x : one.x + w]
            out[r, c] += resized(change, rows, cols)

    def pull_back(self, gradient: Floats, part: Part = WHOLE) -> Floats:
        """See :class:`ModelView`."""
        if not self._resizes:
            return gradient[part]
        # rows and columns of the canvas that have nothing of the part give nothing to it
        y, x = part
        r, c = _touched(self._row_reach[y]), _touched(self._col_reach[x])
        return resized(gradient[r, c], self._rows[r, y].T, self._cols[c, x].T)


class AttackedView:
    """What a model sees after an attack has really been carried out on a small picture.

    Args:
        attack: What is done to it.
        model: Whose view.
        small: (h'', w'', 3) float32, the clean small picture, 0..255.
        to_small: From the work image to it.
        plain: The model's plain look, whose gradients serve.
    """

    def __init__(
        self, attack: Attack, model: Classifier, small: Floats, to_small: LinearResize, plain: LinearView
    ) -> None:
        self._attack, self._model, self._small, self._plain = attack, model, small, plain
        self._rows, self._cols = to_small.rows, to_small.cols

    def compose(self, changes: list[Change], out: Floats) -> None:
        """See :class:`ModelView`."""
        picture, seen = self._small.copy(), np.zeros(self._small.shape[:2], np.bool_)
        for one in changes:
            h, w = one.change.shape[:2]
            rows, cols = self._rows[:, one.y : one.y + h], self._cols[:, one.x : one.x + w]
            picture += resized(one.change, rows, cols)
            covered = (one.coverage > 0).astype(np.float32)
            seen |= resized(covered, rows, cols)[..., 0] > _SEEN
        done = run_attack(self._attack, to_bytes(picture), widened(seen, _WIDER_PX))
        out[...] = self._model.canvas(done)

    def pull_back(self, gradient: Floats, part: Part = WHOLE) -> Floats:
        """See :class:`ModelView`."""
        pulled = self._plain.pull_back(gradient, part)
        return np.zeros_like(pulled) if self._attack.name == "inpaint" else pulled


def make_view(
    attack: Attack, model: Classifier, *, work: Floats, size: tuple[int, int], step: int, plain: LinearView
) -> ModelView:
    """Return a model's look at an image after an attack.

    Args:
        attack: Ours that are linear are recognised by their names, which no other has.
        model: Whose view.
        work: (h', w', 3) float32, the image averaged over blocks.
        size: (H, W) of the image, pixels.
        step: Side of the blocks, pixels.
        plain: The model's plain look.
    """
    small = small_size(*size)
    shrinking = linear_resize(*size, out_height=small[0], out_width=small[1], rule="stretch")
    if attack.name not in LINEAR:
        rows, cols = sum_blocks(shrinking.rows, step), sum_blocks(shrinking.cols, step)
        return AttackedView(attack, model, resized(work, rows, cols), LinearResize(rows, cols), plain)
    own = model.resize_for(*small)
    rows, cols = _chained(attack.name, own.rows, own.cols, small)
    rows, cols = sum_blocks(rows @ shrinking.rows, step), sum_blocks(cols @ shrinking.cols, step)
    seen = work if model.channels == 3 else np.asarray((work @ LUMA)[..., None], np.float32)
    return LinearView(resized(seen, rows, cols), rows, cols)


def small_size(height: int, width: int) -> tuple[int, int]:
    """Return the size at which attacks work, (rows, columns)."""
    scale = min(CAPPED_PX / max(height, width), 1.0)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def _chained(name: str, rows: Floats, cols: Floats, size: tuple[int, int]) -> tuple[Floats, Floats]:
    """Put a linear attack before a model's resizing of the small picture."""
    if name == "flip":
        return rows, np.ascontiguousarray(cols[:, ::-1])
    height, width = (_attack_matrix(name, side) for side in size)
    return np.asarray(rows @ height, np.float32), np.asarray(cols @ width, np.float32)


@lru_cache(maxsize=32)
def _attack_matrix(name: str, side: int) -> Floats:
    """Return (side, side): a linear attack along one axis."""
    if name == "blur":
        return np.asarray(
            cv2.GaussianBlur(np.eye(side, dtype=np.float32), (1, 0), sigmaX=0.01, sigmaY=BLUR_SIGMA_PX)
        )
    if name == "resize":
        low = max(round(side * RESIZE_SCALE), 1)
        down = linear_resize(side, side, out_height=low, out_width=low, rule="stretch").rows
        up = linear_resize(low, low, out_height=side, out_width=side, rule="stretch").rows
        return np.asarray(up @ down, np.float32)
    if name == "crop":
        kept = max(round(side * CROP_SHARE), 1)
        start = (side - kept) // 2
        part = linear_resize(kept, kept, out_height=side, out_width=side, rule="stretch").rows
        matrix = np.zeros((side, side), np.float32)
        matrix[:, start : start + kept] = part
        return matrix
    raise InputError(f"expected a linear attack, got {name}")


def resized(values: Floats, rows: Floats, cols: Floats) -> Floats:
    """Return ``rows @ values @ cols.T`` for every channel of (h, w, c), as two plain matrix products."""
    height, width, channels = values.shape
    tall = (rows @ values.reshape(height, -1)).reshape(-1, width, channels)
    flat = np.ascontiguousarray(tall.transpose(0, 2, 1)).reshape(-1, width) @ cols.T
    return np.asarray(flat.reshape(len(rows), channels, -1).transpose(0, 2, 1))


def sum_blocks(matrix: Floats, step: int) -> Floats:
    """Sum the columns of a resize matrix over blocks."""
    if step == 1:
        return matrix
    return np.add.reduceat(matrix, np.arange(0, matrix.shape[1], step), axis=1)


def _is_identity(matrix: Floats) -> bool:
    return matrix.shape[0] == matrix.shape[1] and np.array_equal(matrix, np.eye(len(matrix)))


def _row_span(matrix: Floats) -> NDArray[np.int64]:
    """Return (columns, 2): first and one past the last row of a banded matrix with weight in each column."""
    weighted = matrix != 0
    empty = ~weighted.any(axis=0)
    first, last = weighted.argmax(axis=0), len(matrix) - weighted[::-1].argmax(axis=0)
    first[empty], last[empty] = len(matrix), 0
    return np.stack([first, last], axis=1)


def _touched(reach: NDArray[np.int64]) -> slice:
    first, last = int(reach[:, 0].min()), int(reach[:, 1].max())
    return slice(min(first, last), last)
