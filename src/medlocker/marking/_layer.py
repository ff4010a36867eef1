"""From the parameters of marks to what is blended over an image, in the image's own depth and colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import InputError
from medlocker.geometry import Box
from medlocker.images import Image, rgb_to_ybr
from medlocker.logo import Logo, fit_color, mounted, render, render_lattice, rendered_size, weights
from medlocker.mark import Mark
from medlocker.marking._keepouts import fade_at_keep_outs
from medlocker.veil import Veil


@dataclass(frozen=True, eq=False)
class Layer:
    """What one mark or veil puts over an image.

    Args:
        x: Left edge, pixels.
        y: Top edge, pixels.
        color: (h, w, C) in the image's depth and colour channels (RGB for palette images).
        weight: (h, w) uint16; 0 where nothing is touched.
        is_veil: Whether it is a veil, which must leave everything under it to be told apart.
        step: Colours and weights are those of every ``step``-th row and column.
    """

    x: int
    y: int
    color: NDArray[Any]
    weight: NDArray[np.uint16]
    is_veil: bool = False
    step: int = 1

    @property
    def window(self) -> tuple[slice, slice]:
        """The rows and columns of the image that the layer covers."""
        height, width = self.weight.shape
        return slice(self.y, self.y + height), slice(self.x, self.x + width)


def render_layer(mark: Mark | Veil, *, logo: Logo, image: Image) -> Layer:
    """Render one mark or veil for one image.

    Raises:
        InputError: If the mark does not lie wholly inside the image.
    """
    return _lay_veil(mark, logo, image) if isinstance(mark, Veil) else _lay_mark(mark, logo, image)


def _lay_mark(mark: Mark, logo: Logo, image: Image) -> Layer:
    # before rendering: a record from somebody else may say 65535 pixels
    width, height = rendered_size(logo, mark.size_px, rotation=mark.rotation)
    if mark.x + width > image.width or mark.y + height > image.height:
        raise InputError(
            f"expected a mark inside {image.width} x {image.height} pixels, got {width} x {height} "
            f"at ({mark.x}, {mark.y})"
        )
    raster = render(
        logo, mark.size_px, rotation=mark.rotation, hardening=mark.hardening, overlay=mark.overlay
    )
    weight = weights(raster.coverage, mark.opacity)
    if raster.solid is not None:
        weight = np.where(raster.solid, np.uint16(65535), weight)
    return Layer(mark.x, mark.y, _as_stored(raster.color, image), weight)


def render_layer_coarsely(veil: Veil, *, logo: Logo, image: Image, step: int) -> Layer:
    """Render every ``step``-th row and column of a veil; ``step`` divides its grain.

    Boxes are kept out as a whole: the layer has no weight where a square of ``step`` pixels holds a pixel of
    one.
    """
    return _lay_veil(veil, logo, image, step)


def _lay_veil(veil: Veil, logo: Logo, image: Image, step: int = 1) -> Layer:
    grain = veil.grain_px
    height, width = -(-image.height // grain), -(-image.width // grain)
    if veil.size_px > 2 * max(image.height, image.width):
        raise InputError(f"expected a veil for {image.width} x {image.height} pixels, got a larger one")
    if veil.mounted:
        logo = mounted(logo)
    raster = render_lattice(logo, veil.lattice(), width=width, height=height)
    color, weight = _on_ground(raster.color, raster.coverage, veil)
    rows, cols = -(-image.height // step), -(-image.width // step)
    color, weight = (
        _spread(part, grain // step)[:rows, :cols] for part in (_as_stored(color, image), weight)
    )
    boxes = veil.keep_out if step == 1 else [_coarse(box, step) for box in veil.keep_out]
    weight = fade_at_keep_outs(weight, boxes, soft_px=max(veil.soft_px // step, 1))
    return Layer(0, 0, color, weight, is_veil=True, step=step)


def _coarse(box: Box, step: int) -> Box:
    x, y = box.x // step, box.y // step
    return Box(x, y, -(-box.right // step) - x, -(-box.bottom // step) - y)


def _on_ground(
    color: NDArray[np.uint8], coverage: NDArray[np.uint8], veil: Veil
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Put the copies of the logo over the tinted ground: one colour and one weight for each grain."""
    ink = coverage.astype(np.uint32)
    of_ink, of_ground = ink * np.uint32(veil.opacity), (np.uint32(255) - ink) * np.uint32(veil.ground)
    whole = of_ink + of_ground
    weight = ((whole + 127) // 255).astype(np.uint16)
    if not veil.ground:
        return color, weight
    mixed = np.empty_like(color)
    half, divisor = whole // 2, np.maximum(whole, 1)
    for channel in range(3):
        tint = np.uint32(veil.tint >> (16 - 8 * channel) & 255)
        # at most 255 * 65535 * 255 and half of 255 * 65535: fits 32 bits
        mixed[..., channel] = (of_ink * color[..., channel] + of_ground * tint + half) // divisor
    return mixed, weight


def _spread(values: NDArray[Any], grain: int) -> NDArray[Any]:
    return values if grain == 1 else np.repeat(np.repeat(values, grain, axis=1), grain, axis=0)


def _as_stored(rgb: NDArray[np.uint8], image: Image) -> NDArray[Any]:
    """Return colours as an image stores them.

    Args:
        rgb: (h, w, 3) uint8.
        image: Says its depth, channels and how it is shown.

    Returns:
        (h, w, C), dtype of the image's samples.
    """
    channels = 3 if image.kind == "palette" else image.color_channels
    wanted = rgb_to_ybr(rgb) if image.ybr else rgb
    if image.inks is not None:
        # what is stored is not what is shown: take what is shown as the logo's colours
        color = image.inks[fit_color(wanted, channels=channels, bits=8)]
    else:
        color = fit_color(wanted, channels=channels, bits=image.bits)
    if image.white_is_zero and image.inks is None:  # stored reversed: so is the logo, to look as it should
        color = np.iinfo(color.dtype).max - color
    return np.asarray(color)
