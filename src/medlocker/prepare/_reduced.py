"""Images as veils are tried on them: reduced, in memory, with what must be kept out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from medlocker.attacks import as_bytes
from medlocker.classifiers import Classifier
from medlocker.files import read_limited
from medlocker.formats import influence_box, read_image
from medlocker.geometry import Box
from medlocker.images import LIMITS, Image, viewed
from medlocker.protect import find_placement_avoiding
from medlocker.protect.veiled import check_free
from medlocker.regions import Finder, Findings, Regions, finder_for
from medlocker.release import Input

_MOST_SIDE_PX = 448
_PER_MODEL_SIDE = 1.5
_LEAST_SIDE_PX = 224


@dataclass(frozen=True, eq=False)
class ReducedImage:
    """One image of the sample.

    Args:
        name: Relative input name.
        image: Reduced; 8 bits, grey or RGB.
        boxes: What is kept out, in its pixels.
    """

    name: str
    image: Image
    boxes: tuple[Box, ...]

    @property
    def is_grey(self) -> bool:
        """Whether it has no colours."""
        return self.image.kind == "grey"


def side_for(classifiers: Sequence[Classifier]) -> int:
    """Return the shorter side that images are reduced to: half as fine again as the finest model."""
    finest = max(max(model.height, model.width) for model in classifiers)
    return min(max(round(_PER_MODEL_SIDE * finest), _LEAST_SIDE_PX), _MOST_SIDE_PX)


def read_reduced(
    item: Input, *, side_px: int, regions: Regions | None, finder: Finder | None
) -> ReducedImage:
    """Read an image and what must be kept out of it, and reduce both.

    Args:
        item: Of the data set; of several frames the middle one is taken.
        side_px: Shorter side of the result at most.
        regions: Given keep-outs, or None.
        finder: Finds more, or None.

    Raises:
        InputError: If it cannot be read, or what is kept out leaves too little of it.
    """
    data = read_limited(item.path, max_bytes=LIMITS.max_file_bytes, what="image")
    image = read_image(data, name=item.name)
    boxes = _kept_out(image, item.name, regions, finder)
    colors = as_bytes(viewed(image))
    if image.kind in ("grey", "grey-alpha"):
        colors = colors[..., :1]
    scale = min(side_px / min(image.height, image.width), 1.0)
    width, height = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    small = cv2.resize(np.ascontiguousarray(colors), (width, height), interpolation=cv2.INTER_AREA)
    pixels = np.asarray(small, np.uint8).reshape(height, width, -1)
    across, down = width / image.width, height / image.height
    reduced = Image(pixels, "rgb" if pixels.shape[2] == 3 else "grey", "png", b"")
    return ReducedImage(item.name, reduced, tuple(_scaled(box, across, down) for box in boxes))


def _kept_out(image: Image, name: str, regions: Regions | None, finder: Finder | None) -> tuple[Box, ...]:
    """Return what protecting the image would keep out of it."""
    size = image.width, image.height
    given: tuple[Box, ...] = ()
    if regions is not None:
        given = regions.boxes_for(name, width=size[0], height=size[1], orientation=image.orientation)
    finder = finder_for(finder, regions, name)
    found = finder.find(viewed(image)) if finder is not None else Findings(())
    room = partial(check_free, width=size[0], height=size[1])
    _, boxes, _ = find_placement_avoiding(given, found, size=size, finder=finder, room=room)
    return tuple(influence_box(image, box) for box in boxes)


def _scaled(box: Box, across: float, down: float) -> Box:
    """Return a box in the pixels of a reduced image, no smaller than it was."""
    x, y = int(box.x * across), int(box.y * down)
    return Box(x, y, math.ceil(box.right * across) - x, math.ceil(box.bottom * down) - y)
