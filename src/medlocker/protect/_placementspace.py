"""How large, how many, and turned how far the marks of one image are: what fits beside its regions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medlocker.errors import NoRoomError
from medlocker.geometry import Box
from medlocker.logo import Hardening, Logo, render
from medlocker.mark import ONE_TURN
from medlocker.placements import FreePlacements
from medlocker.protect._settings import SMALLEST_LOGO_PX, Settings
from medlocker.search import Preview, Problem

_SMALLEST_SHARE = 0.8
"""Marks shrink at most to this share of their size so that one more stays within the allowed area."""


@dataclass(frozen=True, eq=False)
class PlacementSpace:
    """What fits on one image.

    Args:
        placements: Free placements of the turned logo.
        size_px: Longer side of the logo before it is turned.
        rotation: In 1/65536 of a turn.
        most_marks: How many marks stay within the allowed area, at least 1.
        shrunk: Whether regions forced a smaller logo than wanted.
        hardening: Keyed changes of the logo, or None.
    """

    placements: FreePlacements
    size_px: int
    rotation: int
    most_marks: int
    shrunk: bool
    hardening: Hardening | None


def draw_rotation(settings: Settings, seed: bytes) -> int:
    """Return an image's rotation, whole degrees from its seed, in 1/65536 of a turn.

    Multi-image matting needs marks that lie alike (Dekel et al., CVPR 2017): an attacker has to turn marks
    back first, and restores them less well, at no cost in fooling.
    """
    most = settings.most_rotation
    degrees = int.from_bytes(seed[-4:], "big") % (2 * most + 1) - most
    return round(degrees * ONE_TURN / 360) % ONE_TURN


def find_placement_space(
    settings: Settings,
    logo: Logo,
    *,
    width: int,
    height: int,
    boxes: Sequence[Box],
    step: int,
    seed: bytes,
    key: bytes,
) -> PlacementSpace:
    """Find the largest logo that has a free placement on a grid of ``step`` pixels.

    Args:
        settings: Sizes, number of marks, area, rotation, hardening.
        width: Of the image, pixels.
        height: Of the image, pixels.
        step: Placements at multiples of this many pixels are used.
        seed: The image's randomness for the search.
        key: The image's secret for hardening.

    Raises:
        NoRoomError: If there is none down to the smallest size.
    """
    rotation = draw_rotation(settings, seed)
    sizes = settings.sizes_px(height, width)
    for size_px, most_marks, shrunk in _tries(
        settings, logo, sizes, area_px=width * height, rotation=rotation
    ):
        hardening = settings.harden.for_size(size_px, key)
        support = render(logo, size_px, rotation=rotation, hardening=hardening).support
        if support.shape[0] > height or support.shape[1] > width:
            continue
        placements = FreePlacements(image=(width, height), support=support, boxes=boxes)
        if placements.grid(step).any():
            return PlacementSpace(placements, size_px, rotation, most_marks, shrunk, hardening)
    where = f" beside {len(boxes)} regions" if boxes else ""
    raise NoRoomError(
        f"{width} x {height} pixels leave no room for the logo{where}, "
        f"down to {settings.smallest_size:g} of the shorter side"
    )


def pose_problem(
    settings: Settings, preview: Preview, *, room: PlacementSpace, labels: tuple[int, ...], learned: str = ""
) -> Problem:
    """Return what may be put on one image, for a search.

    Args:
        preview: How the models see the image.
        room: From :func:`find_placement_space`.
        labels: Per model, the class that must not be answered.
        learned: A texture that the search starts from, packed as text, or empty.
    """
    low, high = settings.opacity_range
    return Problem(
        preview,
        labels,
        room.placements,
        room.size_px,
        low,
        high,
        hardening=room.hardening,
        levels=settings.texture_levels,
        most_marks=room.most_marks,
        rotation=room.rotation,
        learned=learned,
        looks=preview.looks,
    )


def _tries(
    settings: Settings, logo: Logo, sizes: Sequence[int], *, area_px: int, rotation: int
) -> Iterator[tuple[int, int, bool]]:
    """Yield (size, how many marks stay within the allowed area, whether that is shrunk for want of room)."""
    allowed = settings.area_limit * area_px

    def covered(size_px: int) -> int:
        return max(int(render(logo, size_px, rotation=rotation).support.sum()), 1)

    for number, size_px in enumerate(sizes):
        if settings.most_marks == 1:
            yield size_px, 1, number > 0
            continue
        affordable = max(int(allowed // covered(size_px)), 1)
        if number == 0 and affordable < settings.most_marks:
            # one mark more that is a little smaller covers more of the image than fewer at full size
            smallest = max(math.ceil(_SMALLEST_SHARE * size_px), SMALLEST_LOGO_PX)
            fitted = min(int(size_px * math.sqrt(allowed / covered(size_px) / (affordable + 1))), size_px)
            while fitted >= smallest and covered(fitted) * (affordable + 1) > allowed:
                fitted -= 1
            if fitted >= smallest:
                yield fitted, affordable + 1, False
        yield size_px, min(affordable, settings.most_marks), number > 0
