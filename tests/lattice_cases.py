"""What veils look like to the last bit: digests of colours and weights, the same on every machine.

After a change that is meant to change them ``python tests/lattice_cases.py`` writes the table anew. Veils
that are released must never look otherwise than they did, or their images cannot be restored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medlocker.geometry import Box
from medlocker.images import Image, Kind
from medlocker.logo import Logo
from medlocker.marking import render_layer, render_layer_coarsely
from medlocker.veil import Veil
from veils import make_veil

TABLE = Path(__file__).with_name("lattice_digests.json")
BOXES = (Box(10, 8, 12, 9), Box(40, 30, 30, 30), Box(0, 0, 3, 47))

CASES: Mapping[str, tuple[Veil, Kind, int]] = {
    "upright": (make_veil(angle=0, turn=0, scale=0, warp_256=0, stagger=0), "rgb", 8),
    "turned": (make_veil(turn=32768, scale=0, warp_256=0), "rgb", 8),
    "staggered": (make_veil(turn=2000, stagger=21000, scale=0, warp_256=0), "rgb", 8),
    "scaled": (make_veil(scale=500, warp_256=0), "rgb", 8),
    "warped": (make_veil(warp_256=900, negatives=0), "rgb", 8),
    "textured": (make_veil(texture=40), "rgb", 8),
    "negatives": (make_veil(negatives=1, turn=0, scale=0, warp_256=0, stamps=2), "rgb", 8),
    "ground": (make_veil(ground=3000, tint=0x4080FF), "rgb", 8),
    "kept out": (make_veil(keep_out=BOXES, soft_px=4), "rgb", 8),
    "kept out sharply": (make_veil(keep_out=BOXES, soft_px=1), "rgb", 8),
    "grain of 3": (make_veil(grain_px=3, period_px=30, size_px=33, keep_out=BOXES), "rgb", 8),
    "grain of 4, textured": (
        make_veil(grain_px=4, period_px=40, size_px=44, texture=20, warp_256=1000),
        "grey",
        16,
    ),
    "mounted": (make_veil(mounted=1), "rgb", 8),
    "one stamp": (make_veil(stamps=1), "grey", 8),
    "64 stamps": (make_veil(stamps=64, period_px=6, size_px=7), "rgb", 16),
    "overlapping": (make_veil(period_px=12, size_px=18), "rgb", 8),
    "one large copy": (make_veil(period_px=150, size_px=90), "rgb", 8),
    "another key": (make_veil(key="00"), "rgb", 8),
}


def plain_logo() -> Logo:
    """A logo of 24 x 18 pixels with soft edges and all its sides unlike, made by arithmetic alone."""
    y, x = np.mgrid[:18, :24]
    rgba = np.stack([x * 10, y * 14, 255 - x * 5 - y * 5, (x * 29 + y * 17) % 256], axis=2)
    rgba[..., 3] = np.where((x + y) % 7 == 0, 0, np.where(x > 12, 255, rgba[..., 3]))
    rgba[0, 0] = rgba[-1, -1] = (250, 10, 90, 255)
    rgba[rgba[..., 3] == 0] = 0
    return Logo(rgba.astype(np.uint8))


def digest_of(case: str, *, step: int = 1) -> str:
    """SHA-256 over what a case lays over an image of 61 x 47 pixels: shape, weights, colours."""
    veil, kind, bits = CASES[case]
    dtype: Any = np.uint8 if bits == 8 else np.uint16
    image = Image(np.zeros((47, 61, 3 if kind == "rgb" else 1), dtype), kind, "png", b"")
    layer = (
        render_layer(veil, logo=plain_logo(), image=image)
        if step == 1
        else render_layer_coarsely(veil, logo=plain_logo(), image=image, step=step)
    )
    text = hashlib.sha256(repr((layer.x, layer.y, layer.color.shape)).encode("ascii"))
    for part in (layer.weight, layer.color):
        text.update(np.ascontiguousarray(part, part.dtype.newbyteorder("<")).tobytes())
    return text.hexdigest()


if __name__ == "__main__":
    table = {case: digest_of(case) for case in CASES}
    TABLE.write_text(json.dumps(table, indent=1) + "\n", encoding="ascii")
