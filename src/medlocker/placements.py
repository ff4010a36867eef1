"""Where a logo of any shape may lie without touching a keep-out box."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import InputError, NoRoomError
from medlocker.geometry import Box

MAX_COORDINATE = 1 << 30
"""Larger coordinates are refused, so that squared distances fit into 64 bits."""

_MAX_PIXELS = (1 << 32) - 1
_SAMPLE_ROUNDS = 8
_SAMPLE_BATCH = 64
_FIRST_RADIUS_PX = 32
_TILE_PX = 256


class FreePlacements:
    """All places of one rendered logo that lie inside the image and touch no box.

    A placement is (x, y), the image position of the support's upper left corner. The whole support array
    must lie inside the image; only its True pixels must stay clear of the boxes, so that a box may lie in
    a transparent corner or a hole. Exact for every shape: a box is hit if and only if the logo's
    summed-area table (Crow, SIGGRAPH 1984) counts a touched pixel inside it. Nothing is computed before it
    is asked for.

    Args:
        image: (width, height) of the image in pixels.
        support: (h, w) bool, True where the rendered logo touches a pixel.
        boxes: Keep-out boxes in image pixels; parts outside the image do no harm.

    Raises:
        NoRoomError: If the support is larger than the image.
        InputError: If the support is empty or no two-dimensional bool array.

    >>> import numpy as np
    >>> free = FreePlacements(image=(5, 3), support=np.ones((2, 2), bool), boxes=[Box(0, 0, 2, 3)])
    >>> free.count, free.nearest(0, 0)
    (4, (2, 0))
    """

    def __init__(
        self, *, image: tuple[int, int], support: NDArray[np.bool_], boxes: Sequence[Box] = ()
    ) -> None:
        if support.ndim != 2 or support.dtype != np.bool_ or support.size == 0:
            raise InputError(
                f"expected a support of (h, w) bool, got {support.shape} {support.dtype}",
            )
        height, width = support.shape
        if width > image[0] or height > image[1]:
            raise NoRoomError(
                f"expected a logo that fits into the image of {image[0]} x {image[1]} pixels, "
                f"got a logo of {width} x {height}",
                hint="choose a smaller logo size",
            )
        if support.size > _MAX_PIXELS:
            raise InputError(f"expected a support of at most {_MAX_PIXELS} pixels, got {support.size}")
        self._image = image
        self._support = support
        self._boxes = _outermost(boxes)

    @property
    def bounds(self) -> Box:
        """All placements inside the image, free or not, as a box of upper left corners."""
        height, width = self._support.shape
        return Box(0, 0, self._image[0] - width + 1, self._image[1] - height + 1)

    @property
    def support_shape(self) -> tuple[int, int]:
        """(h, w) of the logo's support, pixels."""
        height, width = self._support.shape
        return height, width

    @property
    def count(self) -> int:
        """How many placements are free, of ``bounds.width * bounds.height``."""
        return int(np.count_nonzero(self._all))

    def contains(self, x: NDArray[np.integer] | int, y: NDArray[np.integer] | int) -> NDArray[np.bool_]:
        """Tell which placements are free.

        Args:
            x: Columns, integers of any shape.
            y: Rows, of a shape that broadcasts with ``x``.

        Returns:
            bool of the broadcast shape; False outside :attr:`bounds`.

        Raises:
            InputError: If the coordinates are no integers.
        """
        x, y = np.broadcast_arrays(np.asarray(x), np.asarray(y))
        if x.dtype.kind not in "iu" or y.dtype.kind not in "iu":
            raise InputError(f"expected integer coordinates, got {x.dtype} and {y.dtype}")
        bounds = self.bounds
        inside = np.asarray((x >= 0) & (x < bounds.width) & (y >= 0) & (y < bounds.height))
        xs, ys = x[inside].astype(np.int64), y[inside].astype(np.int64)
        inside[inside] = self._all[ys, xs] if "_all" in self.__dict__ else self._is_free(xs, ys)
        return inside

    def grid(self, step_px: int = 1) -> NDArray[np.bool_]:
        """Return which placements of a regular grid are free.

        Args:
            step_px: Distance of the grid's points, at least 1.

        Returns:
            bool of shape (ceil(bounds.height / step), ceil(bounds.width / step)); entry [iy, ix] stands
            for the placement (ix * step, iy * step).

        Raises:
            InputError: If the step is below 1.
        """
        if step_px < 1:
            raise InputError(f"expected a step of at least 1 px, got {step_px}")
        if "_all" in self.__dict__ or step_px == 1:
            return self._all[::step_px, ::step_px].copy()
        bounds = self.bounds
        return self._window(range(0, bounds.width, step_px), range(0, bounds.height, step_px))

    def sample(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        """Draw free placements uniformly, with replacement.

        The result depends on the generator's state and the geometry alone, not on earlier calls.

        Returns:
            (n, 2) int64, columns x and y.

        Raises:
            NoRoomError: If no placement is free.
            InputError: If ``n`` is negative.
        """
        if n < 0:
            raise InputError(f"expected a number of placements of at least 0, got {n}")
        bounds = self.bounds
        drawn = np.empty((0, 2), np.int64)
        # where much is free, throwing darts is exact, uniform, and far cheaper than the whole grid
        for _ in range(_SAMPLE_ROUNDS):
            if len(drawn) >= n:
                return drawn[:n]
            darts = rng.integers(0, (bounds.width, bounds.height), (max(n, _SAMPLE_BATCH), 2))
            drawn = np.concatenate([drawn, darts[self.contains(darts[:, 0], darts[:, 1])]])
        missing = n - len(drawn)
        if missing <= 0:
            return drawn[:n]
        return np.concatenate([drawn, self._sample_by_rank(rng, missing)])

    def nearest(self, x: int, y: int) -> tuple[int, int]:
        """Return the free placement nearest to (x, y), by Euclidean distance.

        Of several equally near ones the uppermost, then the leftmost. (x, y) may lie outside the image.

        Raises:
            NoRoomError: If no placement is free.
            InputError: If a coordinate exceeds 2**30.
        """
        if max(abs(x), abs(y)) > MAX_COORDINATE:
            raise InputError(f"expected coordinates of at most {MAX_COORDINATE}, got ({x}, {y})")
        if self.contains(x, y):
            return x, y
        bounds = self.bounds
        reach = max(
            abs(x), abs(y), abs(x - bounds.width), abs(y - bounds.height)
        )  # from here on a window holds every placement
        radius = max(-x, x - bounds.width + 1, -y, y - bounds.height + 1, 0) + _FIRST_RADIUS_PX
        while True:
            found = self._nearest_within(x, y, radius)
            # a window's corners are farther than its sides: what lies beyond the radius may be beaten
            if found is not None and found[0] <= radius * radius:
                return found[1], found[2]
            if radius >= reach and found is not None:
                return found[1], found[2]
            if radius >= reach:
                raise _no_room()
            radius = math.isqrt(found[0]) + 1 if found is not None else radius * 2

    def _nearest_within(self, x: int, y: int, radius: int) -> tuple[int, int, int] | None:
        """Squared distance, x, y of the nearest free placement in the square window around (x, y)."""
        bounds = self.bounds
        xs = range(max(x - radius, 0), min(x + radius + 1, bounds.width))
        ys = range(max(y - radius, 0), min(y + radius + 1, bounds.height))
        if "_all" in self.__dict__:
            free = self._all[ys.start : ys.stop, xs.start : xs.stop]
        else:
            free = self._window(xs, ys)
        rows, cols = np.nonzero(free)
        if len(rows) == 0:
            return None
        rows, cols = rows + ys.start, cols + xs.start
        squared = (cols - x) ** 2 + (rows - y) ** 2
        best = int(np.argmin(squared))
        return int(squared[best]), int(cols[best]), int(rows[best])

    def _sample_by_rank(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        per_row = np.count_nonzero(self._all, axis=1)
        ends = np.cumsum(per_row)
        if ends[-1] == 0:
            raise _no_room()
        ranks = rng.integers(0, int(ends[-1]), n)
        ys = np.searchsorted(ends, ranks, side="right")
        within = ranks - (ends[ys] - per_row[ys])
        xs = np.empty(n, np.int64)
        for row in np.unique(ys):
            of_row = ys == row
            xs[of_row] = np.flatnonzero(self._all[row])[within[of_row]]
        return np.stack([xs, ys.astype(np.int64)], axis=1)

    @cached_property
    def _sums(self) -> NDArray[np.uint32]:
        """(h + 1, w + 1): how many touched pixels lie above and left."""
        height, width = self._support.shape
        sums = np.zeros((height + 1, width + 1), np.uint32)
        np.cumsum(self._support, axis=0, dtype=np.uint32, out=sums[1:, 1:])
        np.cumsum(sums[1:, 1:], axis=1, out=sums[1:, 1:])
        return sums

    @cached_property
    def _tiles(self) -> list[tuple[int, int, int, int]]:
        """The boxes, large ones cut into pieces; what touches no piece of a box does not touch the box."""
        return [
            (x, y, min(x + _TILE_PX, right), min(y + _TILE_PX, bottom))
            for left, top, right, bottom in self._boxes
            for y in range(top, bottom, _TILE_PX)
            for x in range(left, right, _TILE_PX)
        ]

    @cached_property
    def _padded_sums(self) -> tuple[NDArray[np.uint32], tuple[int, int]]:
        """The sums continued to all sides as far as a tile reaches beyond the support, and how far that is.

        So every placement of a grid finds its four counts by plain slices.
        """
        pad_y = max((bottom - top for _, top, _, bottom in self._tiles), default=0)
        pad_x = max((right - left for left, _, right, _ in self._tiles), default=0)
        return np.pad(self._sums, ((pad_y, pad_y), (pad_x, pad_x)), mode="edge"), (pad_y, pad_x)

    @cached_property
    def _all(self) -> NDArray[np.bool_]:
        bounds = self.bounds
        return self._window(range(bounds.width), range(bounds.height))

    def _window(self, xs: range, ys: range) -> NDArray[np.bool_]:
        """(len(ys), len(xs)) bool, True where the placement at these columns and rows is free."""
        free = np.ones((len(ys), len(xs)), np.bool_)
        height, width = self._support.shape
        sums, (pad_y, pad_x) = self._padded_sums
        for left, top, right, bottom in self._tiles:
            cols = _between(xs, left - width + 1, right)
            rows = _between(ys, top - height + 1, bottom)
            at_x, at_y = xs[cols], ys[rows]
            if len(at_x) == 0 or len(at_y) == 0:
                continue
            upper, lower = (_descending(edge - at_y.start + pad_y, at_y) for edge in (top, bottom))
            starts, ends = (_descending(edge - at_x.start + pad_x, at_x) for edge in (left, right))
            # counts grow from left to right: they differ exactly where the box holds a touched pixel
            before = sums[lower, starts] - sums[upper, starts]
            free[rows, cols] &= sums[lower, ends] - sums[upper, ends] == before
        return free

    def _is_free(self, xs: NDArray[np.int64], ys: NDArray[np.int64]) -> NDArray[np.bool_]:
        free = np.ones(xs.shape, np.bool_)
        height, width = self._support.shape
        for left, top, right, bottom in self._boxes:
            near = np.flatnonzero((xs > left - width) & (xs < right) & (ys > top - height) & (ys < bottom))
            if len(near) == 0:
                continue
            x0, x1 = np.clip(left - xs[near], 0, width), np.clip(right - xs[near], 0, width)
            y0, y1 = np.clip(top - ys[near], 0, height), np.clip(bottom - ys[near], 0, height)
            sums = self._sums
            free[near] &= sums[y1, x1] - sums[y0, x1] == sums[y1, x0] - sums[y0, x0]
        return free


def _no_room() -> NoRoomError:
    return NoRoomError(
        "expected a free placement of the logo, got none: the keep-out boxes leave no room",
        hint="choose a smaller logo size or margin",
    )


def _between(positions: range, low: int, high: int) -> slice:
    """The part of an ascending range with low <= position < high, as a slice of its indices."""
    first = max(-(-(low - positions.start) // positions.step), 0)
    last = max(-(-(high - positions.start) // positions.step), 0)
    return slice(first, last)


def _descending(start: int, positions: range) -> slice:
    """Return indices that go down from a start by the steps by which positions go up."""
    stop = start - len(positions) * positions.step
    return slice(start, stop if stop >= 0 else None, -positions.step)


def _outermost(boxes: Sequence[Box]) -> list[tuple[int, int, int, int]]:
    """Corners (left, top, right, bottom) of the boxes that no other box contains."""
    edges = np.array(sorted({(b.x, b.y, b.right, b.bottom) for b in boxes}), np.int64).reshape(-1, 4)
    kept = []
    for index, (left, top, right, bottom) in enumerate(edges):
        around = (edges[:, 0] <= left) & (edges[:, 1] <= top) & (edges[:, 2] >= right)
        around &= edges[:, 3] >= bottom
        around[index] = False
        if not around.any():
            kept.append((int(left), int(top), int(right), int(bottom)))
    return kept
