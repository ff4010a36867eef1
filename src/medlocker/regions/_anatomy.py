"""Optic disc and macula of fundus photographs, kept clear on request, beside whatever lesions there are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from medlocker.geometry import Box
from medlocker.regions._candidates import look
from medlocker.regions._eyeview import view_eye
from medlocker.regions._finder import Finder, Findings
from medlocker.regions._landmarks import DISC_RATIO, landmarks_of
from medlocker.regions._regions import Regions
from medlocker.regions.scale import scale_for, to_scale

ANATOMY = "anatomy (found by classical means, not a clinician's)"
"""How a certificate names it."""
KEPT_CLEAR = "regions: optic disc and macula kept clear where classical means, no clinician, found them"
DISC_ALONE = (
    "regions: optic disc kept clear where classical means, no clinician, found it; no macula was found"
)
NEITHER = "regions: neither optic disc nor macula was found in a fundus photograph"
NO_FUNDUS = "regions: not a fundus photograph, so no optic disc or macula is kept clear"

_SIDE_PX = 320
_DISC_MARGIN = 1.06
"""An outline that is a little too narrow must not let a mark touch the disc."""
_VERSION = 1
"""Of the rules, for the fingerprint of a run: to be raised with every change of what is found."""


class WithAnatomy:
    """A finder that asks for optic disc and macula, and another one for lesions.

    The macula's box is about 1.25 disc diameters wide, with the fovea in its middle. Both boxes are firm: who
    asks for them would rather have an image skipped than marked there.

    Args:
        lesions: Finds lesions, or None.
    """

    def __init__(self, lesions: Finder | None = None) -> None:
        self.lesions = lesions

    @property
    def source(self) -> str:
        """That of the other finder, and anatomy."""
        return ANATOMY if self.lesions is None else f"{self.lesions.source} + {ANATOMY}"

    @property
    def fingerprint(self) -> str:
        """That of the other finder, and the version of the rules."""
        beside = "" if self.lesions is None else f" beside {self.lesions.fingerprint}"
        return f"anatomy:{_VERSION}{beside}"

    @property
    def droppable(self) -> bool:
        """Whether what the other finder finds may be given up."""
        return self.lesions is not None and self.lesions.droppable

    def find(self, colors: NDArray[Any]) -> Findings:
        """Return what the other finder finds, and disc and macula, which are never given up."""
        boxes, note = find_anatomy(colors)
        found = self.lesions.find(colors) if self.lesions is not None else Findings(())
        return replace(found, firm=(*found.firm, *boxes), notes=(*found.notes, note))


def lesion_finder(finder: Finder | None) -> Finder | None:
    """Return the part of a finder that looks for lesions, None if there is none."""
    return finder.lesions if isinstance(finder, WithAnatomy) else finder


def finder_for(finder: Finder | None, regions: Regions | None, name: str) -> Finder | None:
    """Return what looks into one image: a stand-in finds lesions only where no regions are listed.

    Args:
        finder: Of the run, or None.
        regions: That are given, or None.
        name: The image's relative path.
    """
    if regions is None or not regions.stand_in or not regions.lists(name):
        return finder
    return without_lesions(finder)


def without_lesions(finder: Finder | None) -> Finder | None:
    """Return the part of a finder that does not look for lesions, None if there is none."""
    return WithAnatomy() if isinstance(finder, WithAnatomy) else None


def find_anatomy(colors: NDArray[Any]) -> tuple[tuple[Box, ...], str]:
    """Find optic disc and macula of a fundus photograph.

    Args:
        colors: (H, W, 3) uint8 or uint16, as :func:`medlocker.images.viewed` gives them.

    Returns:
        The boxes of disc and macula, in this order, as far as they were found; and what the user should
        know, the same words for every image.
    """
    height, width = colors.shape[:2]
    # thinned out it still is four times as fine as is looked at; averaging all of it would take half the time
    step = max(min(height, width) // (4 * _SIDE_PX), 1)
    thinned = colors[::step, ::step]
    small = to_scale(thinned, scale_for(*thinned.shape[:2], side_px=_SIDE_PX))
    view = view_eye(small) if look(small) == "fundus" else None
    if view is None:
        return (), NO_FUNDUS
    found = landmarks_of(view)
    boxes: list[Box] = []
    for spot, margin, ratio in ((found.disc, _DISC_MARGIN, DISC_RATIO), (found.fovea, 1.0, 1.0)):
        if spot is not None:
            across = spot.radius * margin
            box = view.box(spot.x, spot.y, across, across * ratio, image=(height, width))
            boxes += [box] if box is not None else []
    return tuple(boxes), (NEITHER, DISC_ALONE, KEPT_CLEAR)[len(boxes)]
