"""JPEG files of every kind of sampling and coding, written by other libraries than the ones under test."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image as Pillow
from PIL import ImageFile

ImageFile.MAXBLOCK = 1 << 20  # else Pillow cannot write small progressive files of high quality


def jpeg(height: int = 51, width: int = 67, channels: int = 3, *, seed: int = 0, **options: Any) -> bytes:
    """A shaded, grainy picture."""
    y, x = np.mgrid[:height, :width]
    shades = np.stack([x * 3 + y, x + 2 * y, x * y // 9], axis=2) % 256
    grain = np.random.default_rng(seed).integers(0, 40, shades.shape)
    pixels = np.clip(shades * 0.8 + grain, 0, 255).astype(np.uint8)
    picture = Pillow.fromarray(pixels if channels == 3 else pixels[..., 0])
    stream = io.BytesIO()
    picture.save(stream, "JPEG", **({"quality": 90} | options))
    return stream.getvalue()


FILES: dict[str, bytes] = {
    "grey": jpeg(channels=1),
    "grey, progressive": jpeg(channels=1, progressive=True),
    "4:4:4": jpeg(subsampling=0),
    "4:2:2": jpeg(subsampling=1),
    "4:2:0": jpeg(subsampling=2),
    "4:2:0, progressive": jpeg(subsampling=2, progressive=True),
    "4:4:0": simplejpeg.encode_jpeg(
        np.ascontiguousarray(Pillow.open(io.BytesIO(jpeg()))), 80, colorsubsampling="440"
    ),
    "4:1:1": simplejpeg.encode_jpeg(
        np.ascontiguousarray(Pillow.open(io.BytesIO(jpeg()))), 80, colorsubsampling="411"
    ),
    "one block": jpeg(3, 5),
    "restart markers": jpeg(restart_marker_blocks=2),
    "rgb": jpeg(keep_rgb=True),
    "quality 100": jpeg(quality=100),
}
