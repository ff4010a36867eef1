"""Putting marks on an image's stored pixels, and taking them off again bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import InputError, RestoreError
from medlocker.images import Image, Pixels
from medlocker.logo import Logo, blend, render, unblend
from medlocker.mark import Mark
from medlocker.marking._layer import Layer, render_layer
from medlocker.marking._preimages import pack_choices, unpack_choices, veiled
from medlocker.patch import apply_residual, make_residual
from medlocker.veil import AnyMark, Veil

_DIFFERENCES = b"\0"
"""A veil's residual begins so if it holds differences; else it holds choices of two."""


@dataclass(frozen=True, eq=False)
class MarkedPixels:
    """A marked image and what takes the mark off.

    Args:
        pixels: (H, W, C), dtype of the original.
        residual: See :mod:`medlocker.patch`.
    """

    pixels: Pixels
    residual: bytes


def mark_pixels(image: Image, marks: Sequence[AnyMark], *, logo: Logo) -> MarkedPixels:
    """Blend marks into an image, one after the other.

    Palette images keep their palette: each blended colour becomes the index of the nearest entry.

    Args:
        image: The original.
        marks: At least one.
        logo: The picture to render.

    Returns:
        Marked pixels and the residual that restores the original exactly.

    Raises:
        InputError: If a mark leaves the image.
    """
    layers = _layers(marks, logo=logo, image=image)
    pixels = image.pixels.copy()
    colors = image.color_channels
    for layer in layers:
        window = pixels[layer.window]
        if image.kind == "palette":
            window[...] = _blend_indices(window, layer, image)
        elif layer.is_veil:
            window[..., :colors] = veiled(
                window[..., :colors], layer.color, layer.weight, shown=_shown(image)
            )
        else:
            window[..., :colors] = blend(
                _under(window[..., :colors], layer, image), layer.color, layer.weight
            )
    return MarkedPixels(pixels, _residual(image, pixels, layers))


def _layers(marks: Sequence[AnyMark], *, logo: Logo, image: Image) -> list[Layer]:
    if sum(isinstance(mark, Veil) for mark in marks) > 1:
        raise InputError("expected at most one veil")  # each is as large as the image
    return [render_layer(mark, logo=logo, image=image) for mark in marks]


def _residual(image: Image, pixels: Pixels, layers: Sequence[Layer]) -> bytes:
    colors = image.color_channels
    has_veil = any(layer.is_veil for layer in layers)
    if has_veil and len(layers) == 1 and image.kind != "palette":
        (layer,) = layers
        choices = pack_choices(
            image.pixels[..., :colors],
            pixels[..., :colors],
            layer.color,
            layer.weight,
            shown=_shown(image),
        )
        if choices is not None:
            return choices
    part = _part(layers)
    estimate = _estimate(pixels, layers, image, part)
    residual = make_residual(image.pixels[part][..., :colors], estimate, _touched(layers, part))
    return _DIFFERENCES + residual if has_veil else residual


def _shown(image: Image) -> tuple[int, int] | None:
    return None if image.inks is None else (int(image.inks.min()), int(image.inks.max()))


def _under(window: Pixels, layer: Layer, image: Image) -> Pixels:
    """Return what a mark is blended over.

    Where samples reach beyond what is shown (air in a CT seen in a soft-tissue window), a blend of the stored
    ones would leave the mark unseen. So they are first brought to the nearest sample within the contrast.
    """
    if image.inks is None:
        return window
    within = window.clip(image.inks.min(), image.inks.max())
    return np.where(layer.weight[..., None] > 0, within, window)


def unmark_pixels(marked: Image, marks: Sequence[AnyMark], *, logo: Logo, residual: bytes) -> Pixels:
    """Take marks off again.

    Args:
        marked: The marked image, pixels as read from its file.
        marks: The parameters, in the order in which they were put on.
        logo: The picture that was rendered.
        residual: From :func:`mark_pixels`.

    Returns:
        (H, W, C) original pixels; the caller compares their digest.

    Raises:
        RestoreError: If parameters and residual do not belong to this image.
    """
    try:
        layers = _layers(marks, logo=logo, image=marked)
    except InputError as error:
        raise RestoreError(f"the parameters do not fit this image: {error}") from error
    original = marked.pixels.copy()
    colors = marked.color_channels
    if any(layer.is_veil for layer in layers):
        if residual[:1] != _DIFFERENCES:
            if len(layers) != 1 or marked.kind == "palette":
                raise RestoreError("the residual is not one of these marks")
            (layer,) = layers
            original[..., :colors] = unpack_choices(
                marked.pixels[..., :colors], layer.color, layer.weight, residual, shown=_shown(marked)
            )
            return original
        residual = residual[1:]
    part = _part(layers)
    estimate = _estimate(marked.pixels, layers, marked, part)
    original[part][..., :colors] = apply_residual(estimate, _touched(layers, part), residual)
    return original


def _part(layers: Sequence[Layer]) -> tuple[slice, slice]:
    """Return the smallest window around all layers: outside it nothing is touched, so nothing is computed."""
    rows, cols = [layer.window[0] for layer in layers], [layer.window[1] for layer in layers]
    return (
        slice(min(r.start for r in rows), max(r.stop for r in rows)),
        slice(min(c.start for c in cols), max(c.stop for c in cols)),
    )


def _inside(layer: Layer, part: tuple[slice, slice]) -> tuple[slice, slice]:
    """Return a layer's window in coordinates of a part."""
    rows, cols = layer.window
    top, left = part[0].start, part[1].start
    return slice(rows.start - top, rows.stop - top), slice(cols.start - left, cols.stop - left)


def _touched(layers: Sequence[Layer], part: tuple[slice, slice]) -> NDArray[np.bool_]:
    """(h, w) bool of a part: every pixel that a mark covers."""
    touched = np.zeros((part[0].stop - part[0].start, part[1].stop - part[1].start), np.bool_)
    for layer in layers:
        touched[_inside(layer, part)] |= layer.weight > 0
    return touched


def _estimate(pixels: Pixels, layers: Sequence[Layer], image: Image, part: tuple[slice, slice]) -> Pixels:
    """Undo the blends in a part, colour channels only."""
    estimate = pixels[part][..., : image.color_channels].copy()
    if image.kind == "palette":
        return estimate  # a palette index cannot be unblended; the residual carries it all
    for layer in reversed(layers):
        window = estimate[_inside(layer, part)]
        window[...] = unblend(window, layer.color, layer.weight)
    return estimate


def _blend_indices(indices: Pixels, layer: Layer, image: Image) -> NDArray[np.uint8]:
    if image.palette is None:
        raise InputError("expected a palette, got none")
    table = np.zeros((256, 3), np.uint8)
    table[: len(image.palette)] = image.palette
    wanted = blend(table[indices[..., 0]], layer.color, layer.weight).astype(np.float32)
    entries = image.palette.astype(np.float32)
    # squared distances less what all entries have in common: whole numbers below 2**24, exact in floats
    lengths, twice = np.square(entries).sum(axis=1), 2 * entries.T
    nearest = np.empty(indices.shape[:2], np.uint8)
    for row in range(len(nearest)):  # row by row: a table of all pixels times 256 entries would be large
        distance = lengths - wanted[row][:, :1] * twice[0]
        for channel in (1, 2):  # a matrix product of so few columns would take ten times as long
            distance -= wanted[row][:, channel : channel + 1] * twice[channel]
        nearest[row] = distance.argmin(axis=1)
    return np.asarray(np.where(layer.weight > 0, nearest, indices[..., 0])[..., None], dtype=np.uint8)


def covered_px(mark: Mark, *, logo: Logo) -> int:
    """Return how many pixels of the image a mark touches."""
    raster = render(
        logo, mark.size_px, rotation=mark.rotation, hardening=mark.hardening, overlay=mark.overlay
    )
    return int(raster.support.sum())


def likeness(mark: Mark, *, logo: Logo) -> float:
    """Return the correlation of a mark's colours with those of the plain logo, -1 to 1; 1 without texture.

    A logo of a single colour has nothing to correlate with: 1 if the mark has that colour too, else 0.
    """
    if not mark.overlay and mark.hardening is None:
        return 1.0
    plain = render(logo, mark.size_px, rotation=mark.rotation)
    own = render(logo, mark.size_px, rotation=mark.rotation, hardening=mark.hardening, overlay=mark.overlay)
    inside = plain.support & own.support
    a, b = plain.color[inside].astype(np.float64).ravel(), own.color[inside].astype(np.float64).ravel()
    if not len(a) or not a.std() or not b.std():
        return float(np.array_equal(a, b))
    return float(np.corrcoef(a, b)[0, 1])
