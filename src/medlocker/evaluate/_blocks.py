"""Which blocks of a JPEG a mark changed; around them more pixels differ, for decoders spread colour."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.errors import InputError
from medlocker.formats.jpeg import extent, frame_of, read_coefficients
from medlocker.images import Image


@dataclass(frozen=True, eq=False)
class ChangedBlocks:
    """Where the stored coefficients of two JPEG files differ.

    Args:
        mask: (H, W) bool, the pixels of all blocks that differ in any component.
        unit_px: Longer side of the grid on which the blocks of all components line up: 8, 16 or 32.
    """

    mask: NDArray[np.bool_]
    unit_px: int

    def explain(self, changed: NDArray[np.bool_]) -> bool:
        """Tell whether pixels differ only in changed blocks, and as near to them as decoders spread colour.

        They interpolate subsampled colours between neighbouring samples, each as wide as ``unit_px / 8``.
        """
        near = 2 * (self.unit_px // 8) + 1
        around = cv2.dilate(self.mask.view(np.uint8), np.ones((near, near), np.uint8))
        return not (changed & (around == 0)).any()


def changed_blocks(clean: Image, marked: Image) -> ChangedBlocks | None:
    """Compare two JPEG files block by block.

    Returns:
        None if they cannot be compared so: one is no JPEG, or their sizes, sampling or quantisation differ,
        so that all was coded anew.
    """
    if clean.format != "jpeg" or marked.format != "jpeg":
        return None
    frames = [frame_of(image.source) for image in (clean, marked)]
    shapes = [(f.width, f.height, [(c.across, c.down) for c in f.components]) for f in frames]
    if shapes[0] != shapes[1]:
        return None
    try:
        (before, old), (after, new) = (read_coefficients(image.source) for image in (clean, marked))
        tables = zip(before.tables(), after.tables(), strict=True)
    except InputError:  # legal, but of a kind that is never marked as JPEG
        return None
    if not all(np.array_equal(one, other) for one, other in tables):
        return None
    frame = frames[0]
    mask = np.zeros((frame.height, frame.width), np.bool_)
    for component, one, other in zip(frame.components, old, new, strict=True):
        differs = (one != other).any(axis=2)
        width, height = extent(frame, component)
        mask |= differs.repeat(height, 0).repeat(width, 1)[: frame.height, : frame.width]
    return ChangedBlocks(mask, max(frame.unit))
