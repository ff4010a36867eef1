"""Boxes that were drawn on a picture as viewers turn it, brought to the pixels as they are stored."""

from __future__ import annotations

from medlocker.errors import InputError
from medlocker.geometry import Box

UPRIGHT = 1


def shown_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Return (width, height) of a picture as viewers show it.

    Args:
        width: As stored, pixels.
        height: As stored, pixels.
        orientation: Of EXIF, 1 to 8.
    """
    return (height, width) if orientation >= 5 else (width, height)


def stored_box(box: Box, *, width: int, height: int, orientation: int) -> Box:
    """Return where a box on the shown picture lies in the stored one.

    Args:
        box: In pixels as shown.
        width: Of the stored picture, pixels.
        height: Of the stored picture, pixels.
        orientation: Of EXIF (Exif 2.32, 4.6.4 A), 1 to 8.

    Raises:
        InputError: If there is no such orientation.
    """
    across, down = shown_size(width, height, orientation)
    mirrored_x, mirrored_y = across - box.right, down - box.bottom
    places = {
        1: (box.x, box.y),
        2: (mirrored_x, box.y),
        3: (mirrored_x, mirrored_y),
        4: (box.x, mirrored_y),
        5: (box.y, box.x),
        6: (box.y, mirrored_x),
        7: (mirrored_y, mirrored_x),
        8: (mirrored_y, box.x),
    }
    if orientation not in places:
        raise InputError(f"expected an orientation of 1 to 8, got {orientation}")
    size = (box.height, box.width) if orientation >= 5 else (box.width, box.height)
    return Box(*places[orientation], *size)
