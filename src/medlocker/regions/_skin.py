"""The lesion of a dermoscopy image, by classical image processing; not a clinician's.

What is coloured like skin need not be dermoscopy: the limits below lie between real dermoscopy images, and
ultrasound pictures, screenshots and drawings.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.geometry import Box
from medlocker.regions.parts import Part

SKIN_SIDE_PX = 256
_HAIR_PX = 17
_HAIR_LEVELS = 12
_SMALLEST, _LARGEST = 0.003, 0.8
"""Shares of the image that a lesion may have."""
_CENTRE_SIGMA = 0.15
"""Shares of the sides; rulers, ink and stickers lie farther out."""
_MARGIN = 0.06
"""Added on every side, as a share of the box: borders of lesions fade out."""
_RIM_LEVELS = 45
_DARK = 0.15
"""What is darker than this share of the brightest pixels is no tissue."""
_MOST_FLAT, _MOST_FLAT_DIM, _DIM = 0.6, 0.75, 128
"""Share of pixels that equal their neighbour: at most 0.4 in dermoscopy, from 0.8 on in screenshots; what is
so dim has few levels, and up to 0.7."""
_EVEN, _MOST_DARK, _LEAST_WARM = 0.65, 0.3, 0.4
"""Dermoscopy is lit evenly: what is not is neither largely black nor largely without the colour of skin."""
_MOSTLY_DARK, _EVEN_IN_DARK = 0.5, 0.8
"""Inside of a wide black rim skin is lit as evenly as elsewhere; a sector of ultrasound is not."""
_WARM_LEVELS = 3


def skin_parts(pixels: NDArray[np.uint8]) -> list[Part]:
    """Return the most central large dark or coloured part of a dermoscopy image, with its margin.

    Args:
        pixels: (h, w, 3) uint8 RGB, shorter side about 256.

    Returns:
        One part, or none where nothing stands out.
    """
    clean = without_hair(pixels)
    tissue = _tissue(clean)
    lab = cv2.cvtColor(cv2.GaussianBlur(clean, (0, 0), 2), cv2.COLOR_RGB2LAB).astype(np.float32)
    if np.count_nonzero(tissue) < 64:
        return []
    # distance from the colour of the skin, which most of the outer part shows
    outer = tissue & _outer(*tissue.shape)
    skin = np.median(lab[outer if outer.any() else tissue], axis=0)
    lighter = np.maximum(lab[..., 0] - skin[0], 0)
    away = np.sqrt(((lab - skin) ** 2).sum(axis=2) - lighter**2)  # reflections are no lesion
    levels = np.clip(away * 2, 0, 255).astype(np.uint8)
    levels[~tissue] = 0
    limit, _ = cv2.threshold(levels[tissue].reshape(-1, 1), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    marked = ((levels > limit) & tissue).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    marked = cv2.morphologyEx(cv2.morphologyEx(marked, cv2.MORPH_OPEN, kernel), cv2.MORPH_CLOSE, kernel)
    return _most_central(np.asarray(marked, dtype=np.uint8))


def is_lit_skin(small: NDArray[np.uint8]) -> bool:
    """Tell whether a picture whose mean colour is that of skin is lit and grained like a dermoscopy image.

    Screenshots and drawings have large areas of one colour. Ultrasound is speckle on black, much darker in
    the middle of its range, and mostly grey or tinted; skin under a dermatoscope is as bright nearly
    everywhere.

    Args:
        small: (h, w, 3) uint8 RGB, shorter side about 128.
    """
    brightest = small.max(axis=2)
    white = max(float(np.percentile(brightest, 95)), 1.0)
    lit = brightest >= _DARK * white
    if not lit.any():
        return False
    same = (small[:, 1:] == small[:, :-1]).all(axis=2)[lit[:, 1:]]
    if same.size and same.mean() > (_MOST_FLAT if white >= _DIM else _MOST_FLAT_DIM):
        return False
    dark = 1 - float(lit.mean())
    if np.median(brightest[lit]) >= white * (_EVEN_IN_DARK if dark > _MOSTLY_DARK else _EVEN):
        return True
    red, green, blue = (small[..., k][lit].astype(np.int16) for k in range(3))
    warm = (red - green >= _WARM_LEVELS) & (red - blue >= _WARM_LEVELS)
    return bool(dark <= _MOST_DARK and warm.mean() >= _LEAST_WARM)


def without_hair(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fill thin dark lines from their surroundings (DullRazor's idea, Lee et al. 1997)."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_HAIR_PX, _HAIR_PX))
    holes = cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, kernel)
    thin = cv2.morphologyEx(holes, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))
    hair = ((holes > _HAIR_LEVELS) & (thin <= _HAIR_LEVELS)).astype(np.uint8)
    wider = cv2.dilate(hair, np.ones((3, 3), np.uint8))
    return np.asarray(cv2.inpaint(pixels, wider, 3, cv2.INPAINT_TELEA), dtype=np.uint8)


def _tissue(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Leave out the black of a lens's rim: dark, and connected with a corner."""
    dark = (pixels.max(axis=2) < _RIM_LEVELS).view(np.uint8)
    _, labels = cv2.connectedComponents(dark)
    corners = {int(labels[y, x]) for y in (0, -1) for x in (0, -1)} - {0}
    if not corners:
        return np.ones(dark.shape, np.bool_)
    rim = np.isin(labels, sorted(corners)).astype(np.uint8)
    return np.asarray(cv2.dilate(rim, np.ones((9, 9), np.uint8)) == 0)


def _outer(height: int, width: int) -> NDArray[np.bool_]:
    """The outer fifth on every side."""
    outer = np.ones((height, width), np.bool_)
    outer[height // 5 : height - height // 5, width // 5 : width - width // 5] = False
    return outer


def _most_central(marked: NDArray[np.uint8]) -> list[Part]:
    height, width = marked.shape
    ys, xs = np.mgrid[0:height, 0:width]
    squared = ((ys / height - 0.5) ** 2 + (xs / width - 0.5) ** 2) / _CENTRE_SIGMA**2
    nearness = np.exp(-squared / 2)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(marked)
    weights = np.bincount(labels.ravel(), weights=nearness.ravel(), minlength=count)
    weights[0] = 0
    best = int(np.argmax(weights))
    x, y, box_width, box_height, area = (int(value) for value in stats[best])
    if best == 0 or not _SMALLEST <= area / marked.size <= _LARGEST:
        return []
    box = Box(x, y, box_width, box_height)
    margin = round(_MARGIN * max(box_width, box_height)) + 1
    return [Part(box.grown(margin, within=(width, height)), area, 1.0)]
