"""The two pictures of a review: the marked file, and the original that comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.attacks import as_bytes
from medlocker.formats import read_image
from medlocker.geometry import Box
from medlocker.images import Image, viewed
from medlocker.restore import read_marked, restore_image
from medlocker.review._items import ReviewItem
from medlocker.review._review import Review

_LINE_SHARE = 1 / 300
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


@dataclass(frozen=True)
class ImagePair:
    """An image before and after.

    Args:
        original: As restoring gives it; never written anywhere.
        marked: As the file holds it.
    """

    original: Image = field(repr=False)
    marked: Image = field(repr=False)

    @property
    def nbytes(self) -> int:
        """How much memory its pixels take."""
        return int(self.original.pixels.nbytes + self.marked.pixels.nbytes)

    @property
    def frames(self) -> int:
        """How many frames or slices it has."""
        return 1 if self.marked.frames is None else len(self.marked.frames)

    def shown(self, *, frame: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return original and marked picture as a viewer shows them.

        Args:
            frame: 0 to frames - 1.

        Returns:
            Both (H, W, 3) uint8.
        """
        return _shown(self.original, frame), _shown(self.marked, frame)


def load_pair(review: Review, item: ReviewItem) -> ImagePair:
    """Read a marked file and take its mark off in memory, with every check that restoring makes.

    Raises:
        CertificateError: If the file or its record is not the signed one.
        RestoreError: If the result is not the original.
    """
    data = read_marked(review.release, item.entry)
    restored = restore_image(data, review.access.open(item.line), logo=review.logo)
    return ImagePair(read_image(restored.data, name="original"), read_image(data, name=item.entry.name))


def draw_boxes(picture: NDArray[np.uint8], boxes: Sequence[Box]) -> NDArray[np.uint8]:
    """Return a copy with the outlines of boxes: white beside black, to be seen on any ground.

    Args:
        picture: (H, W, 3) uint8.
    """
    drawn = np.ascontiguousarray(picture).copy()
    width = max(round(_LINE_SHARE * min(drawn.shape[:2])), 1)
    for box in boxes:
        for grow, colour in ((width, _BLACK), (0, _WHITE)):
            corner = (box.x - grow, box.y - grow)
            other = (box.right - 1 + grow, box.bottom - 1 + grow)
            cv2.rectangle(drawn, corner, other, colour, width)
    return drawn


def _shown(image: Image, frame: int) -> NDArray[np.uint8]:
    frames = image.frames
    colors: NDArray[Any] = viewed(image, None if frames is None else frames[frame])
    return as_bytes(colors)
