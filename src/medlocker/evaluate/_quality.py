"""How much a mark changes an image: area, PSNR, SSIM, and pixels of regions that were touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.evaluate._blocks import ChangedBlocks
from medlocker.evaluate._marks import find_marks
from medlocker.geometry import Box
from medlocker.logo import Logo

_SIGMA = 1.5
_RADIUS = 5
_K1, _K2 = 0.01, 0.03
MOSTLY = 0.5
"""Share of differing pixels above which a file was surely not stored without loss."""
_CLEARLY = 1 / 16


@dataclass(frozen=True)
class Quality:
    """One marked image compared with its original.

    Args:
        area: Share of the pixels that differ at all; with ``in_blocks`` of those whose blocks differ.
        area_clear: Share of the pixels that differ by more than a sixteenth of the range: about what the
            logo covers.
        psnr_outside: Decibels, over the pixels outside the marks' windows; infinity if they are identical.
            With ``in_blocks`` the windows reach one unit of blocks farther: decoders spread colour.
        psnr_inside: Over the pixels of the windows that differ; None if no mark was found.
        ssim: Structural similarity (Wang et al. 2004) of the whole image, 1 if identical.
        ssim_inside: Over the pixels of the windows that differ; None if no mark was found.
        touched: How many pixels of regions differ, looked at one by one; None without regions.
        marks: How many separate marks were found.
        in_blocks: Both files are JPEG with the same tables, so the blocks that are stored were compared.
    """

    area: float
    area_clear: float
    psnr_outside: float
    psnr_inside: float | None
    ssim: float
    ssim_inside: float | None
    touched: int | None
    marks: int
    in_blocks: bool = False


def measure_quality(
    clean: NDArray[Any],
    marked: NDArray[Any],
    *,
    logo: Logo,
    boxes: Sequence[Box] | None = None,
    blocks: ChangedBlocks | None = None,
) -> tuple[Quality, tuple[Box, ...]]:
    """Compare two pictures.

    Where most pixels differ (the file was not stored without loss), only clear differences count as marks.

    Args:
        clean: (H, W, 3) uint8 or uint16.
        marked: Same shape and type.
        logo: To tell marks of several parts.
        boxes: Regions, inside the image.
        blocks: Where the stored blocks of two JPEG files differ; not believed if pixels differ elsewhere.

    Returns:
        The numbers and the windows of the marks.
    """
    changed = _differing(clean, marked)
    part = _window_of(changed)
    if blocks is not None and not blocks.explain(changed):
        blocks = None
    in_blocks = blocks is not None
    if part is None:
        return Quality(0.0, 0.0, np.inf, None, 1.0, None, None if boxes is None else 0, 0, in_blocks), ()
    stored, unit = (changed, 0) if blocks is None else (blocks.mask, blocks.unit_px)
    area = float(stored.mean())
    clear = np.zeros_like(changed)
    clear[part] = clear_differences(clean[part], marked[part])
    peak = float(np.iinfo(clean.dtype).max)
    before = clean[part].astype(np.float32) / np.float32(peak)
    after = marked[part].astype(np.float32) / np.float32(peak)
    error = np.square(before - after)
    windows = find_marks(clear if area > MOSTLY else stored, logo=logo)
    within = np.zeros_like(changed)
    for box in windows:  # a block under a faint edge may stay as it is: the mark goes on behind it
        within[max(box.y - unit, 0) : box.bottom + unit, max(box.x - unit, 0) : box.right + unit] = True
    inside = changed & within
    per_pixel = error[..., 0].astype(np.float64) + error[..., 1] + error[..., 2]
    similar, similar_sum = _similarity(clean, marked, part, peak)
    outside = within.size - int(np.count_nonzero(within))
    quality = Quality(
        area=area,
        area_clear=float(clear.mean()),
        psnr_outside=_decibels(float(per_pixel[~within[part]].sum()), outside),
        psnr_inside=_decibels(float(per_pixel[inside[part]].sum()), int(np.count_nonzero(inside)))
        if windows
        else None,
        ssim=(similar_sum + changed.size) / changed.size,
        ssim_inside=float(similar[inside[part]].mean()) if windows else None,
        touched=None if boxes is None else _touched(changed, boxes),
        marks=len(windows),
        in_blocks=in_blocks,
    )
    return quality, windows


def clear_differences(clean: NDArray[Any], marked: NDArray[Any]) -> NDArray[np.bool_]:
    """Return (H, W) bool, where two pictures differ by more than lossy storing explains: by a sixteenth."""
    least = int(np.iinfo(clean.dtype).max * _CLEARLY)
    return np.asarray((np.maximum(clean, marked) - np.minimum(clean, marked)).max(axis=2) > least)


def _differing(clean: NDArray[Any], marked: NDArray[Any]) -> NDArray[np.bool_]:
    """Return (H, W) bool; plane by plane takes an eighth of the time of ``any`` over the last axis."""
    differs = clean != marked
    changed: NDArray[np.bool_] = differs[..., 0] | differs[..., 1]
    changed |= differs[..., 2]
    return changed


def _window_of(changed: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    rows = np.flatnonzero(changed.any(axis=1))
    if len(rows) == 0:
        return None
    cols = np.flatnonzero(changed.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)


def _decibels(squares: float, pixels: int) -> float:
    """Return the PSNR of a sum of squares over (pixels x 3) values in 0..1."""
    return float(-10 * np.log10(squares / (3 * pixels))) if squares > 0 and pixels else np.inf


def _touched(changed: NDArray[np.bool_], boxes: Sequence[Box]) -> int:
    inside = np.zeros_like(changed)
    for box in boxes:
        inside[max(box.y, 0) : box.bottom, max(box.x, 0) : box.right] = True
    return int(np.count_nonzero(changed & inside))


def _similarity(
    clean: NDArray[Any], marked: NDArray[Any], part: tuple[slice, slice], peak: float
) -> tuple[NDArray[np.float32], float]:
    """Return the SSIM map of a part, and the sum of (SSIM - 1) over the whole image.

    All differences lie in the part. Away from it by more than the filter's radius the map is 1, so only the
    surroundings are computed, from pixels that reach as far again.
    """
    height, width = clean.shape[:2]
    rows, cols = part
    near = _grown(rows, _RADIUS, height), _grown(cols, _RADIUS, width)
    far = _grown(rows, 2 * _RADIUS, height), _grown(cols, 2 * _RADIUS, width)
    whole = ssim_map(_luminance(clean[far], peak), _luminance(marked[far], peak))
    around = whole[_shifted(near[0], far[0]), _shifted(near[1], far[1])]
    return whole[_shifted(rows, far[0]), _shifted(cols, far[1])], float((around.astype(np.float64) - 1).sum())


def _grown(span: slice, by: int, end: int) -> slice:
    return slice(max(span.start - by, 0), min(span.stop + by, end))


def _shifted(span: slice, within: slice) -> slice:
    return slice(span.start - within.start, span.stop - within.start)


def _luminance(colors: NDArray[Any], peak: float) -> NDArray[np.float32]:
    """Return (H, W) float32 in 0..1, ITU-R BT.601."""
    return np.asarray(
        (colors.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)) / np.float32(peak)
    )


def ssim_map(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the structural similarity at every pixel (Wang et al. 2004): Gaussian of 11 x 11, sigma 1.5.

    Args:
        a: (H, W) float32 in 0..1.
        b: Same shape.

    Returns:
        (H, W) float32, 1 where the surroundings are equal; borders are reflected.
    """

    def mean(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        side = 2 * _RADIUS + 1
        return np.asarray(cv2.GaussianBlur(plane, (side, side), _SIGMA, borderType=cv2.BORDER_REFLECT))

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    cov = mean(a * b) - mean_a * mean_b
    c1, c2 = _K1**2, _K2**2
    above = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    return np.asarray(above / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)), dtype=np.float32)
