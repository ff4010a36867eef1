"""What finds regions in an image by itself, without a clinician: segmenters and candidate finders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from medlocker.geometry import Box

MAX_BOXES = 4096
"""Most regions of one image; noise of more is no finding."""


@dataclass(frozen=True)
class Findings:
    """What was found in one image.

    Args:
        boxes: In image pixels, clipped to the image, the strongest first.
        notes: What the user should know of this image, one phrase each, the same words for every image.
        firm: More boxes, which are no lesions and are never given up.
    """

    boxes: tuple[Box, ...]
    notes: tuple[str, ...] = ()
    firm: tuple[Box, ...] = ()


class Finder(Protocol):
    """Finds regions that a mark must keep out of: from a picture to boxes.

    May be asked from several threads at once, and in other processes if a run has several: the same picture
    gives the same boxes.
    """

    @property
    def source(self) -> str:
        """How the signed statement names it, for instance ``segmenter:<sha256>``; printable, at most 100."""

    @property
    def fingerprint(self) -> str:
        """Everything that decides what it finds, as text: a run goes on only with an equal one."""

    @property
    def droppable(self) -> bool:
        """Whether weak findings may be given up where they leave no room."""

    def find(self, colors: NDArray[Any]) -> Findings:
        """Find regions.

        Args:
            colors: (H, W, 3) uint8 or uint16, as :func:`medlocker.images.viewed` gives them.

        Raises:
            NoRoomError: If there are more than can be kept out.
        """
