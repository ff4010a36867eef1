"""Resizing to a model's input, as pixels (exact, judged) and as a linear operator (fast, searched).

A resize is separable and linear: ``canvas = rows @ image @ cols.T`` (plus constant padding). Knowing the
two matrices, the effect of a mark on the canvas costs only the mark's own pixels, however large the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

ResizeRule = Literal["stretch", "pad", "crop"]
"""``stretch``: to the input's size; ``pad``: fit inside, black bars; ``crop``: fill, cut the middle."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, eq=False)
class LinearResize:
    """The resize of one image size to one canvas size.

    Args:
        rows: (h, H) float32, weights of image rows in canvas rows.
        cols: (w, W) float32, the same for columns.
    """

    rows: NDArray[np.float32]
    cols: NDArray[np.float32]


def _inner_size(height: int, width: int, *, out: tuple[int, int], rule: ResizeRule) -> tuple[int, int]:
    """Size of the resized image before padding or cropping, (rows, columns)."""
    out_h, out_w = out
    if rule == "stretch":
        return out
    fits = min(out_h / height, out_w / width)
    scale = fits if rule == "pad" else max(out_h / height, out_w / width)
    inner_h, inner_w = max(round(height * scale), 1), max(round(width * scale), 1)
    if rule == "pad":
        return min(inner_h, out_h), min(inner_w, out_w)
    return max(inner_h, out_h), max(inner_w, out_w)


def resize_canvas(
    colors: NDArray[Any], *, height: int, width: int, channels: int, rule: ResizeRule
) -> NDArray[np.float32]:
    """Resize as a user of the model would: antialiased bilinear, Pillow's, on 8-bit pixels.

    16-bit colours are resized as numbers and scaled to 0..255.

    Args:
        colors: (H, W, 3) uint8 or uint16.
        channels: 3, or 1 for luminance (ITU-R BT.601).
        rule: How the aspect ratio is treated.

    Returns:
        (height, width, channels) float32 in 0..255.
    """
    inner_h, inner_w = _inner_size(colors.shape[0], colors.shape[1], out=(height, width), rule=rule)
    if colors.dtype == np.uint8:
        picture = PillowImage.fromarray(np.ascontiguousarray(colors))
        if channels == 1:
            picture = picture.convert("L")
        small = np.asarray(picture.resize((inner_w, inner_h), PillowImage.Resampling.BILINEAR), np.float32)
        small = small.reshape(inner_h, inner_w, channels)
    else:
        wide = colors.astype(np.float32) / np.float32(257)
        if channels == 1:
            wide = (wide @ _LUMA)[..., None]
        planes = [
            PillowImage.fromarray(np.ascontiguousarray(wide[..., c])).resize(
                (inner_w, inner_h), PillowImage.Resampling.BILINEAR
            )
            for c in range(channels)
        ]
        small = np.stack([np.asarray(plane, np.float32) for plane in planes], axis=2)
    if (inner_h, inner_w) == (height, width):
        return small
    canvas = np.zeros((height, width, channels), np.float32)
    (to_y, from_y), (to_x, from_x) = _centred(inner_h, height), _centred(inner_w, width)
    canvas[to_y, to_x] = small[from_y, from_x]
    return canvas


def _centred(inner: int, outer: int) -> tuple[slice, slice]:
    """Where ``inner`` cells lie in ``outer`` ones, and which of them."""
    if inner <= outer:
        start = (outer - inner) // 2
        return slice(start, start + inner), slice(0, inner)
    start = (inner - outer) // 2
    return slice(0, outer), slice(start, start + outer)


@lru_cache(maxsize=64)
def linear_resize(
    height: int, width: int, *, out_height: int, out_width: int, rule: ResizeRule
) -> LinearResize:
    """Return :func:`resize_canvas` as matrices, for images of (height, width); exact but for rounding."""
    inner_h, inner_w = _inner_size(height, width, out=(out_height, out_width), rule=rule)
    rows, cols = np.zeros((out_height, height), np.float32), np.zeros((out_width, width), np.float32)
    (to_y, from_y), (to_x, from_x) = _centred(inner_h, out_height), _centred(inner_w, out_width)
    rows[to_y] = _triangle(height, inner_h)[from_y]
    cols[to_x] = _triangle(width, inner_w)[from_x]
    return LinearResize(rows, cols)


def _triangle(size_in: int, size_out: int) -> NDArray[np.float32]:
    """Weights (size_out, size_in) of a triangle filter that widens when it shrinks (Pillow's BILINEAR)."""
    scale = size_in / size_out
    widened = max(scale, 1.0)
    weights = np.zeros((size_out, size_in), np.float64)
    for i in range(size_out):
        centre = (i + 0.5) * scale
        low, high = max(int(centre - widened + 0.5), 0), min(int(centre + widened + 0.5), size_in)
        offsets = (np.arange(low, high) + 0.5 - centre) / widened
        weights[i, low:high] = np.clip(1 - np.abs(offsets), 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)
