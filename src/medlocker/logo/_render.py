"""Rendering a logo at a size and angle, in fixed-point integers.

Restoring renders the same logo again, perhaps years later on another machine with other library
versions. Image libraries do not promise equal pixels over versions, so the few lines of resampling
that restoring depends on are our own and use integers only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import InputError
from medlocker.logo._hardening import Hardening, opaque_strokes, texture, warp_fields
from medlocker.logo._logo import Logo
from medlocker.logo._overlay import spread_overlay, unpack_overlay

_FIXED = 16
_HALF = 1 << (_FIXED - 1)
_STRIP_PX = 1 << 14
MAX_RENDERED_SIDE_PX = 65535


@dataclass(frozen=True, eq=False)
class Raster:
    """A rendered logo.

    Args:
        color: (h, w, 3) uint8, straight (not premultiplied).
        coverage: (h, w) uint8; 0 where the logo does not touch the image at all.
        solid: (h, w) bool or None; pixels that are fully opaque whatever the opacity.
    """

    color: NDArray[np.uint8]
    coverage: NDArray[np.uint8]
    solid: NDArray[np.bool_] | None = None

    @property
    def support(self) -> NDArray[np.bool_]:
        """(h, w) bool, True where the image is touched."""
        return self.coverage > 0


@lru_cache(maxsize=16)
def render(
    logo: Logo,
    size_px: int,
    *,
    rotation: int = 0,
    hardening: Hardening | None = None,
    overlay: str = "",
) -> Raster:
    """Render a logo so that its longer side, before rotation, measures ``size_px`` pixels.

    Args:
        size_px: 1 to 65535.
        rotation: Counter-clockwise, in 1/65536 of a turn.
        hardening: Keyed warp, texture and strokes, or None for the plain logo.
        overlay: A texture as packed text, or empty.

    The latest results are kept: a data set usually has few image sizes. Do not write into them.

    Raises:
        InputError: If ``size_px`` is out of range.
    """
    return render_once(logo, size_px, rotation=rotation, hardening=hardening, overlay=overlay)


def render_once(
    logo: Logo,
    size_px: int,
    *,
    rotation: int = 0,
    hardening: Hardening | None = None,
    overlay: str = "",
) -> Raster:
    """Do the same as :func:`render` without keeping the result."""
    if not 1 <= size_px <= MAX_RENDERED_SIDE_PX:
        raise InputError(f"expected a logo size of 1 to {MAX_RENDERED_SIDE_PX} px, got {size_px}")
    height, width = logo.rgba.shape[:2]
    w, h = upright_size(logo, size_px)
    x, y = _source_grid(w, h, rotation, hardening)
    by_x, by_y = max(width // w, 1), max(height // h, 1)
    source = framed(logo, by_x, by_y)
    x, y = x * width // (w * by_x), y * height // (h * by_y)
    sampled = _sample_upright(source, x, y) if x.shape[0] == y.shape[1] == 1 else _sample(source, x, y)
    return _finish(sampled, hardening, overlay)


def render_bent(
    logo: Logo, size_px: int, *, rotation: int, right: NDArray[np.int64], down: NDArray[np.int64]
) -> Raster:
    """Render a plain logo of which every pixel is taken from somewhere else.

    Args:
        logo: The picture.
        size_px: 1 to 65535.
        rotation: Counter-clockwise, in 1/65536 of a turn.
        right: (h, w) how far to the right of its place each pixel is taken, in 1/65536 pixel; as large as
            what :func:`render` gives.
        down: (h, w) how far below its place.
    """
    height, width = logo.rgba.shape[:2]
    w, h = upright_size(logo, size_px)
    x, y = _source_grid(w, h, rotation, None)
    by_x, by_y = max(width // w, 1), max(height // h, 1)
    x, y = (x + right) * width // (w * by_x), (y + down) * height // (h * by_y)
    return Raster(*straight(_sample(framed(logo, by_x, by_y), x, y)))


def rendered_size(logo: Logo, size_px: int, *, rotation: int = 0) -> tuple[int, int]:
    """Return the width and height that :func:`render` gives, without rendering anything."""
    return turned_size(*upright_size(logo, size_px), *direction(rotation))


def upright_size(logo: Logo, size_px: int) -> tuple[int, int]:
    """Return width and height of a logo before it is turned, pixels."""
    height, width = logo.rgba.shape[:2]
    longer = max(height, width)
    return (
        max((width * size_px * 2 + longer) // (2 * longer), 1),
        max((height * size_px * 2 + longer) // (2 * longer), 1),
    )


def direction(rotation: int) -> tuple[int, int]:
    """Return cosine and sine of a rotation in 1/65536 of a turn, both in 1/65536."""
    turn = 2 * math.pi * (rotation % 65536) / 65536
    return round(math.cos(turn) * 65536), round(math.sin(turn) * 65536)


def turned_size(w: int, h: int, cos: int, sin: int) -> tuple[int, int]:
    """Return width and height of what was w x h and is turned, pixels."""
    return (
        (abs(cos) * w + abs(sin) * h + 65535) >> _FIXED,
        (abs(sin) * w + abs(cos) * h + 65535) >> _FIXED,
    )


def _source_grid(
    w: int, h: int, rotation: int, hardening: Hardening | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of output pixel centres in the unrotated w x h logo, in 1/65536 pixel."""
    cos, sin = direction(rotation)
    out_w, out_h = turned_size(w, h, cos, sin)
    # twice the offset from the centre, so that half pixels stay whole numbers
    across = np.arange(out_w, dtype=np.int64)[None, :] * 2 + 1 - out_w
    down = np.arange(out_h, dtype=np.int64)[:, None] * 2 + 1 - out_h
    if sin == 0 and cos > 0 and (hardening is None or hardening.warp_256 == 0):
        return (
            across * _HALF + w * _HALF,
            down * _HALF + h * _HALF,
        )  # one row, one column: see _sample_upright
    x, y = turned_grid(across, down, cos, sin, w, h)
    if hardening is not None and hardening.warp_256 > 0:
        dx, dy = warp_fields([(out_h, out_w)], [hardening])
        x += dx[0]
        y += dy[0]
    return x, y


def turned_grid(
    across: NDArray[np.int64], down: NDArray[np.int64], cos: Any, sin: Any, w: Any, h: Any
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return positions in the upright w x h logo, in 1/65536 pixel.

    Args:
        across: Twice the distance of pixel centres from the middle of the turned logo, pixels.
        down: The same of rows.
        cos: From :func:`direction`; an integer, or an array that broadcasts to the result, as those below.
        w: Width of the upright logo.
    """
    x = (across * cos - down * sin) >> 1
    y = (across * sin + down * cos) >> 1
    x += w * _HALF
    y += h * _HALF
    return x, y


@lru_cache(maxsize=8)
def _premultiplied(logo: Logo) -> NDArray[np.uint16]:
    rgba = logo.rgba.astype(np.uint16)  # at most 255 * 255
    rgba[..., :3] *= rgba[..., 3:]
    rgba[..., 3] *= 255
    return rgba


@lru_cache(maxsize=64)
def framed(logo: Logo, by_x: int, by_y: int) -> NDArray[np.uint32]:
    """Average whole blocks, so that the bilinear step after it shrinks less than twofold.

    The latest results are kept, for each of a veil's copies has another size. Do not write into them.

    Args:
        logo: (H, W).
        by_x: Width of a block.
        by_y: Height of a block.

    Returns:
        (ceil(H / by_y) + 2, ceil(W / by_x) + 2, 4), premultiplied, 0 to 255 * 255, with a transparent frame.
    """
    source = _premultiplied(logo)
    height, width = source.shape[:2]
    rows, cols = -(-height // by_y), -(-width // by_x)
    padded = np.zeros((rows * by_y, cols * by_x, 4), np.uint16)
    padded[:height, :width] = source
    # rows first: many short sums take ten times as long as few long ones
    blocks = padded.reshape(rows, by_y, cols * by_x * 4).sum(axis=1, dtype=np.int64)
    blocks = blocks.reshape(rows, cols, by_x, 4).sum(axis=2)
    result = np.zeros((rows + 2, cols + 2, 4), np.uint32)
    result[1:-1, 1:-1] = (blocks + by_x * by_y // 2) // (by_x * by_y)
    return result


def _sample_upright(
    source: NDArray[np.uint32], x: NDArray[np.int64], y: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The same as :func:`_sample` for x of (1, w) and y of (h, 1): first along rows, then along columns."""
    height, width = source.shape[0] - 2, source.shape[1] - 2
    left, fx = np.divmod(x[0] - _HALF, 1 << _FIXED)
    top, fy = np.divmod(y[:, 0] - _HALF, 1 << _FIXED)
    outside_x, outside_y = (left < -1) | (left >= width), (top < -1) | (top >= height)
    left, top = np.clip(left + 1, 0, width), np.clip(top + 1, 0, height)
    fx, fy = fx[None, :, None], fy[:, None, None]
    across = (source[:, left] * (65536 - fx) + source[:, left + 1] * fx + _HALF) >> _FIXED
    value = (across[top] * (65536 - fy) + across[top + 1] * fy + _HALF) >> _FIXED
    value[outside_y] = 0
    value[:, outside_x] = 0
    return np.asarray(value)


def _sample(source: NDArray[np.uint32], x: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Bilinear, fixed point, transparent outside; x and y are (h, w) in 1/65536 source pixels."""
    flat = source.reshape(-1, 4)
    out = np.empty((*x.shape, 4), np.uint32)
    rows = max(_STRIP_PX // x.shape[1], 1)
    for start in range(0, len(x), rows):  # what is in work fits the processor's cache
        strip = slice(start, start + rows)
        out[strip] = sample_at(flat, x[strip], y[strip], rows=source.shape[0], cols=source.shape[1])
    return out


def sample_at(
    flat: NDArray[np.uint32],
    x: NDArray[np.int64],
    y: NDArray[np.int64],
    *,
    rows: Any,
    cols: Any,
    first: Any = 0,
) -> NDArray[np.uint32]:
    """Sample pictures that lie one behind the other, bilinear, transparent outside.

    32 bits are enough: a sample is at most 255 * 255, and the weights of two sum to 65536.

    Args:
        flat: (n, 4), the pixels of pictures with a transparent frame.
        x: (...), in 1/65536 pixel of the picture without its frame.
        y: Same shape.
        rows: Of the picture with its frame; an integer, or an array that broadcasts to x, as the next two.
        first: Where the picture begins.

    Returns:
        (..., 4).
    """
    x, y = x - _HALF, y - _HALF
    left, top = (x >> _FIXED) + 1, (y >> _FIXED) + 1
    fx, fy = ((way & 65535).astype(np.uint32)[..., None] for way in (x, y))
    outside = (left < 0) | (left >= cols - 1) | (top < 0) | (top >= rows - 1)
    at = np.clip(top, 0, rows - 2) * cols + np.clip(left, 0, cols - 2)
    at += first
    upper = _between(flat.take(at, axis=0), flat.take(at + 1, axis=0), fx)
    at += cols
    lower = _between(flat.take(at, axis=0), flat.take(at + 1, axis=0), fx)
    value = _between(upper, lower, fy)
    value[outside] = 0
    return value


def _between(a: NDArray[np.uint32], b: NDArray[np.uint32], share: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Mix a and b, b's share being in 1/65536; both are overwritten."""
    a *= np.uint32(65536) - share
    b *= share
    a += b
    a += np.uint32(_HALF)
    a >>= np.uint32(_FIXED)
    return a


def _finish(premultiplied: NDArray[Any], hardening: Hardening | None, overlay: str) -> Raster:
    height, width = premultiplied.shape[:2]
    color, coverage = straight(premultiplied)
    solid: NDArray[np.bool_] | None = None
    if overlay:
        color = changed(color, coverage, spread_overlay(unpack_overlay(overlay), height, width))
    if hardening is not None and hardening.texture > 0:
        color = changed(color, coverage, texture(height, width, hardening))
    if hardening is not None and hardening.opaque_permille > 0:
        solid = opaque_strokes(height, width, hardening) & (coverage == 255)
    return Raster(color, coverage, solid)


def straight(premultiplied: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return (..., 3) colours and (...) coverage of (..., 4) premultiplied samples, 0 where nothing is."""
    alpha = premultiplied[..., 3]
    coverage = ((alpha + 127) // 255).astype(np.uint8)
    half, divisor = alpha // 2, np.maximum(alpha, 1)
    color = np.empty((*coverage.shape, 3), np.uint8)
    for channel in range(3):
        whole = premultiplied[..., channel] * 255
        whole += half
        whole //= divisor
        np.minimum(whole, 255, out=whole)
        whole *= coverage > 0
        color[..., channel] = whole
    return color, coverage


def changed(
    color: NDArray[np.uint8], coverage: NDArray[np.uint8], changes: NDArray[Any]
) -> NDArray[np.uint8]:
    """Add (..., 3) grey levels to colours where there is anything."""
    sums = color + changes
    np.clip(sums, 0, 255, out=sums)
    sums *= (coverage > 0)[..., None]
    return np.asarray(sums, np.uint8)


def fit_color(color: NDArray[np.uint8], *, channels: int, bits: int) -> NDArray[Any]:
    """Convert logo colours to an image's channels and depth.

    Args:
        color: (h, w, 3) uint8.
        channels: 1 (ITU-R BT.601 luminance, in integers) or 3.
        bits: 8 or 16.

    Returns:
        (h, w, channels) uint8 or uint16.
    """
    fitted = color
    if channels == 1:
        wide = color.astype(np.uint32)
        fitted = ((299 * wide[..., 0] + 587 * wide[..., 1] + 114 * wide[..., 2] + 500) // 1000)[..., None]
    return fitted.astype(np.uint8) if bits == 8 else fitted.astype(np.uint16) * np.uint16(257)
