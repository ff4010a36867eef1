"""Small pictures for pages."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from medlocker.attacks import as_bytes
from medlocker.files import read_limited
from medlocker.formats import read_image
from medlocker.images import LIMITS, viewed


def thumbnail(path: Path, *, side_px: int = 512) -> PillowImage.Image:
    """Return a small RGB picture of an image file, its longer side at most ``side_px``.

    Raises:
        InputError: If it cannot be read.
    """
    data = read_limited(path, max_bytes=LIMITS.max_file_bytes, what="image")
    return shrunk(as_bytes(viewed(read_image(data, name=path.name))), side_px=side_px)


def shrunk(pixels: NDArray[np.uint8], *, side_px: int = 512) -> PillowImage.Image:
    """Return a small picture of (H, W, 3) uint8, its longer side at most ``side_px``."""
    picture = PillowImage.fromarray(pixels)
    picture.thumbnail((side_px, side_px), PillowImage.Resampling.LANCZOS)
    return picture


def embedded(picture: PillowImage.Image | Any) -> str:
    """Return a picture, or (H, W, 3) uint8, as an address within the page itself: a JPEG, for looking."""
    stream = io.BytesIO()
    if not isinstance(picture, PillowImage.Image):
        picture = PillowImage.fromarray(picture)
    picture.save(stream, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
