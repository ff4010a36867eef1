"""One image's search problem: which marks are allowed, and how to ask about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import NoRoomError
from medlocker.logo import Hardening
from medlocker.mark import Mark
from medlocker.placements import FreePlacements
from medlocker.search._questions import Ask
from medlocker.search.preview import Preview

Candidate: TypeAlias = tuple[Mark, ...]
"""Marks put on together; ``()`` is the unmarked image."""


@dataclass(frozen=True, eq=False)
class Problem:
    """Where a mark of one size may go on one image, and what must not be answered.

    Args:
        preview: How models see the marked image.
        labels: Per model, the class that must not be answered.
        placements: Free placements of the rendered logo.
        size_px: Longer side of the logo, pixels.
        opacity_low: 0 to 65535.
        opacity_high: At least ``opacity_low``, at most 65535.
        hardening: Keyed changes of the logo that every mark on this image has, or None.
        levels: Bound of a searched texture on the logo's own pixels, grey levels; 0 for none.
        most_marks: How many separate marks may be put on.
        rotation: Of every mark, counter-clockwise in 1/65536 of a turn, as in ``placements``.
        looks: In how many ways every candidate is looked at, at most ``preview.looks``: the first ones.
        learned: A texture learned beforehand, packed as text, that every mark starts with; or empty.
    """

    preview: Preview
    labels: tuple[int, ...]
    placements: FreePlacements
    size_px: int
    opacity_low: int
    opacity_high: int
    hardening: Hardening | None = None
    levels: int = 0
    most_marks: int = 1
    rotation: int = 0
    learned: str = ""
    looks: int = 1

    @cached_property
    def grid(self) -> NDArray[np.bool_]:
        """(rows, cols) bool: which placements at multiples of ``preview.step`` pixels are free."""
        return self.placements.grid(self.preview.step)

    @cached_property
    def free(self) -> NDArray[np.int64]:
        """(n, 2) int64, x and y in pixels of every free placement on the grid.

        Raises:
            NoRoomError: If there is none.
        """
        rows, cols = np.nonzero(self.grid)
        if not len(rows):
            raise NoRoomError("no placement of the logo stays clear of the regions")
        return np.stack([cols, rows], axis=1) * self.preview.step

    def thinned(self, spacing_px: float, *, rng: np.random.Generator | None = None) -> NDArray[np.int64]:
        """Return free placements on a grid of about the given spacing; finer where too few would remain.

        With an ``rng`` the grid starts at a random place: no two runs have the same parameter list.
        """
        stride = max(int(spacing_px / self.preview.step), 1)
        while stride > 1:
            cells = self.free // self.preview.step
            phase = 0 if rng is None else rng.integers(stride, size=2)
            kept = self.free[(cells % stride == phase).all(axis=1)]
            if len(kept) >= 32:
                return np.asarray(kept)
            stride //= 2
        return np.asarray(self.free)

    def nearest(self, x: float, y: float) -> tuple[int, int]:
        """Return the free placement on the grid that is nearest to a position in pixels."""
        distance = ((self.free - np.array([x, y])) ** 2).sum(axis=1)
        found = self.free[int(distance.argmin())]
        return int(found[0]), int(found[1])

    def not_allowed(self, candidate: Candidate) -> str:
        """Return in one sentence what is wrong with a candidate, nothing if it may be put on."""
        if len(candidate) > self.most_marks:
            return f"expected at most {self.most_marks} marks, got {len(candidate)}"
        for mark in candidate:
            given = mark.size_px, mark.rotation, mark.hardening
            if given != (self.size_px, self.rotation, self.hardening):
                return (
                    "expected marks of the problem's size, rotation and hardening, as Problem.mark makes them"
                )
            if not self.opacity_low <= mark.opacity <= self.opacity_high:
                return f"expected opacities of {self.opacity_low} to {self.opacity_high}, got {mark.opacity}"
            if mark.x % self.preview.step or mark.y % self.preview.step:
                return (
                    f"expected positions at multiples of {self.preview.step} pixels, got {mark.x}, {mark.y}"
                )
            if not bool(self.placements.contains(mark.x, mark.y)):
                return f"expected a free placement, got {mark.x}, {mark.y}"
        return ""

    def mark(self, x: int, y: int, opacity: float | None = None) -> Mark:
        """Return a mark with its opacity (0..65535; default the highest) clipped to the allowed range."""
        wanted = self.opacity_high if opacity is None else round(opacity)
        return Mark(
            x=int(x),
            y=int(y),
            size_px=self.size_px,
            opacity=min(max(wanted, self.opacity_low), self.opacity_high),
            rotation=self.rotation,
            overlay=self.learned,
            **self._keyed,
        )

    @cached_property
    def _keyed(self) -> dict[str, Any]:
        if self.hardening is None:
            return {}
        return {
            "key": self.hardening.key.hex(),
            "warp_256": self.hardening.warp_256,
            "texture": self.hardening.texture,
            "opaque_permille": self.hardening.opaque_permille,
        }

    def ask(self, candidates: Sequence[Candidate], *, gradients: bool = False) -> Ask:
        """Ask every model about candidates, each in all looks one after the other."""

        def fill(model: int, i: int, out: NDArray[np.float32]) -> None:
            self.preview.compose(model, candidates[i // self.looks], out, look=i % self.looks)

        return Ask(len(candidates) * self.looks, fill, self.labels, gradients)
