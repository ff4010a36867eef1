"""Reading image files."""

from __future__ import annotations

import os
from pathlib import Path

from medlocker.arguments import checked_arguments
from medlocker.files import read_limited
from medlocker.formats import read_image as decode
from medlocker.images import LIMITS, Image


@checked_arguments
def read_image(path: str | os.PathLike[str]) -> Image:
    """Read an image file of any supported format.

    Returns:
        Its ``pixels`` are (H, W, C) uint8 or uint16 exactly as stored; its ``facts`` tell of the format.

    Raises:
        UnsupportedImageError: If it is no image, damaged, or beyond the limits.
        InputError: If it cannot be read.
    """
    path = Path(path)
    return decode(read_limited(path, max_bytes=LIMITS.max_file_bytes, what="image"), name=path.name)
