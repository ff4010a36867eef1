"""How well people can still read a marked image: PSNR, SSIM, and how much of its local contrast is kept.

Large pictures are gone through in strips: a mark over all of a 12-megapixel image needs little memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Plane = NDArray[np.float32]

_SIGMA = 1.5
_RADIUS = 5
_K1, _K2 = 0.01, 0.03
_STRIP_PIXELS = 1 << 19

_LARGEST_SHARE = 0.99
"""Of the changed pixels, the share below the largest change: a few extreme pixels are no measure."""
_INK_SHARE = 0.5

_EDGES_SIDE_PX = 1024
"""Larger pictures have their edges compared at this shorter side: there vessels are some pixels wide."""
_EDGES_SIGMA = 1.0
_EDGES_SHARE = 0.1
_FEWEST_EDGES = 50
_BODY_SIDE_PX = 256
_DARK_SHARE = 0.18
_PART_SHARE = 0.05
_RIM_SHARE = 1 / 20


@dataclass(frozen=True)
class Similarity:
    """One part of a picture compared with the original's.

    Args:
        psnr: Decibels, over all three colours; infinite if nothing differs.
        ssim: Mean structural similarity (Wang et al. 2004) of its pixels, 1 if their surroundings are equal.
    """

    psnr: float
    ssim: float


@dataclass(frozen=True)
class Legibility:
    """How well one marked image can be read.

    Args:
        psnr: Of the whole image, decibels; infinite if identical.
        psnr_outside_ink: Of the pixels outside the ink; None if there are none.
        ssim: Of the whole image.
        ssim_outside_ink: Of the pixels outside the ink; None if there are none.
        contrast: Share of the local contrast that is kept, see :func:`contrast_kept`; None without edges.
        contrast_outside_ink: Of the edges outside the ink; None if there are few.
        ink: Share of the pixels that are ink, see :func:`find_ink`.
    """

    psnr: float
    psnr_outside_ink: float | None
    ssim: float
    ssim_outside_ink: float | None
    contrast: float | None
    contrast_outside_ink: float | None
    ink: float


def measure_legibility(clean: NDArray[Any], marked: NDArray[Any]) -> Legibility:
    """Compare two pictures.

    Args:
        clean: (H, W, 3) uint8 or uint16.
        marked: Same shape and type.
    """
    ink = find_ink(differences(clean, marked))
    whole, outside = compare_parts(clean, marked, [None, ~ink])
    return legibility_of(clean, marked, ink=ink, whole=whole, outside=outside)


def legibility_of(
    clean: NDArray[Any],
    marked: NDArray[Any],
    *,
    ink: Mask,
    whole: Similarity | None,
    outside: Similarity | None,
) -> Legibility:
    """Put together what is known of two pictures, and compare their edges.

    Args:
        clean: (H, W, 3) uint8 or uint16.
        marked: Same shape and type.
        ink: From :func:`find_ink`.
        whole: From :func:`compare_parts`, of all pixels.
        outside: The same of those that are no ink.
    """
    contrast, beside = contrast_kept(clean, marked, ink=ink)
    return Legibility(
        psnr=math.inf if whole is None else whole.psnr,
        psnr_outside_ink=None if outside is None else outside.psnr,
        ssim=1.0 if whole is None else whole.ssim,
        ssim_outside_ink=None if outside is None else outside.ssim,
        contrast=contrast,
        contrast_outside_ink=beside,
        ink=float(ink.mean()),
    )


def differences(clean: NDArray[Any], marked: NDArray[Any]) -> NDArray[Any]:
    """Return (H, W), of the pictures' type: by how much the colour that differs most does."""
    found = np.empty(clean.shape[:2], clean.dtype)
    for rows in _strips(0, clean.shape[0], clean.shape[1]):
        a, b = clean[rows], marked[rows]
        apart = np.maximum(a, b) - np.minimum(a, b)
        # plane by plane takes an eighth of the time of ``max`` over the last axis
        np.maximum(np.maximum(apart[..., 0], apart[..., 1]), apart[..., 2], out=found[rows])
    return found


def find_ink(difference: NDArray[Any]) -> Mask:
    """Return (H, W) bool, where a mark is strong: where more than half of the largest change is.

    The largest is the 99th percentile of the changes that there are. Of a lattice of logos over a paler
    ground this is about the logos, without the parts that happen to have the picture's own colour.

    Args:
        difference: (H, W) uint8 or uint16, from :func:`differences`.
    """
    counts = np.bincount(difference.ravel(), minlength=2)
    counts[0] = 0
    if not counts.any():
        return np.zeros(difference.shape, np.bool_)
    below = np.cumsum(counts)
    largest = int(np.searchsorted(below, _LARGEST_SHARE * below[-1]))
    return np.asarray(difference > _INK_SHARE * largest)


def compare_parts(
    clean: NDArray[Any], marked: NDArray[Any], parts: Sequence[Mask | None]
) -> list[Similarity | None]:
    """Compare parts of two pictures.

    Args:
        clean: (H, W, 3) uint8 or uint16.
        marked: Same shape and type.
        parts: (H, W) bool, None for all pixels.

    Returns:
        One for each part; None for a part without pixels.
    """
    height, width = clean.shape[:2]
    squares, unlike = np.zeros(len(parts)), np.zeros(len(parts))
    rows, cols = _around_differences(clean, marked)
    for strip in _strips(rows.start, rows.stop, cols.stop - cols.start):
        error, similarity = _compare_strip(clean, marked, strip, cols)
        for k, part in enumerate(parts):
            chosen = ... if part is None else part[strip, cols]
            squares[k] += float(error[chosen].sum(dtype=np.float64))
            unlike[k] += float((1 - similarity[chosen]).sum(dtype=np.float64))
    found: list[Similarity | None] = []
    for k, part in enumerate(parts):
        count = height * width if part is None else int(np.count_nonzero(part))
        mean = float(squares[k]) / (3 * count) if count else 0.0
        decibels = -10 * math.log10(mean) if mean > 0 else math.inf
        found.append(Similarity(decibels, 1 - float(unlike[k]) / count) if count else None)
    return found


def _around_differences(clean: NDArray[Any], marked: NDArray[Any]) -> tuple[slice, slice]:
    """Return the rows and columns outside of which even the surroundings of pixels are equal."""
    height, width = clean.shape[:2]
    rows, cols = np.zeros(height, np.bool_), np.zeros(width, np.bool_)
    for strip in _strips(0, height, width):
        differs = (clean[strip] != marked[strip]).reshape(-1, width * 3)
        rows[strip] = differs.any(axis=1)
        cols |= differs.any(axis=0).reshape(width, 3).any(axis=1)
    return _span(rows), _span(cols)


def _span(marked: NDArray[np.bool_]) -> slice:
    places = np.flatnonzero(marked)
    if len(places) == 0:
        return slice(0, 0)
    return slice(max(int(places[0]) - _RADIUS, 0), min(int(places[-1]) + 1 + _RADIUS, len(marked)))


def _compare_strip(
    clean: NDArray[Any], marked: NDArray[Any], rows: slice, cols: slice
) -> tuple[Plane, Plane]:
    """Return the summed squared error of the colours, in 0..1, and the SSIM, of each pixel of a strip."""
    height, width = clean.shape[:2]
    wide = _grown(rows, height), _grown(cols, width)
    inner = _within(rows, wide[0]), _within(cols, wide[1])
    before, after = _unit(clean[wide]), _unit(marked[wide])
    apart = before[inner] - after[inner]
    error = np.einsum("ijk,ijk->ij", apart, apart)
    return error, ssim_map(_luminance(before), _luminance(after))[inner]


def _grown(span: slice, end: int) -> slice:
    return slice(max(span.start - _RADIUS, 0), min(span.stop + _RADIUS, end))


def _within(span: slice, wide: slice) -> slice:
    return slice(span.start - wide.start, span.stop - wide.start)


def _strips(start: int, stop: int, width: int) -> list[slice]:
    step = max(_STRIP_PIXELS // max(width, 1), 2 * _RADIUS)
    return [slice(first, min(first + step, stop)) for first in range(start, stop, step)]


def _unit(colors: NDArray[Any]) -> Plane:
    """Return integers as float32 in 0..1."""
    return colors.astype(np.float32) / np.float32(np.iinfo(colors.dtype).max)


def _luminance(colors: Plane) -> Plane:
    """Return (H, W) of (H, W, 3), ITU-R BT.601."""
    red, green, blue = (np.float32(share) for share in (0.299, 0.587, 0.114))
    return np.asarray(red * colors[..., 0] + green * colors[..., 1] + blue * colors[..., 2])


def ssim_map(a: Plane, b: Plane) -> Plane:
    """Return the structural similarity at every pixel (Wang et al. 2004): Gaussian of 11 x 11, sigma 1.5.

    Args:
        a: (H, W) float32 in 0..1.
        b: Same shape.

    Returns:
        (H, W) float32, 1 where the surroundings are equal; borders are reflected.
    """

    def mean(plane: Plane) -> Plane:
        side = 2 * _RADIUS + 1
        return np.asarray(cv2.GaussianBlur(plane, (side, side), _SIGMA, borderType=cv2.BORDER_REFLECT))

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    cov = mean(a * b) - mean_a * mean_b
    c1, c2 = _K1**2, _K2**2
    above = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    return np.asarray(above / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)), dtype=np.float32)


def contrast_kept(
    clean: NDArray[Any], marked: NDArray[Any], *, ink: Mask | None = None
) -> tuple[float | None, float | None]:
    """Return which share of the original's local contrast is kept.

    Looked at are the strongest tenth of the original's edges inside the body, its rim left out: vessels in
    a fundus photograph, structure in CT and MR. There the marked image's gradient is regressed on the
    original's, as vectors: 1 is all contrast, 0.85 what an even veil of opacity 0.15 leaves. Edges of the
    mark's own lie as often along as against the original's, so they add nothing; SSIM is what tells of them.

    Args:
        clean: (H, W, 3) uint8 or uint16.
        marked: Same shape and type.
        ink: (H, W) bool, or None.

    Returns:
        The share, 0 to 1, of all edges, and of those outside the ink; None where there are few or none.
    """
    before, after = (_small(colors, _EDGES_SIDE_PX) for colors in (clean, marked))
    (dx, dy), (marked_dx, marked_dy) = _gradients(before), _gradients(after)
    strength = dx * dx + dy * dy
    body = _body(before)
    limit = np.quantile(strength[body], 1 - _EDGES_SHARE) if body.any() else np.float32(0)
    chosen = body & (strength >= limit) & (strength > 0)
    kept = dx * marked_dx + dy * marked_dy
    shares = [_slope(kept[chosen], strength[chosen])]
    if ink is not None:
        size = (before.shape[1], before.shape[0])
        inked = cv2.resize(ink.view(np.uint8) * np.uint8(255), size, interpolation=cv2.INTER_AREA)
        chosen &= inked == 0
    shares.append(_slope(kept[chosen], strength[chosen]))
    return shares[0], shares[1]


def _slope(products: Plane, squares: Plane) -> float | None:
    if len(squares) < _FEWEST_EDGES:
        return None
    slope = float(products.sum(dtype=np.float64)) / float(squares.sum(dtype=np.float64))
    return min(max(slope, 0.0), 1.0)


def _small(colors: NDArray[Any], side_px: int) -> Plane:
    """Return the luminance in 0..1, its shorter side at most so long."""
    height, width = colors.shape[:2]
    plane = np.empty((height, width), np.float32)
    for rows in _strips(0, height, width):
        plane[rows] = _luminance(_unit(colors[rows]))
    return _shrunk(plane, side_px)


def _shrunk(plane: Plane, side_px: int) -> Plane:
    height, width = plane.shape
    scale = side_px / min(height, width)
    if scale >= 1:
        return plane
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _gradients(plane: Plane) -> tuple[Plane, Plane]:
    smooth = cv2.GaussianBlur(plane, (0, 0), _EDGES_SIGMA)
    dx, dy = cv2.Scharr(smooth, cv2.CV_32F, 1, 0), cv2.Scharr(smooth, cv2.CV_32F, 0, 1)
    return np.asarray(dx, dtype=np.float32), np.asarray(dy, dtype=np.float32)


def _body(plane: Plane) -> Mask:
    """Return where there is anything to be read: the lit parts without holes and without their rim.

    A whole picture that is lit, or one in which nothing is, counts as body but for its border.
    """
    small = _shrunk(plane, _BODY_SIDE_PX)
    light = np.asarray(cv2.GaussianBlur(small, (0, 0), 1.5))
    lit = (light > _DARK_SHARE * np.quantile(light, 0.95)).astype(np.uint8)
    outlines, _ = cv2.findContours(lit, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(lit)
    for outline in outlines:
        if cv2.contourArea(outline) >= _PART_SHARE * lit.size:
            cv2.drawContours(filled, [outline], -1, (1,), thickness=cv2.FILLED)
    if not filled.any():
        filled[:] = 1
    side = max(round(min(filled.shape) * _RIM_SHARE), 1) | 1
    rim = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    # a frame of zeros: where the body is cut by the picture's edge, that edge is a rim too
    inner = cv2.erode(np.pad(filled, 1), rim, borderValue=0)[1:-1, 1:-1]
    size = (plane.shape[1], plane.shape[0])
    return np.asarray(cv2.resize(inner, size, interpolation=cv2.INTER_NEAREST) > 0)
