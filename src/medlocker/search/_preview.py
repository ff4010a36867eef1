"""Seeing a marked image as a model sees it, without making the whole marked image.

Resizing is linear, so a mark changes the canvas by ``rows @ (blend - image) @ cols.T``, and only the logo's
own window has to be computed. Large images are first averaged over blocks of ``step`` pixels; placements
then lie on multiples of ``step``. What this neglects (rounding, detail inside a block) is far below what the
search distinguishes, and every result is judged on the written file anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.classifiers import Classifier, linear_resize
from medlocker.images import Image, viewed
from medlocker.logo import Hardening, Logo, fit_color, overlay_matrix, render, unpack_overlay
from medlocker.mark import OPACITY_ONE, Mark

_FINENESS = 1.5
"""Work pixels per canvas pixel at least; below 1 a block would be coarser than the model's own pixels."""
_FINE_ENOUGH = 3.0
"""Image pixels per model pixel from which on halving the image changes next to nothing for the model."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

Floats = NDArray[np.float32]


def work_step(height: int, width: int, classifiers: Sequence[Classifier]) -> int:
    """Return the block side in pixels that suits the finest of the models."""
    ratio = min(min(height / model.height, width / model.width) for model in classifiers)
    return max(int(ratio / _FINENESS), 1)


def block_mean(values: NDArray[Any], step: int) -> Floats:
    """Average (H, W, C) over step x step blocks; the last ones may be smaller."""
    if step == 1:
        return values.astype(np.float32)
    height, width = values.shape[:2]
    rows, cols = np.arange(0, height, step), np.arange(0, width, step)
    kind = np.uint32 if values.dtype.kind == "u" else np.float32
    sums = np.add.reduceat(np.add.reduceat(values, cols, axis=1, dtype=kind), rows, axis=0, dtype=kind)
    counts = np.minimum(step, height - rows)[:, None] * np.minimum(step, width - cols)[None, :]
    return np.asarray(sums / counts[..., None], dtype=np.float32)


@dataclass(frozen=True, eq=False)
class WorkRaster:
    """A rendered logo averaged over blocks.

    Args:
        paint: (h, w, 3) float32, colour times coverage, 0..255.
        coverage: (h, w, 1) float32, 0..1.
        solid_paint: The same for strokes that are opaque whatever the opacity; None without such.
        solid_coverage: The same.
        size: (H, W) of the logo at full resolution, pixels.
    """

    paint: Floats
    coverage: Floats
    solid_paint: Floats | None = None
    solid_coverage: Floats | None = None
    size: tuple[int, int] = (0, 0)

    def textured(self, cells: NDArray[np.int8], *, step: int, grey: bool) -> WorkRaster:
        """Return the raster with an overlay added to its colours, as :func:`medlocker.logo.render` does."""
        rows, cols = spread_matrices(self.size, cells.shape[:2], step)
        change = _resized(cells.astype(np.float32), rows, cols)
        if grey:
            change = (change @ LUMA)[..., None]
        paint = _tinted(self.paint, self.coverage, change)
        if self.solid_paint is None or self.solid_coverage is None:
            return replace(self, paint=paint)
        return replace(self, paint=paint, solid_paint=_tinted(self.solid_paint, self.solid_coverage, change))

    def at(self, opacity: int) -> tuple[Floats, Floats]:
        """Return (paint, coverage) of the logo at an opacity of 0 to 65535."""
        share = np.float32(opacity / OPACITY_ONE)
        paint, coverage = self.paint * share, self.coverage * share
        if self.solid_paint is not None and self.solid_coverage is not None:
            paint += self.solid_paint
            coverage += self.solid_coverage
        return paint, coverage


def _tinted(paint: Floats, coverage: Floats, change: Floats) -> Floats:
    colour = paint / np.maximum(coverage, np.float32(1e-6))
    return np.asarray(coverage * np.clip(colour + change, 0, 255))


@lru_cache(maxsize=64)
def spread_matrices(size: tuple[int, int], cells: tuple[int, int], step: int) -> tuple[Floats, Floats]:
    """Return how an overlay's cells spread over a logo of (H, W) pixels, in blocks of ``step``, per axis."""
    return overlay_matrix(size[0], cells[0], step=step), overlay_matrix(size[1], cells[1], step=step)


@lru_cache(maxsize=64)
def work_raster(
    logo: Logo, size_px: int, rotation: int, hardening: Hardening | None, step: int, grey: bool
) -> WorkRaster:
    """Render a logo for previews; cached, since a data set usually has few image sizes."""
    raster = render(logo, size_px, rotation=rotation, hardening=hardening)
    color = fit_color(raster.color, channels=1 if grey else 3, bits=8)
    coverage = raster.coverage[..., None].astype(np.float32) / 255
    if raster.solid is None:
        return WorkRaster(*_averaged(color, coverage, step), size=coverage.shape[:2])
    solid = raster.solid[..., None]
    return WorkRaster(
        *_averaged(color, np.where(solid, np.float32(0), coverage), step),
        *_averaged(color, np.where(solid, coverage, np.float32(0)), step),
        size=coverage.shape[:2],
    )


def _averaged(color: NDArray[np.uint8], coverage: NDArray[Any], step: int) -> tuple[Floats, Floats]:
    height, width = coverage.shape[:2]
    padded = ((0, -height % step), (0, -width % step), (0, 0))
    paint = np.broadcast_to(color, (height, width, 3)) * coverage
    return block_mean(np.pad(paint, padded), step), block_mean(np.pad(coverage, padded), step)


@dataclass(frozen=True, eq=False)
class _View:
    """One model's view: its clean canvas and how work pixels map to it."""

    canvas: Floats
    rows: Floats
    cols: Floats
    row_reach: NDArray[np.int64]
    col_reach: NDArray[np.int64]


class Preview:
    """All models' views of one image: as it is, and where that differs as after halving and enlarging it.

    Somebody else's pipeline may shrink an image before the model does. To shrink and enlarge is linear too,
    so it is one more pair of matrices.

    Args:
        image: The original.
        classifiers: The models, in the run's order.
        logo: What will be put on.

    Attributes:
        step: Placements must lie on multiples of this many pixels.
        looks: How many views each model has: 1, or 2 for an image not much finer than the models.
        cleans: Per model (h, w, c) float32, the original's canvas exactly as judged.
    """

    def __init__(self, image: Image, classifiers: Sequence[Classifier], *, logo: Logo) -> None:
        colors = viewed(image)
        self.height, self.width = image.height, image.width
        self.grey = image.kind in ("grey", "grey-alpha")
        self.step = work_step(image.height, image.width, classifiers)
        self._logo = logo
        self._work = block_mean(colors, self.step) / np.float32(1 if image.bits == 8 else 257)
        fineness = min(min(self.height / m.height, self.width / m.width) for m in classifiers)
        self.looks = 1 if fineness >= _FINE_ENOUGH or min(self.height, self.width) < 4 else 2
        self._views = [self._view(model, model.canvas(colors)) for model in classifiers]
        self._halved = [self._halved_view(model) for model in classifiers] if self.looks == 2 else []

    def _view(self, model: Classifier, canvas: Floats) -> _View:
        resize = model.resize_for(self.height, self.width)
        rows, cols = _by_blocks(resize.rows, self.step), _by_blocks(resize.cols, self.step)
        return _View(canvas, rows, cols, _reach(rows), _reach(cols))

    def _halved_view(self, model: Classifier) -> _View:
        resize = model.resize_for(self.height, self.width)
        low = self.height // 2, self.width // 2
        down = linear_resize(self.height, self.width, out_height=low[0], out_width=low[1], rule="stretch")
        up = linear_resize(*low, out_height=self.height, out_width=self.width, rule="stretch")
        rows = _by_blocks(np.asarray(resize.rows @ up.rows @ down.rows, np.float32), self.step)
        cols = _by_blocks(np.asarray(resize.cols @ up.cols @ down.cols, np.float32), self.step)
        work = self._work if model.channels == 3 else np.asarray((self._work @ LUMA)[..., None], np.float32)
        canvas = _resized(work, rows, cols)
        return _View(canvas, rows, cols, _reach(rows), _reach(cols))

    def _at(self, model: int, look: int) -> _View:
        return self._halved[model] if look else self._views[model]

    @property
    def pixels_per_cell(self) -> tuple[float, float]:
        """Image pixels per pixel of the first model's input: rows, columns."""
        canvas = self._views[0].canvas
        return self.height / canvas.shape[0], self.width / canvas.shape[1]

    @property
    def cleans(self) -> list[Floats]:
        """Per model the original's canvas."""
        return [view.canvas for view in self._views]

    def raster(self, mark: Mark) -> WorkRaster:
        """Return a mark's rendered logo at this preview's resolution."""
        plain = work_raster(self._logo, mark.size_px, mark.rotation, mark.hardening, self.step, self.grey)
        if not mark.overlay:
            return plain
        return plain.textured(unpack_overlay(mark.overlay), step=self.step, grey=self.grey)

    def compose(self, model: int, marks: Sequence[Mark], out: Floats, *, look: int = 0) -> None:
        """Write the canvas of the marked image into ``out`` (h, w, c); look 1 is that of the halved image.

        Marks that overlap are composed one after the other only approximately.
        """
        view = self._at(model, look)
        out[...] = view.canvas
        for mark in marks:
            paint, coverage = self.raster(mark).at(mark.opacity)
            y, x = mark.y // self.step, mark.x // self.step
            h, w = coverage.shape[:2]
            h, w = min(h, self._work.shape[0] - y), min(w, self._work.shape[1] - x)
            window = self._work[y : y + h, x : x + w]
            change = paint[:h, :w] - coverage[:h, :w] * window
            if out.shape[2] == 1:
                change = (change @ LUMA)[..., None]
            r, c = _touched(view.row_reach, y, h), _touched(view.col_reach, x, w)
            out[r, c] += _resized(change, view.rows[r, y : y + h], view.cols[c, x : x + w])

    def pull_back(self, model: int, gradient: Floats, *, look: int = 0) -> Floats:
        """Return the gradient with respect to work pixels, (h', w', c), of one with respect to the canvas."""
        view = self._at(model, look)
        return _resized(gradient, view.rows.T, view.cols.T)

    @property
    def work(self) -> Floats:
        """(h', w', 3) float32: the image averaged over blocks, 0..255."""
        return self._work


def _resized(values: Floats, rows: Floats, cols: Floats) -> Floats:
    """Return ``rows @ values @ cols.T`` for every channel of (h, w, c), as two plain matrix products."""
    height, width, channels = values.shape
    tall = (rows @ values.reshape(height, -1)).reshape(-1, width, channels)
    flat = np.ascontiguousarray(tall.transpose(0, 2, 1)).reshape(-1, width) @ cols.T
    return np.asarray(flat.reshape(len(rows), channels, -1).transpose(0, 2, 1))


def _by_blocks(matrix: Floats, step: int) -> Floats:
    """Sum the columns of a resize matrix over blocks."""
    if step == 1:
        return matrix
    return np.add.reduceat(matrix, np.arange(0, matrix.shape[1], step), axis=1)


def _reach(matrix: Floats) -> NDArray[np.int64]:
    """Return (columns, 2): first and one past the last row of a banded matrix with weight in each column."""
    weighted = matrix != 0
    empty = ~weighted.any(axis=0)
    first, last = weighted.argmax(axis=0), len(matrix) - weighted[::-1].argmax(axis=0)
    first[empty], last[empty] = len(matrix), 0
    return np.stack([first, last], axis=1)


def _touched(reach: NDArray[np.int64], start: int, count: int) -> slice:
    columns = reach[start : start + count]
    first, last = int(columns[:, 0].min()), int(columns[:, 1].max())
    return slice(min(first, last), last)
