"""Bending a known logo on the very lattice of the keyed warp until it explains an image.

Whoever has this program knows how marks are hardened and by how much, only not the key.
"""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np

from medlocker.attacks import Bytes, Floats, Mask, Window, fill_telea
from medlocker.evaluate.removal._invert import Inverted, invert, overlay_fixed
from medlocker.evaluate.removal._locate import MarkGuess, window_of
from medlocker.logo import Logo, Raster, render_bent

_FITTED_PIXELS = 3000


def fit_warp(
    marked: Bytes, logo: Logo, inverted: Inverted, *, reach_px: float, texture: int = 0, rounds: int = 5
) -> Inverted:
    """Bend the logo until it explains the image, then invert that.

    Gauss-Newton on the lattice over the logo's edges, the picture underneath first filled in from the
    surroundings and later taken from the inversion, smoothed; then the opacity anew.

    Args:
        marked: (H, W, 3) uint8.
        inverted: What the blind attacker found.
        reach_px: Largest shift expected; weak evidence is drawn towards no shift.
        texture: Deviation of the keyed texture, 0 to 127; the colours are those expected after its clipping.
    """
    guess = inverted.guess
    plain = guess.raster(logo)
    height, width = plain.coverage.shape
    basis = _lattice(height, width)
    turn = 2 * math.pi * guess.rotation / 65536
    shifts = np.zeros((2, basis.shape[1]), np.float32)
    part = window_of(plain, guess)
    under = _filled(marked, plain.support, part)
    raster, opacity = _clipped(plain, texture), guess.opacity / 65535
    image = marked[part].astype(np.float32)
    for k in range(rounds):
        if k >= 3:
            smooth = np.clip(inverted_window(image, raster, opacity), 0, 255).astype(np.uint8)
            under = cv2.GaussianBlur(cv2.medianBlur(smooth, 5), (0, 0), 2).astype(np.float32)
        shifts += _gauss_newton(image, under, raster, opacity, basis, turn, prior=reach_px / 1.7)
        field = (basis @ shifts.T).reshape(height, width, 2)
        raster = _clipped(render_warped(logo, guess, field[..., 0], field[..., 1]), texture)
        if k >= 1:
            fit = overlay_fixed(marked, raster, guess, part)
            opacity = fit.best(max(opacity - 0.1, 0.01), min(opacity + 0.1, 0.998), steps=6 + 2 * k)[1]
    found = replace(guess, opacity=round(opacity * 65535))
    fit = overlay_fixed(marked, raster, guess, part)
    left = fit.cost(opacity) / max(fit.cost(0.0), 1e-9)
    return Inverted(invert(marked, raster, found), found, raster, left)


def _clipped(raster: Raster, texture: int) -> Raster:
    """Replace colours by their mean under a texture that is clipped to 0..255."""
    if not texture:
        return raster
    noise = np.random.default_rng(0).normal(0, texture, 4000)
    table = np.array([np.clip(level + noise, 0, 255).mean() for level in range(256)])
    color = np.where(raster.coverage[..., None] > 0, np.round(table)[raster.color], 0).astype(np.uint8)
    return Raster(color, raster.coverage)


def render_warped(logo: Logo, guess: MarkGuess, dx: Floats, dy: Floats) -> Raster:
    """Render a logo with given shifts, each (h, w) in pixels, exactly as the program would."""
    right, down = (np.round(shift * 65536).astype(np.int64) for shift in (dx, dy))
    return render_bent(logo, guess.size_px, rotation=guess.rotation, right=right, down=down)


def _lattice(height: int, width: int) -> Floats:
    """Return (h * w, n) weights of the warp's lattice points, as in the program."""
    cell = max(max(height, width) // 8, 2)

    def hats(length: int) -> Floats:
        points = np.arange(length // cell + 2)
        distance = np.abs(np.arange(length)[:, None] / cell - points[None, :])
        return np.asarray(np.maximum(1 - distance, 0), dtype=np.float32)

    both = hats(height)[:, None, :, None] * hats(width)[None, :, None, :]
    return np.asarray(both.reshape(height * width, -1), dtype=np.float32)


def inverted_window(image: Floats, raster: Raster, opacity: float) -> Floats:
    """Return what was under a logo, (h, w, 3) float32, unclipped."""
    weight = opacity * raster.coverage[..., None].astype(np.float32) / 255
    return np.asarray((image - weight * raster.color) / (1 - weight), dtype=np.float32)


def _gauss_newton(
    image: Floats,
    under: Floats,
    raster: Raster,
    opacity: float,
    basis: Floats,
    turn: float,
    *,
    prior: float,
) -> Floats:
    weight = opacity * raster.coverage[..., None].astype(np.float32) / 255
    model = under * (1 - weight) + weight * raster.color
    error = image - model
    # only the logo moves: the slope of the picture underneath is none of the warp's
    layer = weight * (raster.color - under)
    across, down = np.gradient(layer, axis=1), np.gradient(layer, axis=0)
    # the program shifts the logo before it turns it
    dx = np.float32(math.cos(turn)) * across - np.float32(math.sin(turn)) * down
    dy = np.float32(math.sin(turn)) * across + np.float32(math.cos(turn)) * down
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


def _filled(marked: Bytes, support: Mask, part: Window) -> Floats:
    mask = np.zeros(marked.shape[:2], np.bool_)
    mask[part] = cv2.dilate(support.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    return fill_telea(marked, mask)[part].astype(np.float32)
