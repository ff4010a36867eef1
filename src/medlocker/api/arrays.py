"""Arrays of the caller as images, and back."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import InputError
from medlocker.images import Image

Array: TypeAlias = Any
"""One picture as integers, uint8 or uint16, black 0: a numpy array (H, W), (H, W, 1) or (H, W, 3), or a torch
tensor (H, W), (1, H, W) or (3, H, W): channels come last in numpy, first in torch. Three channels are RGB."""


@dataclass(frozen=True)
class Form:
    """How the caller holds a picture.

    Args:
        in_torch: A torch tensor, channels first; else a numpy array, channels last.
        is_flat: Without an axis of channels.
        device: Where a tensor lies.
    """

    in_torch: bool
    is_flat: bool
    device: str = "cpu"

    def given_back(self, pixels: NDArray[Any]) -> Array:
        """Return (H, W, C) pixels in this form, as a copy."""
        pixels = np.ascontiguousarray(pixels[..., 0] if self.is_flat else pixels)
        if not self.in_torch:
            return pixels.copy()
        import torch  # the caller has it

        if not self.is_flat:
            pixels = pixels.transpose(2, 0, 1)
        return torch.from_numpy(pixels.copy()).to(self.device)


def to_image(array: Array) -> tuple[Image, Form]:
    """Return a picture in memory and the form in which it was given.

    Raises:
        InputError: If it is no array of the types and shapes that :data:`Array` names.

    >>> image, form = to_image(np.zeros((4, 6), np.uint8))
    >>> image.kind, image.width, form.given_back(image.pixels).shape
    ('grey', 6, (4, 6))
    """
    torch = sys.modules.get("torch")
    in_torch = torch is not None and isinstance(array, torch.Tensor)
    device = str(array.device) if in_torch else "cpu"
    pixels = array.detach().cpu().numpy() if in_torch else array
    if not isinstance(pixels, np.ndarray):
        raise InputError(
            f"expected a numpy array or a torch tensor, got {type(array).__name__}",
            hint="numpy.asarray(picture) makes an array of a Pillow picture",
        )
    if pixels.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f"expected samples of type uint8 or uint16, got {pixels.dtype}",
            hint="marks are put on integers, so that they come off bit for bit: give the picture as stored",
        )
    is_flat = pixels.ndim == 2
    if is_flat:
        pixels = pixels[..., None]
    elif in_torch and pixels.ndim == 3:
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        wanted = "(H, W), (1, H, W) or (3, H, W)" if in_torch else "(H, W), (H, W, 1) or (H, W, 3)"
        raise InputError(f"expected a picture of shape {wanted}, got {tuple(array.shape)}")
    # a copy: who changes his array later must not change what was found
    pixels = np.array(pixels, order="C")
    return Image(pixels, "rgb" if pixels.shape[2] == 3 else "grey", "png", b""), Form(
        in_torch, is_flat, device
    )
