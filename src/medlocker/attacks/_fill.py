"""Painting a mark over from its surroundings, which needs nothing but to see it."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from medlocker.attacks._denoise import to_bytes
from medlocker.attacks._pictures import Bytes, Floats, Mask, windows_of

_MARGIN_PX = 16
_SOLVED_PX = 72
_STEPS = 400
_LAPLACE = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)


def fill_mean(pixels: Bytes, mask: Mask) -> Bytes:
    """Fill each part of a mask with the mean colour around it."""

    def fill(part: Bytes, inside: Mask) -> Bytes:
        ring = part[~inside]
        return np.broadcast_to(to_bytes(ring.mean(axis=0) if len(ring) else np.zeros(3)), part.shape)

    return _by_window(pixels, mask, fill)


def fill_telea(pixels: Bytes, mask: Mask) -> Bytes:
    """Fill by fast marching (Telea 2004)."""

    def fill(part: Bytes, inside: Mask) -> Bytes:
        done = cv2.inpaint(np.ascontiguousarray(part), inside.astype(np.uint8), 3, cv2.INPAINT_TELEA)
        return np.asarray(done, dtype=np.uint8)

    return _by_window(pixels, mask, fill)


def fill_harmonic(pixels: Bytes, mask: Mask) -> Bytes:
    """Fill with the solution of Laplace's equation: what the edge says, as smooth as can be."""
    return _by_window(pixels, mask, lambda part, inside: to_bytes(smoothest(part, inside, order=1)))


def fill_biharmonic(pixels: Bytes, mask: Mask) -> Bytes:
    """Fill with the solution of the biharmonic equation: it continues slopes as well."""
    return _by_window(pixels, mask, lambda part, inside: to_bytes(smoothest(part, inside, order=2)))


def _by_window(pixels: Bytes, mask: Mask, fill: Callable[[Bytes, Mask], Bytes]) -> Bytes:
    result = pixels.copy()
    for window in windows_of(mask, _MARGIN_PX):
        inside = mask[window]
        result[window][inside] = fill(pixels[window], inside)[inside]
    return result


def smoothest(part: Floats | Bytes, inside: Mask, *, order: int, solved_px: int = _SOLVED_PX) -> Floats:
    """Fill in the masked pixels so that the sum of squared slopes (order 1) or Laplacians (2) is smallest.

    Solved by conjugate gradients at a smaller size if that is less work: the solution is smooth, so it is
    enlarged without loss, and its edge is exact because the known pixels' blur is taken out again there.

    Args:
        part: (h, w, 3).
        inside: (h, w) bool; pixels to fill in.
        order: 1 or 2.
        solved_px: Longer side at which it is solved; small holes need a larger one.
    """
    values = part.astype(np.float32)
    if not inside.any():
        return values
    if inside.all():
        return np.full_like(values, 128)
    scale = min(solved_px / max(inside.shape), 1.0)
    if scale == 1:
        return _solve(_first_guess(values, inside), inside, order)
    size = (max(round(inside.shape[1] * scale), 4), max(round(inside.shape[0] * scale), 4))
    known = (~inside).astype(np.float32)
    share = cv2.resize(known, size, interpolation=cv2.INTER_AREA)[..., None]
    summed = cv2.resize(values * known[..., None], size, interpolation=cv2.INTER_AREA)
    small_inside: Mask = share[..., 0] < 0.5
    small = np.where(small_inside[..., None], 0, summed / np.maximum(share, 1e-3)).astype(np.float32)
    if small_inside.all():
        return _first_guess(values, inside)
    solved = _solve(_first_guess(small, small_inside), small_inside, order)
    large = cv2.resize(solved, inside.shape[::-1], interpolation=cv2.INTER_CUBIC)
    # the difference between the known pixels and the enlarged solution, continued inwards a little
    rest = np.where(inside[..., None], 0, values - large)
    reach = max(1 / scale, 1.0)
    spread = cv2.GaussianBlur(rest, (0, 0), reach) / (
        cv2.GaussianBlur(known, (0, 0), reach)[..., None] + 0.05
    )
    near = np.clip(cv2.GaussianBlur(known, (0, 0), reach)[..., None] * 2, 0, 1)
    return np.asarray(np.where(inside[..., None], large + spread * near, values), dtype=np.float32)


def _first_guess(values: Floats, inside: Mask) -> Floats:
    """Fill in from ever coarser averages of what is known (push and pull)."""
    known = (~inside).astype(np.float32)
    total, weight = values * known[..., None], known
    result, missing = values.copy(), inside.copy()
    size = 1
    while missing.any() and size < 2 * max(inside.shape):
        size *= 2
        side = 2 * size + 1
        sums = cv2.boxFilter(total, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
        counts = cv2.boxFilter(weight, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
        found = missing & (counts > 0.5)
        result[found] = sums[found] / counts[found][:, None]
        missing &= ~found
    return result


def _solve(start: Floats, inside: Mask, order: int) -> Floats:
    free = inside[..., None].astype(np.float32)

    def apply(field: Floats) -> Floats:
        for _ in range(order):
            curved = cv2.filter2D(field, -1, _LAPLACE, borderType=cv2.BORDER_REPLICATE)
            field = np.asarray(-curved, dtype=np.float32)
        return np.asarray(field * free, dtype=np.float32)

    solution = start.copy()
    rest = -apply(solution)
    direction, size = rest.copy(), _dot(rest, rest)
    floor = np.maximum(size * 1e-8, 1e-6)
    for _ in range(_STEPS):
        if (size <= floor).all():
            break
        image = apply(direction)
        step = size / np.maximum(_dot(direction, image), 1e-12)
        solution += direction * step.astype(np.float32)
        rest -= image * step.astype(np.float32)
        new = _dot(rest, rest)
        direction = rest + direction * (new / np.maximum(size, 1e-12)).astype(np.float32)
        size = new
    return solution


def _dot(one: Floats, other: Floats) -> Floats:
    return np.asarray((one * other).sum(axis=(0, 1), dtype=np.float64))
