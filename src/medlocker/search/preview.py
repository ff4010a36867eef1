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

from medlocker.attacks import Attack, find_attack
from medlocker.classifiers import Classifier
from medlocker.images import Image, viewed
from medlocker.logo import Hardening, Logo, fit_color, overlay_matrix, render, unpack_overlay
from medlocker.mark import OPACITY_ONE, Mark
from medlocker.search._modelviews import (
    LUMA,
    WHOLE,
    Change,
    LinearView,
    ModelView,
    Part,
    make_view,
    resized,
    sum_blocks,
)

_FINENESS = 1.5
"""Work pixels per canvas pixel at least; below 1 a block would be coarser than the model's own pixels."""
_FINE_ENOUGH = 3.0
"""Image pixels per model pixel from which on halving the image changes next to nothing for the model."""
_MOST_CHANGES = 24

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
    # whole rows lie in one piece: adding them first leaves little for the slower sums across
    tall = values[::step].astype(kind)
    for k in range(1, step):
        more = values[k::step]
        tall[: len(more)] += more
    sums = np.add.reduceat(tall, cols, axis=1)
    counts = np.minimum(step, height - rows)[:, None] * np.minimum(step, width - cols)[None, :]
    return np.asarray(sums / counts[..., None], dtype=np.float32)


@dataclass(frozen=True, eq=False)
class WorkRaster:
    """A rendered logo averaged over blocks.

    Args:
        paint: (h, w, 3) float32, colour times coverage, 0..255.
        coverage: (h, w, 1) float32, 0..1.
        solid_paint: The same for strokes that are opaque whatever the opacity; None without such.
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
        change = resized(cells.astype(np.float32), rows, cols)
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


class Preview:
    """All models' views of one image: as it is, and as after each attack that is to be withstood.

    Args:
        classifiers: The models, in the run's order.
        logo: What will be put on.
        against: Attacks, ours by their names, after which models shall be misled too.

    Attributes:
        step: Placements must lie on multiples of this many pixels.
        looks: How many views each model has: the plain one, and one for each attack.
        places_matter: Whether an attack leaves nothing of a mark but where it lay.
        cleans: Per model (h, w, c) float32, the original's canvas exactly as judged.
    """

    def __init__(
        self,
        image: Image,
        classifiers: Sequence[Classifier],
        *,
        logo: Logo,
        against: Sequence[str | Attack] = (),
    ) -> None:
        colors = viewed(image)
        self.height, self.width = image.height, image.width
        self.grey = image.kind in ("grey", "grey-alpha")
        self.step = work_step(image.height, image.width, classifiers)
        self.looks = 1 + len(against)
        attacks = [find_attack(one) for one in against]
        self.places_matter = any(attack.name == "inpaint" for attack in attacks)
        self._logo = logo
        self._changes: dict[Mark, Change] = {}
        self._work = block_mean(colors, self.step) / np.float32(1 if image.bits == 8 else 257)
        self._plain = [self._plain_look(model, model.canvas(colors)) for model in classifiers]
        size = self.height, self.width
        self._attacked: list[list[ModelView]] = [
            [
                make_view(attack, model, work=self._work, size=size, step=self.step, plain=plain)
                for model, plain in zip(classifiers, self._plain, strict=True)
            ]
            for attack in attacks
        ]

    def _plain_look(self, model: Classifier, canvas: Floats) -> LinearView:
        resize = model.resize_for(self.height, self.width)
        return LinearView(canvas, sum_blocks(resize.rows, self.step), sum_blocks(resize.cols, self.step))

    def _at(self, model: int, look: int) -> ModelView:
        return self._attacked[look - 1][model] if look else self._plain[model]

    @property
    def pixels_per_cell(self) -> tuple[float, float]:
        """Image pixels per pixel of the first model's input: rows, columns."""
        canvas = self._plain[0].canvas
        return self.height / canvas.shape[0], self.width / canvas.shape[1]

    @property
    def clean_canvases(self) -> list[Floats]:
        """Per model the original's canvas."""
        return [view.canvas for view in self._plain]

    def raster(self, mark: Mark) -> WorkRaster:
        """Return a mark's rendered logo at this preview's resolution."""
        plain = work_raster(self._logo, mark.size_px, mark.rotation, mark.hardening, self.step, self.grey)
        if not mark.overlay:
            return plain
        return plain.textured(unpack_overlay(mark.overlay), step=self.step, grey=self.grey)

    def compose(self, model: int, marks: Sequence[Mark], out: Floats, *, look: int = 0) -> None:
        """Write the canvas of the marked image into ``out`` (h, w, c), as after the attack of a look.

        Marks that overlap are composed one after the other only approximately.
        """
        self._at(model, look).compose([self._change(mark) for mark in marks], out)

    def _change(self, mark: Mark) -> Change:
        """Render a mark once for all models and looks."""
        if mark not in self._changes:
            if len(self._changes) >= _MOST_CHANGES:
                self._changes.clear()
            self._changes[mark] = self._rendered(mark)
        return self._changes[mark]

    def _rendered(self, mark: Mark) -> Change:
        paint, coverage = self.raster(mark).at(mark.opacity)
        y, x = mark.y // self.step, mark.x // self.step
        h, w = coverage.shape[:2]
        h, w = min(h, self._work.shape[0] - y), min(w, self._work.shape[1] - x)
        paint, coverage = paint[:h, :w], coverage[:h, :w]
        return Change(y, x, paint - coverage * self._work[y : y + h, x : x + w], coverage)

    def pull_back(self, model: int, gradient: Floats, *, look: int = 0, part: Part = WHOLE) -> Floats:
        """Return a part of the gradient with respect to work pixels, (h', w', c), of one of the canvas."""
        return self._at(model, look).pull_back(gradient, part)

    def part_of(self, mark: Mark) -> Part:
        """Return the work pixels under a mark's raster."""
        y, x = mark.y // self.step, mark.x // self.step
        h, w = self.raster(mark).coverage.shape[:2]
        return slice(y, min(y + h, self._work.shape[0])), slice(x, min(x + w, self._work.shape[1]))

    @property
    def work(self) -> Floats:
        """(h', w', 3) float32: the image averaged over blocks, 0..255."""
        return self._work


def is_coarse(height: int, width: int, classifiers: Sequence[Classifier]) -> bool:
    """Tell whether an image is so little finer than some model that halving it changes what that sees."""
    fineness = min(min(height / model.height, width / model.width) for model in classifiers)
    return fineness < _FINE_ENOUGH
