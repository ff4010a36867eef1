"""The logo used when the owner gives none: a round badge with a padlock."""

from __future__ import annotations

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

from medlocker.logo._logo import Logo

_SIDE_PX = 256
_OVERSAMPLING = 4
_NAVY = (16, 32, 66, 255)
_WHITE = (250, 252, 255, 255)
_CYAN = (64, 200, 224, 255)


def builtin_logo() -> Logo:
    """Draw the built-in logo, 256 x 256 RGBA.

    Strong light and dark parts make it readable on dark and bright images alike.
    """
    side = _SIDE_PX * _OVERSAMPLING
    picture = PillowImage.new("RGBA", (side, side), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)

    def scaled(*numbers: float) -> list[float]:
        return [number * side for number in numbers]

    draw.ellipse(scaled(0, 0, 1, 1), fill=_WHITE)
    draw.ellipse(scaled(0.04, 0.04, 0.96, 0.96), fill=_NAVY)
    draw.ellipse(scaled(0.1, 0.1, 0.9, 0.9), outline=_CYAN, width=round(0.03 * side))
    # the shackle: a ring whose lower half the body covers
    draw.ellipse(scaled(0.33, 0.2, 0.67, 0.58), outline=_WHITE, width=round(0.065 * side))
    draw.rounded_rectangle(scaled(0.26, 0.42, 0.74, 0.77), radius=0.05 * side, fill=_WHITE)
    draw.ellipse(scaled(0.45, 0.5, 0.55, 0.6), fill=_NAVY)
    draw.polygon(
        [
            (0.48 * side, 0.57 * side),
            (0.52 * side, 0.57 * side),
            (0.545 * side, 0.7 * side),
            (0.455 * side, 0.7 * side),
        ],
        fill=_NAVY,
    )
    small = picture.resize((_SIDE_PX, _SIDE_PX), PillowImage.Resampling.BOX)
    return Logo(np.array(small))
