"""What was given for a logo."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from medlocker.api.listener import Listener
from medlocker.errors import InputError
from medlocker.files import read_limited
from medlocker.logo import MAX_FILE_BYTES, Logo, builtin_logo, load_logo

GivenLogo: TypeAlias = Logo | NDArray[np.uint8] | str | os.PathLike[str] | None
"""A logo, RGB or RGBA pixels (H, W, 3 or 4), the path of a picture, or None for the built-in padlock."""


def as_logo(given: Any) -> Logo:
    """Return a logo.

    Raises:
        InputError: If it is none.

    >>> as_logo(None).rgba.shape
    (256, 256, 4)
    """
    if given is None:
        return builtin_logo()
    if isinstance(given, Logo):
        return given
    if isinstance(given, np.ndarray):
        if given.dtype != np.uint8 or given.ndim != 3 or given.shape[2] not in (3, 4):
            raise InputError(f"logo: expected (H, W, 3) or (H, W, 4) uint8, got {given.shape} {given.dtype}")
        stream = io.BytesIO()
        Pillow.fromarray(given).save(stream, "PNG")
        return load_logo(stream.getvalue(), name="logo")
    if not isinstance(given, str | os.PathLike):
        raise InputError(f"logo: expected pixels or a path, got {type(given).__name__}")
    path = Path(given)
    return load_logo(read_limited(path, max_bytes=MAX_FILE_BYTES, what="logo"), name=path.name)


def read_logo(given: GivenLogo, *, listener: Listener) -> Logo:
    """Return a logo, and tell what was assumed.

    Raises:
        InputError: If it is none.
    """
    logo = as_logo(given)
    for text in logo.notes:
        listener.warn(text)
    return logo
