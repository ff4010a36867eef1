"""Random views of a batch: flips, small rotation, scale and shift, brightness, contrast and colour."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

MARGIN = 1.125
"""Training images are kept this much larger than the input, so that zooming in shows real detail."""

_ROTATION_DEGREES = 15.0
_ZOOM = (0.82, 1.08)
_SHIFT = 0.06
_BRIGHTNESS = 0.15
_CONTRAST = 0.2
_SATURATION = 0.2
_TINT = 0.05


class _Uniform:
    """Draws numbers for each image of a batch, on the CPU, and moves them to the batch's device."""

    def __init__(self, batch: Tensor, generator: torch.Generator) -> None:
        self._count, self._device, self._generator = len(batch), batch.device, generator

    def __call__(self, low: float, high: float, *shape: int) -> Tensor:
        drawn = torch.rand(self._count, *shape, generator=self._generator)
        return drawn.mul_(high - low).add_(low).to(self._device)


def augment(batch: Tensor, *, size: int, generator: torch.Generator) -> Tensor:
    """Return one random view of each image.

    Args:
        batch: (N, side, side, 3) uint8, the whole image.
        size: Side of the result, pixels.
        generator: Source of randomness, on the CPU.

    Returns:
        (N, 3, size, size) float32 in 0..255, channels_last.
    """
    count = len(batch)
    uniform = _Uniform(batch, generator)
    angle = uniform(-math.radians(_ROTATION_DEGREES), math.radians(_ROTATION_DEGREES))
    zoom = uniform(*_ZOOM)
    flips = uniform(0, 1, 2).sub_(0.5).sign_()
    theta = torch.stack(
        [
            torch.stack([zoom * flips[:, 0] * angle.cos(), -zoom * angle.sin()], dim=1),
            torch.stack([zoom * angle.sin(), zoom * flips[:, 1] * angle.cos()], dim=1),
        ],
        dim=1,
    )
    theta = torch.cat([theta, uniform(-_SHIFT, _SHIFT, 2)[:, :, None]], dim=2)
    grid = functional.affine_grid(theta, [count, 3, size, size], align_corners=False)
    images = functional.grid_sample(
        batch.permute(0, 3, 1, 2).float(), grid, padding_mode="reflection", align_corners=False
    )
    return jitter_colors(images.contiguous(memory_format=torch.channels_last), generator=generator)


def jitter_colors(images: Tensor, *, generator: torch.Generator) -> Tensor:
    """Change brightness, contrast, saturation and tint of each image at random.

    Args:
        images: (N, 3, H, W) float32 in 0..255; may be changed in place.
        generator: Source of randomness, on the CPU.
    """
    uniform = _Uniform(images, generator)
    grey = images.mean(dim=1, keepdim=True)
    middle = grey.mean(dim=(2, 3), keepdim=True)
    contrast = uniform(1 - _CONTRAST, 1 + _CONTRAST, 1, 1, 1)
    saturation = uniform(1 - _SATURATION, 1 + _SATURATION, 1, 1, 1)
    gain = uniform(1 - _BRIGHTNESS, 1 + _BRIGHTNESS, 1, 1, 1) * uniform(1 - _TINT, 1 + _TINT, 3, 1, 1)
    images = grey + (images - grey) * saturation
    images = middle + (images - middle) * contrast
    return images.mul_(gain).clamp_(0, 255)
