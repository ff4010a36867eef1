"""What all test vectors are made of: fixed keys, a logo, pictures."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import Any

import numpy as np
from PIL import Image as Pillow

from medlocker.certificates import ReleaseSecret, SigningKey
from medlocker.certificates._age import secret_text
from medlocker.logo import Logo

Vector = dict[str, Any]
CREATED = "2026-01-31T12:00:00Z"


def fixed(text: str) -> bytes:
    """Return 32 bytes that belong to a text."""
    return hashlib.sha256(f"medlocker test vector: {text}".encode("ascii")).digest()


SIGNING, STRANGER = SigningKey(fixed("owner")), SigningKey(fixed("stranger"))
OWNER_AGE = secret_text(fixed("owner's age key"))
SECRET = ReleaseSecret(fixed("release id").hex()[:32], fixed("release secret"))


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def logo() -> Logo:
    """Return a logo of 12 x 9 pixels with soft edges."""
    rgba = np.random.default_rng(5).integers(0, 256, (9, 12, 4)).astype(np.uint8)
    rgba[..., 3] = np.where(rgba[..., 3] < 90, 0, np.where(rgba[..., 3] > 160, 255, rgba[..., 3]))
    rgba[rgba[..., 3] == 0] = 0
    rgba[0, 0] = rgba[-1, -1] = (250, 10, 90, 255)
    return Logo(rgba)


def picture(shape: tuple[int, ...], dtype: str) -> bytes:
    pixels = np.random.default_rng(11).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    stream = io.BytesIO()
    Pillow.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
