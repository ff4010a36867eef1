"""What a prepared veil looks like, on a drawn ground: a patient's picture would not belong there."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from medlocker.images import Image
from medlocker.logo import blend
from medlocker.marking import render_layer
from medlocker.preparedveil import PreparedVeil

_SIDE_PX = 448
_KEY = bytes(range(16))
"""Of no image."""


def veil_picture(prepared: PreparedVeil) -> bytes:
    """Draw a veil over a ramp from black to white, and over black, grey and white; returns a PNG."""
    ground = _ground()
    channels = 1 if prepared.grey else 3
    image = Image(
        np.repeat(ground[..., None], channels, axis=2), "grey" if prepared.grey else "rgb", "png", b""
    )
    veil = prepared.style.draw(prepared.logo, width=image.width, height=image.height, key=_KEY)
    layer = render_layer(veil, logo=prepared.logo, image=image)
    veiled = replace(image, pixels=blend(image.pixels, layer.color, layer.weight))
    stream = io.BytesIO()
    shown = veiled.pixels[..., 0] if prepared.grey else veiled.pixels
    PillowImage.fromarray(np.ascontiguousarray(shown)).save(stream, "PNG")
    return stream.getvalue()


def _ground() -> NDArray[np.uint8]:
    """Return (H, W): the ramp above, three even fields below."""
    width = _SIDE_PX * 3 // 2
    ramp = np.linspace(0, 255, width).round()
    fields = np.repeat([0, 128, 255], width // 3)
    return np.repeat([ramp, fields], _SIDE_PX // 2, axis=0).astype(np.uint8)
