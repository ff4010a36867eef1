"""Attackers who know, besides the logo, how marks are hardened and by how much, but no key.

:func:`fit_warp` bends the logo on the very lattice of the keyed warp until it explains the image;
:func:`weigh_colors` weighs what the inversion gives against what the surroundings foretell, and finds out
errors that colour channels have in common; the rest smooths. :func:`candidates` returns all of it, from
which a judge who has the original takes the best: more than any attacker could know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from _blind_attacker import Attacked, Bytes, Floats, invert, lay_over, window_of
from medlocker.logo import Logo, Raster, render
from medlocker.logo._render import _premultiplied, _sample, _shrunk, _source_grid

_FITTED_PIXELS = 3000


def fit_warp(
    marked: Bytes, logo: Logo, attacked: Attacked, *, reach_px: float, texture: int = 0, rounds: int = 5
) -> Attacked:
    """Bend the logo on the lattice of the keyed warp until it explains the image, then invert that.

    Gauss-Newton on the lattice over the logo's edges, the picture underneath first filled in from the
    surroundings and later taken from the inversion, smoothed; then the opacity anew.

    Args:
        marked: (H, W, 3) uint8.
        logo: The plain logo.
        attacked: What the blind attacker found.
        reach_px: Largest shift expected; weak evidence is drawn towards no shift.
        texture: Deviation of the keyed texture, 0 to 127; the colours are those expected after its clipping.
        rounds: Steps of Gauss-Newton.
    """
    guess = attacked.guess
    plain = render(logo, guess.size_px)
    height, width = plain.coverage.shape
    basis = _lattice(height, width)
    shifts = np.zeros((2, basis.shape[1]), np.float32)
    part = window_of(plain, guess)
    under = _filled(marked, plain.support, part)
    raster, opacity = _clipped(plain, texture), guess.opacity / 65535
    image = marked[part].astype(np.float32)
    for k in range(rounds):
        if k >= 3:
            inverted = np.clip(_inverted(image, raster, opacity), 0, 255).astype(np.uint8)
            under = cv2.GaussianBlur(cv2.medianBlur(inverted, 5), (0, 0), 2).astype(np.float32)
        shifts += _gauss_newton(image, under, raster, opacity, basis, prior=reach_px / 1.7)
        field = (basis @ shifts.T).reshape(height, width, 2)
        raster = _clipped(bend(logo, guess.size_px, field[..., 0], field[..., 1]), texture)
        if k >= 1:
            fit = lay_over(marked, raster, guess, part)
            opacity = fit.best(max(opacity - 0.1, 0.01), min(opacity + 0.1, 0.998), steps=6 + 2 * k)[1]
    found = replace(guess, opacity=round(opacity * 65535))
    return Attacked(invert(marked, raster, found), found, raster)


def _clipped(raster: Raster, texture: int) -> Raster:
    """Replace colours by their mean under a texture that is clipped to 0..255."""
    if not texture:
        return raster
    noise = np.random.default_rng(0).normal(0, texture, 4000)
    table = np.array([np.clip(level + noise, 0, 255).mean() for level in range(256)])
    color = np.where(raster.coverage[..., None] > 0, np.round(table)[raster.color], 0).astype(np.uint8)
    return replace(raster, color=color)


def bend(logo: Logo, size_px: int, dx: Floats, dy: Floats) -> Raster:
    """Render an upright logo with given shifts, each (h, w) in pixels, exactly as the program would."""
    height, width = logo.rgba.shape[:2]
    h, w = dx.shape
    x, y = _source_grid(w, h, 0, None)
    x = x + np.round(dx * 65536).astype(np.int64)
    y = y + np.round(dy * 65536).astype(np.int64)
    by_x, by_y = max(width // w, 1), max(height // h, 1)
    source = _shrunk(_premultiplied(logo), by_x, by_y)
    sampled = _sample(source, x * width // (w * by_x), y * height // (h * by_y))
    alpha = sampled[..., 3]
    coverage = ((alpha + 127) // 255).astype(np.uint8)
    color = (sampled[..., :3] * 255 + alpha[..., None] // 2) // np.maximum(alpha, 1)[..., None]
    color = np.where(coverage[..., None] > 0, np.clip(color, 0, 255), 0)
    return Raster(color.astype(np.uint8), coverage)


def _lattice(height: int, width: int) -> Floats:
    """Return (h * w, n) weights of the warp's lattice points, as in the program."""
    cell = max(max(height, width) // 8, 2)

    def hats(length: int) -> Floats:
        points = np.arange(length // cell + 2)
        distance = np.abs(np.arange(length)[:, None] / cell - points[None, :])
        return np.asarray(np.maximum(1 - distance, 0), dtype=np.float32)

    both = hats(height)[:, None, :, None] * hats(width)[None, :, None, :]
    return np.asarray(both.reshape(height * width, -1), dtype=np.float32)


def _inverted(image: Floats, raster: Raster, opacity: float) -> Floats:
    weight = opacity * raster.coverage[..., None].astype(np.float32) / 255
    return np.asarray((image - weight * raster.color) / (1 - weight), dtype=np.float32)


def _gauss_newton(
    image: Floats, under: Floats, raster: Raster, opacity: float, basis: Floats, *, prior: float
) -> Floats:
    weight = opacity * raster.coverage[..., None].astype(np.float32) / 255
    model = under * (1 - weight) + weight * raster.color
    error = image - model
    # only the logo moves: the slope of the picture underneath is none of the warp's
    layer = weight * (raster.color - under)
    dx, dy = np.gradient(layer, axis=1), np.gradient(layer, axis=0)
    steep = np.abs(dx).sum(axis=2) + np.abs(dy).sum(axis=2) > 24
    places = np.flatnonzero(steep)
    steep[:] = False
    steep.flat[places[:: len(places) // _FITTED_PIXELS + 1]] = True
    chosen = basis[steep.ravel()]
    n = basis.shape[1]
    normal, right = np.zeros((2 * n, 2 * n), np.float64), np.zeros(2 * n)
    for c in range(3):
        e = error[..., c][steep]
        trust = 1 / np.maximum(np.abs(e) / 20, 1)  # Huber
        both = np.concatenate(
            [chosen * dx[..., c][steep][:, None], chosen * dy[..., c][steep][:, None]], axis=1
        )
        normal += both.T @ (both * trust[:, None])
        right += both.T @ (e * trust)
    noise = 15.0**2
    normal[np.diag_indices(2 * n)] += noise / prior**2
    return np.linalg.solve(normal, right).reshape(2, n).astype(np.float32)


def _filled(marked: Bytes, support: NDArray[np.bool_], part: tuple[slice, slice]) -> Floats:
    mask = np.zeros(marked.shape[:2], np.uint8)
    mask[part] = cv2.dilate(support.astype(np.uint8), np.ones((7, 7), np.uint8))
    return inpaint(marked, mask > 0)[part].astype(np.float32)


def inpaint(marked: Bytes, support: NDArray[np.bool_]) -> Bytes:
    """Fill the mark in from its surroundings, knowing only where it is (T3)."""
    ys, xs = np.nonzero(support)
    part = (
        slice(max(ys.min() - 12, 0), ys.max() + 13),
        slice(max(xs.min() - 12, 0), xs.max() + 13),
    )
    restored = marked.copy()
    restored[part] = cv2.inpaint(marked[part], support[part].astype(np.uint8), 3, cv2.INPAINT_TELEA)
    return restored


def weigh_colors(
    marked: Bytes, attacked: Attacked, *, texture: float, common: float = 0.0, smooth_px: float = 0.0
) -> Bytes:
    """Weigh the inverted mark against what the surroundings foretell, by the best linear estimate.

    The surroundings tell how colours follow from each other and from the place; the inverted mark has errors
    of known size. Where all channels have the same error the colour differences give it away.

    Args:
        marked: (H, W, 3) uint8.
        attacked: What was inverted.
        texture: Deviation of the logo's unknown texture in each channel by itself, grey levels.
        common: Deviation of what all channels have in common.
        smooth_px: Deviation of a Gaussian applied before; it leaves the widest octave, 0.67 of the texture.
    """
    raster, guess = attacked.raster, attacked.guess
    part = window_of(raster, guess)
    inside = np.zeros(marked.shape[:2], np.bool_)
    inside[part] = raster.support
    wide = _around(part, max(guess.size_px // 3, 8))
    whole = marked.astype(np.float32)
    opacity = guess.opacity / 65535
    whole[part] = _inverted(whole[part], raster, opacity)
    window, touched = whole[wide], inside[wide]
    if smooth_px:
        window = np.asarray(cv2.GaussianBlur(window, (0, 0), smooth_px), dtype=np.float32)
        texture = texture * 0.67
    ys, xs = (plane / guess.size_px for plane in np.indices(touched.shape, np.float32))
    places = np.stack([np.ones_like(ys), ys - ys.mean(), xs - xs.mean()], axis=2)
    known = places[~touched]
    expected = places @ np.linalg.lstsq(known, window[~touched], rcond=None)[0]
    spread = np.cov((window - expected)[~touched].T)
    gain = opacity / (1 - opacity)
    noise = gain**2 * (texture**2 * np.eye(3) + common**2) + np.eye(3) / (1 - opacity) ** 2 / 12
    weight = spread @ np.linalg.inv(spread + noise)
    estimate = expected + (window - expected) @ weight.T
    restored = marked.copy()
    restored[wide][touched] = np.clip(np.round(estimate[touched]), 0, 255).astype(np.uint8)
    return restored


def _around(part: tuple[slice, slice], reach: int) -> tuple[slice, slice]:
    rows, cols = part
    return (
        slice(max(rows.start - reach, 0), rows.stop + reach),
        slice(max(cols.start - reach, 0), cols.stop + reach),
    )


DENOISERS: dict[str, Callable[[Any, int], Any]] = {
    "median 5": lambda window, size: cv2.medianBlur(window, 5),
    "gaussian": lambda window, size: cv2.GaussianBlur(window, (0, 0), max(size / 28, 1)),
    "non-local means": lambda window, size: cv2.fastNlMeansDenoisingColored(window, None, 20, 20, 5, 15),
}


def denoise(restored: Bytes, attacked: Attacked, how: str) -> Bytes:
    """Smooth the restored mark by one of :data:`DENOISERS`; its surroundings serve as context."""
    part = window_of(attacked.raster, attacked.guess)
    wide = _around(part, 16)
    smooth = DENOISERS[how](np.ascontiguousarray(restored[wide]), attacked.guess.size_px)
    inside = np.zeros(restored.shape[:2], np.bool_)
    inside[part] = attacked.raster.support
    result = restored.copy()
    result[wide][inside[wide]] = smooth[inside[wide]]
    return result


def candidates(
    marked: Bytes, logo: Logo, attacked: Attacked, *, warp: float, texture: int
) -> dict[str, Bytes]:
    """Return everything that an attacker who knows all options, but no key, gets out of an image.

    Args:
        marked: (H, W, 3) uint8.
        logo: The plain logo.
        attacked: What the blind attacker found.
        warp: Largest shift as a share of the logo's size, 0 for none.
        texture: Deviation of the texture.
    """
    found = {"blind": attacked.restored}
    for how in DENOISERS:
        found[f"blind, {how}"] = denoise(attacked.restored, attacked, how)
    reach_px = max(warp * attacked.guess.size_px, 0.25)
    bent = fit_warp(marked, logo, attacked, reach_px=reach_px, texture=texture)
    found["warp fitted"] = bent.restored
    found["warp fitted, colours weighed"] = weighed = weigh_colors(marked, bent, texture=texture)
    for how in DENOISERS:
        found[f"warp fitted, {how}"] = denoise(bent.restored, bent, how)
        found[f"warp fitted, colours weighed, {how}"] = denoise(weighed, bent, how)
    found["warp fitted, smoothed, colours weighed"] = weigh_colors(
        marked, bent, texture=texture, smooth_px=max(attacked.guess.size_px / 28, 1)
    )
    found["texture cancelled"] = weigh_colors(marked, bent, texture=2.0, common=texture)
    return found
