"""The first control: plain logos at random free places, without any search.

As large and as many as the marks; against a mark that covers the image, what single logos do there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import InputError, NoRoomError
from medlocker.geometry import Box
from medlocker.images import Image, viewed
from medlocker.logo import Logo, render
from medlocker.mark import OPACITY_ONE, Mark
from medlocker.marking import mark_pixels
from medlocker.options import DEFAULT_OPACITY
from medlocker.placements import FreePlacements

DEFAULT_SIZE = 0.25
"""The highest opacity and the size that ``protect`` uses by default."""

COVERING_COUNT = 3
"""How many logos stand against a mark that covers the image: as many as ``--preset strong`` puts on."""

_SMALLEST = 0.5
_SHRINK = 0.85


@dataclass(frozen=True, eq=False)
class Control:
    """How the control is made.

    Args:
        logo: What is put on.
        opacity: Above 0, at most 1.
        size: Longer logo side / shorter image side, or None to take each image's from its marked version.
        seed: Same seed, same places, whatever the order of the images.

    Raises:
        InputError: If a number is out of range.
    """

    logo: Logo
    opacity: float = DEFAULT_OPACITY
    size: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.opacity <= 1:
            raise InputError(f"expected an opacity above 0 and at most 1, got {self.opacity:g}")
        if self.size is not None and not 0 < self.size <= 1:
            raise InputError(f"expected a size above 0 and at most 1, got {self.size:g}")
        if self.seed < 0:
            raise InputError(f"expected a seed of at least 0, got {self.seed}")

    def sizes_px(self, image: Image, windows: Sequence[Box], *, is_covering: bool = False) -> tuple[int, ...]:
        """Return the size of each mark to put on: as many and as large as the windows of the real ones.

        Against a mark that covers the image, three of the size that ``protect`` uses by default.
        """
        shorter = min(image.height, image.width)
        if is_covering:
            size = DEFAULT_SIZE if self.size is None else self.size
            return (max(round(size * shorter), 1),) * COVERING_COUNT
        if self.size is not None:
            return (max(round(self.size * shorter), 1),) * max(len(windows), 1)
        if not windows:
            return (max(round(DEFAULT_SIZE * shorter), 1),)
        return tuple(max(window.width, window.height) for window in windows)

    def marks(
        self, image: Image, *, name: str, sizes_px: Sequence[int], boxes: Sequence[Box]
    ) -> tuple[Mark, ...]:
        """Draw free places, one mark after the other; none touches a box or another mark.

        Args:
            name: Its name; seeds the drawing.
            sizes_px: Of each mark; down to half of it where there is no room.

        Raises:
            NoRoomError: If a mark has no free place.
        """
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
        rng = np.random.default_rng([self.seed, *np.frombuffer(digest, np.uint32).tolist()])
        marks: list[Mark] = []
        taken = list(boxes)
        for size_px in sizes_px:
            mark, window = self._place(image, size_px, taken, rng)
            marks.append(mark)
            taken.append(window)
        return tuple(marks)

    def _place(
        self, image: Image, size_px: int, taken: Sequence[Box], rng: np.random.Generator
    ) -> tuple[Mark, Box]:
        smallest = max(round(size_px * _SMALLEST), 1)
        while True:
            support = render(self.logo, size_px).support
            try:
                free = FreePlacements(image=(image.width, image.height), support=support, boxes=taken)
                x, y = (int(value) for value in free.sample(rng, 1)[0])
            except NoRoomError:
                if size_px == smallest:
                    raise
                size_px = max(int(size_px * _SHRINK), smallest)
                continue
            height, width = support.shape
            mark = Mark(x=x, y=y, size_px=size_px, opacity=round(self.opacity * OPACITY_ONE))
            return mark, Box(x, y, width, height)

    def against(
        self,
        image: Image,
        *,
        name: str,
        windows: Sequence[Box],
        is_covering: bool = False,
        boxes: Sequence[Box] = (),
    ) -> tuple[Mark, ...]:
        """Draw what stands against the marks of an image; where three have no room, two or one do.

        Args:
            name: Its name; seeds the drawing.
            is_covering: Whether they cover the image.

        Raises:
            NoRoomError: If there is no room.
        """
        sizes = self.sizes_px(image, windows, is_covering=is_covering)
        while True:
            try:
                return self.marks(image, name=name, sizes_px=sizes, boxes=boxes)
            except NoRoomError:
                if not is_covering or len(sizes) == 1:
                    raise
                sizes = sizes[1:]

    def colors(self, image: Image, marks: Sequence[Mark]) -> NDArray[Any]:
        """Return the marked colours as a viewer of the written file would see them: writing is lossless."""
        return viewed(image, mark_pixels(image, marks, logo=self.logo).pixels)
