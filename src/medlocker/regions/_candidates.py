"""Candidates for lesions where nobody gave regions: by the kind of image, never a clinician's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import InputError
from medlocker.geometry import Box
from medlocker.regions._finder import Finder, Findings
from medlocker.regions._fundus import FUNDUS_MARGIN_PX, FUNDUS_SIDE_PX, fundus_parts
from medlocker.regions._skin import SKIN_SIDE_PX, is_lit_skin, skin_parts
from medlocker.regions.parts import Part
from medlocker.regions.scale import Scale, scale_for, to_scale

CANDIDATES = "candidates: not a clinician's"
"""How a certificate names them."""
ImageKind = Literal["fundus", "skin", "other"]

_LOOK_PX = 128
_CORNER_PX = 10
_VERSION = 2
"""Of the rules, for the fingerprint of a run: to be raised with every change of what is found."""


class CandidateFinder:
    """Finds candidates as the image's kind demands.

    Args:
        kind: ``fundus``, ``skin``, or ``auto`` to look at each image.
        fallback: With ``auto``, what to ask for images of neither kind, for instance a model's attention.

    Raises:
        InputError: If the kind is unknown.
    """

    source = CANDIDATES
    droppable = True

    def __init__(self, kind: str, *, fallback: Finder | None = None) -> None:
        if kind not in ("auto", "fundus", "skin"):
            raise InputError(f"expected candidates of auto, fundus or skin, got {kind!r:.40}")
        self._kind = kind
        self._fallback = fallback

    @property
    def fingerprint(self) -> str:
        """Kind, version of the rules, and the fallback."""
        behind = f" then {self._fallback.fingerprint}" if self._fallback is not None else ""
        return f"candidates:{self._kind}:{_VERSION}{behind}"

    def find(self, colors: NDArray[Any]) -> Findings:
        """Return candidates, the strongest first; a note says of which kind."""
        kind = look(colors) if self._kind == "auto" else self._kind
        if kind == "fundus":
            boxes = _boxes(colors, fundus_parts, side_px=FUNDUS_SIDE_PX, margin_px=FUNDUS_MARGIN_PX)
            return Findings(boxes, ("regions: candidates of a fundus photograph",))
        if kind == "skin":
            boxes = _boxes(colors, skin_parts, side_px=SKIN_SIDE_PX, margin_px=0)
            if self._kind == "skin" and look(colors) != "skin":  # who says so may know better
                return Findings(
                    boxes, ("regions: candidate of a picture that does not look like dermoscopy",)
                )
            return Findings(boxes, ("regions: candidate of a dermoscopy image",))
        if self._fallback is not None:
            return self._fallback.find(colors)
        return Findings((), ("regions: none, neither a fundus photograph nor dermoscopy",))


def look(colors: NDArray[Any]) -> ImageKind:
    """Tell what kind of image it looks like.

    A fundus photograph: a lit, red disc whose corners are black. Dermoscopy: coloured like skin, and lit and
    grained like it, which ultrasound pictures and screenshots are not.

    Args:
        colors: (H, W, 3) uint8 or uint16.
    """
    small = to_scale(colors, scale_for(*colors.shape[:2], side_px=_LOOK_PX))
    brightest = small.max(axis=2)
    dark = brightest < 0.15 * np.percentile(brightest, 95)
    if dark.all() or not brightest.any():
        return "other"
    k = _CORNER_PX
    corners = (dark[:k, :k], dark[:k, -k:], dark[-k:, :k], dark[-k:, -k:])
    black_corners = sum(corner.mean() > 0.9 for corner in corners)
    red, green, blue = (float(value) for value in small[~dark].mean(axis=0))
    if black_corners >= 3 and dark.mean() >= 0.08 and red > 1.3 * green and blue < 0.55 * red:
        return "fundus"
    # red over green over blue, more or less; grey pictures and violet stains are something else
    if red > 1.02 * blue and red > green and blue < 1.1 * green and red - min(green, blue) > 4:
        return "skin" if is_lit_skin(small) else "other"
    return "other"


def strongest(boxes: Sequence[Box], *, height: int, width: int, share: float) -> tuple[Box, ...]:
    """Return as many boxes from the first on as together cover at most a share of the image.

    The first one is shrunk about its middle if it is too large alone.

    Args:
        share: 0 to 1.
    """
    inside = np.zeros((height, width), np.bool_)
    limit = share * inside.size
    area = 0
    for count, box in enumerate(boxes):
        window = inside[box.y : box.bottom, box.x : box.right]
        area += window.size - int(np.count_nonzero(window))
        if area > limit:
            return tuple(boxes[:count]) or (_shrunk(box, limit / box.width / box.height),)
        window[...] = True
    return tuple(boxes)


def _shrunk(box: Box, share: float) -> Box:
    width, height = (max(int(side * share**0.5), 1) for side in (box.width, box.height))
    return Box(box.x + (box.width - width) // 2, box.y + (box.height - height) // 2, width, height)


def _boxes(
    colors: NDArray[Any],
    find: Callable[[NDArray[np.uint8]], list[Part]],
    *,
    side_px: int,
    margin_px: int,
) -> tuple[Box, ...]:
    scale: Scale = scale_for(*colors.shape[:2], side_px=side_px, enlarge=False)
    return tuple(scale.to_image(part.box, margin_px=margin_px) for part in find(to_scale(colors, scale)))
