"""What a veil on one image is: drawn by key, beside decoys, and not fainter or stronger than allowed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial

from medlocker.classifiers import Classifier
from medlocker.errors import InputError, NoRoomError
from medlocker.formats import influence_box
from medlocker.geometry import Box
from medlocker.images import Image
from medlocker.logo import Logo
from medlocker.protect._decoys import draw_decoys
from medlocker.protect._donors import DecoySource
from medlocker.protect._settings import Settings
from medlocker.regions.scale import covered
from medlocker.veil import Veil

LEAST_FREE = 0.1
"""Share of an image that regions must leave for a veil."""
_INVISIBLE_DB = 48.0
_SPARE_DB = 0.05


def check_free(*, boxes: Sequence[Box], width: int, height: int) -> None:
    """Refuse an image of which regions leave too little for a veil.

    Raises:
        NoRoomError: If they do.
    """
    if not boxes:
        return
    free = 1 - float(covered(boxes, width=width, height=height).mean())
    if free < LEAST_FREE:
        count = "one region leaves" if len(boxes) == 1 else f"{len(boxes)} regions leave"
        raise NoRoomError(
            f"{count} {free:.0%} of the image free, too little for a veil, which needs {LEAST_FREE:.0%}"
        )


def draw(
    settings: Settings,
    logo: Logo,
    image: Image,
    boxes: Sequence[Box],
    *,
    key: bytes,
    with_decoys: bool,
    telling_nothing: Collection[Box] = (),
    donors: DecoySource | None = None,
) -> Veil:
    """Draw the veil of one image.

    Args:
        boxes: What is kept out, grown by what marking next to it would change.
        with_decoys: Keep out of boxes by chance too.
        telling_nothing: Those of the boxes that sick and healthy images have alike: they need no decoys.
        donors: Regions of other images, which decoys are made like.

    Raises:
        NoRoomError: If the image is too small.
    """
    size = {"width": image.width, "height": image.height}
    decoys: tuple[Box, ...] = ()
    if with_decoys:
        # a decoy that is not cut like a lesion would be known for one
        decoys = draw_decoys(
            [box for box in boxes if box not in telling_nothing],
            **size,
            key=key,
            donors=donors,
            grow=partial(influence_box, image),
        )
    kept = tuple(sorted({*boxes, *decoys}))
    return settings.veil_style.draw(logo, **size, key=key, keep_out=kept)


def reduce_opacity(veil: Veil, *, psnr_db: float, settings: Settings) -> Veil | None:
    """Return a veil that leaves the wanted legibility, or None if it does so already.

    Args:
        settings: Least PSNR, lowest opacity.
    """
    if psnr_db >= settings.legibility:
        return None
    share = 10 ** ((psnr_db - settings.legibility - _SPARE_DB) / 20)
    lowest = settings.opacity_range[0]
    opacity = max(int(veil.opacity * share), lowest, 1)
    if opacity >= veil.opacity:
        return None
    return replace(veil, opacity=opacity, ground=int(veil.ground * opacity / veil.opacity))


def check_seen(psnr_db: float) -> None:
    """Refuse a veil that nobody sees.

    Raises:
        InputError: If the picture is nearly as it was.
    """
    if psnr_db > _INVISIBLE_DB:
        raise InputError(
            "the veil cannot be seen on this image: its opacity is too low, or the logo has the image's own "
            "colours, or the image's palette or window has no other ones"
        )


def check_legible(psnr_db: float, *, settings: Settings) -> None:
    """Refuse a veil through which too little is seen.

    Args:
        psnr_db: What it leaves, as faint as it may be.
        settings: Least PSNR, lowest opacity.

    Raises:
        InputError: If that is less than is allowed.
    """
    if psnr_db < settings.legibility:
        raise InputError(
            f"expected a veil that leaves {settings.legibility:g} dB, got {psnr_db:.1f} dB at the lowest "
            f"opacity, {settings.opacities[0]:g}",
            hint="give a lower one with --opacity LOW HIGH, or less --min-psnr",
        )


def wanted_classes(settings: Settings, classifiers: Sequence[Classifier], *, key: bytes) -> tuple[int, ...]:
    """Return per model the class that an image shall be given, for the aims ``same`` and ``key``.

    Args:
        settings: The aim, and the class for ``same`` if it was prepared; else it is the last one.
        key: Of the image, at least 8 bytes.
    """
    counts = [len(model.classes) for model in classifiers]
    if settings.aim == "key":
        return tuple(int.from_bytes(key[:8], "big") % count for count in counts)
    wanted = settings.aim_class
    return tuple(count - 1 if wanted is None else min(wanted, count - 1) for count in counts)
