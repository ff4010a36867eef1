"""How much marking an image changed what is seen of it."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log10

import numpy as np

from medlocker.images import Image, viewed

_MOST_PIXELS = 1 << 20


@dataclass(frozen=True)
class VisibleChange:
    """The change of what a viewer shows.

    Args:
        psnr_db: Over the whole picture; infinite if nothing changed.
        area: Share of the pixels that changed, 0 to 1.
    """

    psnr_db: float
    area: float


def visible_change(original: Image, marked: Image) -> VisibleChange:
    """Compare a marked image with its original, as shown; of large pictures every n-th row and column.

    Args:
        original: Before marking.
        marked: As read from its file, of the same size.
    """
    step = max(int((original.height * original.width / _MOST_PIXELS) ** 0.5 + 0.999), 1)
    before, after = (viewed(image, image.pixels[::step, ::step]) for image in (original, marked))
    difference = np.maximum(before, after) - np.minimum(before, after)
    # in grey levels of 255, whatever the depth: a viewer shows 16-bit samples in 16-bit levels
    scale = np.float32(np.iinfo(before.dtype).max / 255)
    error = float(np.square(difference / scale, dtype=np.float32).mean())
    changed = difference[..., 0] | difference[..., 1] | difference[..., 2]
    area = np.count_nonzero(changed) / changed.size
    return VisibleChange(10 * log10(255**2 / error) if error else inf, area)
