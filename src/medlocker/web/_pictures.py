"""Pictures for pages, as a viewer or a model sees them: small, of any format, one frame at a time."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from medlocker.attacks import as_bytes
from medlocker.errors import InputError, MedlockerError
from medlocker.files import read_limited
from medlocker.formats import read_image
from medlocker.images import LIMITS, Image, viewed
from medlocker.pages import shrunk
from medlocker.serving.cache import Cache
from medlocker.web._shared import shared

_SIDES = (160, 240, 640, 1280)
MOST_CACHED_BYTES = 64 << 20

_CACHE = Cache[bytes](len, most_bytes=MOST_CACHED_BYTES)


def side_of(request: Request) -> int:
    """Return the longer side that is asked for, in pixels."""
    text = request.query_params.get("side", str(_SIDES[1]))
    if text not in map(str, _SIDES):
        raise InputError(f"side: expected one of {', '.join(map(str, _SIDES))}")
    return int(text)


def whole_number(request: Request, name: str, *, most: int) -> int:
    """Return a number of an address, 0 if it is not there.

    Raises:
        InputError: If it is none of 0 to ``most``.
    """
    text = request.query_params.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= most):
        raise InputError(f"{name}: expected a whole number of 0 to {most}")
    return int(text)


def frame_of(image: Image, number: int) -> NDArray[Any]:
    """Return the colours of one frame as (H, W, 3) uint8 or uint16.

    Raises:
        InputError: If there is no such frame.
    """
    frames = image.frames
    if number >= (1 if frames is None else len(frames)):
        raise InputError(f"frame {number}: the image has fewer")
    return viewed(image, None if frames is None else frames[number])


def windowed(colors: NDArray[Any], *, low: int, high: int) -> NDArray[np.uint8]:
    """Return 8 bits of a part of the range: what is darker is black, what is brighter white.

    Args:
        colors: (H, W, 3) uint8 or uint16.
        low: Shown black, per cent of the range.
        high: Shown white, per cent of the range, above ``low``.
    """
    if (low, high) == (0, 100):
        return as_bytes(colors)
    top = float(np.iinfo(colors.dtype).max)
    scaled = (colors / top * 100 - low) / max(high - low, 1)
    return np.clip(np.round(scaled * 255), 0, 255).astype(np.uint8)


def window_of(request: Request) -> tuple[int, int]:
    """Return the part of the range that is shown, per cent."""
    low = whole_number(request, "low", most=99)
    high = whole_number(request, "high", most=100) or 100
    if low >= high:
        raise InputError("expected a brighter limit above the darker one")
    return low, high


def encoded(colors: NDArray[np.uint8], *, side_px: int) -> bytes:
    """Return a JPEG of (H, W, 3) uint8, its longer side at most ``side_px``."""
    stream = io.BytesIO()
    shrunk(colors, side_px=side_px).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def answered(data: bytes) -> Response:
    """Return a picture for a page."""
    return Response(data, media_type="image/jpeg")


async def picture(request: Request) -> Response:
    """Show a file below the roots."""
    found, side = shared(request), side_of(request)
    number, (low, high) = whole_number(request, "frame", most=10**6), window_of(request)
    path = found.roots.file(request.query_params.get("at", ""))
    status = os.stat(path)

    def make() -> bytes:
        data = read_limited(path, max_bytes=LIMITS.max_file_bytes, what="image")
        colors = frame_of(read_image(data, name=path.name), number)
        return encoded(windowed(colors, low=low, high=high), side_px=side)

    key = (path, status.st_mtime_ns, status.st_size, number, side, low, high)
    try:
        return answered(await found.work(lambda: _CACHE.get(key, make)))
    except (MedlockerError, MemoryError):
        return Response("this file cannot be shown", 415, media_type="text/plain")


ROUTES = [Route("/picture", picture)]
