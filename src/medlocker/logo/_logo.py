"""The owner's logo: an RGBA picture, read with limits and kept in one canonical form."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from medlocker.errors import InputError

MAX_FILE_BYTES = 32 * 1024 * 1024
MAX_SIDE_PX = 4096


@dataclass(frozen=True, eq=False)
class Logo:
    """A logo ready to be rendered at any size.

    Args:
        rgba: (h, w, 4) uint8, straight alpha; colours under alpha 0 are black.
        notes: What was assumed when reading (for instance: no alpha channel).
    """

    rgba: NDArray[np.uint8]
    notes: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the size and the RGBA samples, 64 hex digits."""
        height, width = self.rgba.shape[:2]
        head = f"medlocker-logo-v1 {height} {width}\n".encode("ascii")
        return hashlib.sha256(head + self.rgba.tobytes()).hexdigest()

    def to_png(self) -> bytes:
        """Return the logo as an RGBA PNG without metadata."""
        stream = io.BytesIO()
        PillowImage.fromarray(self.rgba, "RGBA").save(stream, "PNG")
        return stream.getvalue()


def load_logo(data: bytes, *, name: str) -> Logo:
    """Read a logo from the bytes of any picture Pillow knows, best an RGBA PNG.

    Transparent margins are cut off, so that ``size`` is the size of what is seen. A picture without
    alpha is taken as a fully covering rectangle, which ``notes`` says.

    Args:
        data: The file's bytes, at most 32 MiB.
        name: File name for messages.

    Raises:
        InputError: If it is no picture, larger than 4096 pixels a side, or fully transparent.
    """
    if len(data) > MAX_FILE_BYTES:
        raise InputError(
            f"logo {name}: expected at most {MAX_FILE_BYTES} bytes, got {len(data)}", subject=name
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = PillowImage.open(io.BytesIO(data))
            if max(picture.size) > MAX_SIDE_PX:
                raise InputError(
                    f"logo {name}: expected at most {MAX_SIDE_PX} pixels a side, got "
                    f"{picture.size[0]} x {picture.size[1]}",
                    subject=name,
                )
            has_alpha = "A" in picture.getbands() or "transparency" in picture.info
            rgba = np.array(picture.convert("RGBA"))
    except InputError:
        raise
    except Exception as error:  # Pillow raises many kinds; all mean the same to the user
        raise InputError(
            f"logo {name}: expected a picture, got a file that cannot be decoded",
            subject=name,
            hint="a PNG with a transparent background works best",
        ) from error
    notes = () if has_alpha else (f"logo {name} has no alpha channel: it covers its whole rectangle",)
    return _canonical(rgba, name, notes)


def _canonical(rgba: NDArray[np.uint8], name: str, notes: tuple[str, ...]) -> Logo:
    seen = rgba[..., 3] > 0
    if not seen.any():
        raise InputError(
            f"logo {name}: expected something visible, got a fully transparent picture", subject=name
        )
    rows, cols = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    cut = rgba[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1].copy()
    cut[cut[..., 3] == 0] = 0
    return Logo(cut, notes)
