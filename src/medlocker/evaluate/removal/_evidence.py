"""What an attacker has of one image, and the small protocols that attacks follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.evaluate._marks import find_marks
from medlocker.logo import Logo

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Window = tuple[slice, slice]

Control = Literal["transform", "same", "clean"]
"""What an attack is compared with: the same ``transform`` of the clean image; the ``same`` picture, because
the attack looks at no marked pixel; or the ``clean`` image, which a perfect removal would give."""

CAPPED_PX = 512
"""Longer side at which transforms and fillings work: about twice a classifier's input. On a larger image a
small kernel would vanish when the classifier's input is made."""
LARGEST_PX = 1536
"""Longer side at which inversions work: they need the logo's own pixels."""

WHOLE_PX = 1 << 30
"""No limit: the image as it is."""

_SMALLEST_SHARE = 0.02


@dataclass(frozen=True, eq=False)
class Evidence:
    """One marked image as an attacker has it.

    Args:
        marked: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, where the marks are, a few pixels too wide: anybody can see and paint over them.
        logo: The owner's logo, where the attacker knows it.
        second: The same image, marked differently; None if there is none.
    """

    marked: Bytes
    mask: Mask
    logo: Logo | None = None
    second: Bytes | None = None

    def windows(self, margin_px: int = 0) -> list[Window]:
        """Return the windows around the separate marks, the largest first, specks left out."""
        if self.logo is None:
            return windows_of(self.mask, margin_px)
        boxes = find_marks(self.mask, logo=self.logo)  # joins the parts of a logo of several
        if not boxes:
            return windows_of(self.mask, margin_px)
        height, width = self.mask.shape
        grown = [box.grown(margin_px, within=(width, height)) for box in boxes]
        return [(slice(box.y, box.bottom), slice(box.x, box.right)) for box in grown]

    def shrunk(self, longest_px: int) -> Evidence:
        """Return the same at a smaller size, or itself if it is small enough."""
        if max(self.mask.shape) <= longest_px:
            return self
        return replace(
            self,
            marked=shrink(self.marked, longest_px),
            mask=shrink_mask(self.mask, longest_px),
            second=None if self.second is None else shrink(self.second, longest_px),
        )


@dataclass(frozen=True)
class Facts:
    """What is told of an attack.

    Args:
        number: In the list of attacks of docs/THREAT_MODEL.md.
        knows: What it needs to know, in plain words.
        variants: Names of its rows, the same whatever the image.
        control: What it is compared with.
        longest_px: The image's longer side is shrunk to this before the attack.
        combined: Whether it counts for the best attacker: False if it needs what a release never gives.
        comparable: Whether its pictures can be compared with the clean one pixel by pixel.
    """

    number: int
    knows: str
    variants: tuple[str, ...]
    control: Control = "clean"
    longest_px: int = LARGEST_PX
    combined: bool = True
    comparable: bool = True


class Attack(Protocol):
    """Somebody who tries to get the classifier's answer back from one marked image.

    One attack may try several variants that share work; each is a row of the result.
    """

    @property
    def facts(self) -> Facts:
        """What is told of it."""
        ...

    def restore(self, evidence: Evidence) -> Mapping[str, Bytes]:
        """Return a picture for each variant, the size of ``evidence.marked`` where comparable."""
        ...


@dataclass(frozen=True, eq=False)
class View:
    """One image as one classifier gets it, for attacks that ask the classifier many times.

    Args:
        canvas: (h, w, c) float32 in 0..255.
        mask: (h, w) bool, where the marks are on the canvas.
        classify: From (N, h, w, c) canvases to (N, K) logits.
    """

    canvas: Floats
    mask: Mask
    classify: Callable[[Floats], NDArray[np.float32]]


class Vote(Protocol):
    """Somebody who asks the classifier about many versions of one image and counts the answers."""

    @property
    def facts(self) -> Facts:
        """What is told of it."""
        ...

    def vote(self, view: View) -> Mapping[str, int]:
        """Return a class for each variant."""
        ...


class Learner(Protocol):
    """Somebody who studies several marked images before attacking one."""

    @property
    def facts(self) -> Facts:
        """What is told of the attack that comes of it."""
        ...

    def learn(self, crowd: Sequence[Evidence], *, public: Sequence[Bytes], seed: int) -> Attack:
        """Return the attack that was learned.

        Args:
            crowd: Parts of marked images, each around one mark.
            public: Clean images of the same kind, shrunk; only the removal network needs them.
            seed: Of all randomness.
        """
        ...


def shrink(pixels: Bytes, longest_px: int) -> Bytes:
    """Shrink to a longer side, averaging; smaller images stay as they are."""
    height, width = pixels.shape[:2]
    scale = longest_px / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def shrink_mask(mask: Mask, longest_px: int) -> Mask:
    """Shrink a mask in the same way; a pixel counts if any part of it did."""
    return np.asarray(shrink(mask.astype(np.uint8) * 255, longest_px) > 0)


def windows_of(mask: Mask, margin_px: int = 0) -> list[Window]:
    """Return windows around the connected parts of a mask, the largest first, without specks."""
    height, width = mask.shape
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    parts = sorted((tuple(int(v) for v in stats[i]) for i in range(1, count)), key=lambda part: -part[4])
    return [
        (
            slice(max(y - margin_px, 0), min(y + h + margin_px, height)),
            slice(max(x - margin_px, 0), min(x + w + margin_px, width)),
        )
        for x, y, w, h, area in parts
        if area >= _SMALLEST_SHARE * parts[0][4]
    ]


def changed(clean: Bytes, marked: Bytes) -> Mask:
    """Return (H, W) bool, the pixels that differ, small holes closed."""
    mask: Bytes = (clean != marked).any(axis=2).astype(np.uint8)
    if not mask.any():
        return np.zeros(mask.shape, np.bool_)
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)) > 0)


def widened(mask: Mask, by_px: int) -> Mask:
    """Grow a mask by some pixels on every side."""
    side = 2 * by_px + 1
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0)


def around(window: Window, by_px: int) -> Window:
    """Grow a window; its far side may leave the image, as slices do."""
    rows, cols = window
    return (
        slice(max(rows.start - by_px, 0), rows.stop + by_px),
        slice(max(cols.start - by_px, 0), cols.stop + by_px),
    )
