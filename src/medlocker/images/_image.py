"""What medlocker keeps of one image in memory: pixels as stored, the file's bytes, the format's facts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[Any]
"""(H, W, C), uint8 or uint16, C-contiguous."""

Kind = Literal["grey", "grey-alpha", "rgb", "rgba", "palette"]
"""What the C channels mean: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha, 1 palette index."""

CHANNELS: Mapping[Kind, int] = {"grey": 1, "grey-alpha": 2, "rgb": 3, "rgba": 4, "palette": 1}


class Frames(Protocol):
    """The frames of an object of several, all of one shape, decoded one at a time and never all held."""

    def __len__(self) -> int:
        """Return how many there are, at least 2."""

    def __getitem__(self, index: int, /) -> Pixels:
        """Decode one frame: (H, W, C) of the image's shape and type."""


@dataclass(frozen=True, eq=False)
class Image:
    """One image, pixels exactly as stored (never rotated by an EXIF orientation).

    An object of several frames is one image too: all its frames carry the same marks, for two differently
    marked neighbours would give each other away. Models are shown its middle frame.

    Args:
        pixels: (H, W, C) uint8 or uint16 in the file's own depth; of several frames the middle one.
        kind: What the channels mean.
        format: ``"png"``, ``"tiff"``, ``"bmp"``, ``"jpeg"`` or ``"dicom"``: how the file was stored.
        source: The file's bytes; writing copies metadata from them.
        palette: (N, 3) uint8 for ``kind="palette"``, else None.
        white_is_zero: Grey is stored reversed (TIFF MINISWHITE): 0 is shown white.
        frames: All frames, or None for a still.
        shown: (N,) of the pixels' type: the level that each stored sample is shown as, for every sample that
            occurs; None if that is the sample itself.
        inks: (256,) of the pixels' type: the samples that are shown as levels 0 to 255; given with ``shown``.
        ybr: Colours are stored as luminance and two colour differences (DICOM's YBR_FULL, 8 bits).
        facts: What ``inspect`` shows: names and short values, never metadata that names a person.
    """

    pixels: Pixels
    kind: Kind
    format: str
    source: bytes = field(repr=False)
    palette: NDArray[np.uint8] | None = None
    facts: Mapping[str, str | int | bool] = field(default_factory=dict)
    white_is_zero: bool = False
    frames: Frames | None = field(default=None, repr=False)
    shown: NDArray[Any] | None = field(default=None, repr=False)
    inks: NDArray[Any] | None = field(default=None, repr=False)
    ybr: bool = False

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def bits(self) -> int:
        """Bits of one sample as held in memory: 8 or 16."""
        return int(self.pixels.dtype.itemsize) * 8

    @property
    def orientation(self) -> int:
        """How viewers turn it, 1 to 8 as EXIF counts; 1 is as stored."""
        found = self.facts.get("orientation", 1)
        return found if type(found) is int and 1 <= found <= 8 else 1

    @property
    def color_channels(self) -> int:
        """How many leading channels carry colour (1 or 3); a mark touches only these."""
        return 3 if self.kind in ("rgb", "rgba") else 1


def viewed(image: Image, pixels: Pixels | None = None) -> NDArray[Any]:
    """Return the colours a viewer shows, alpha ignored, as (H, W, 3) in the image's own depth.

    Args:
        image: Gives kind and palette.
        pixels: Other pixels of the same image (for instance marked ones); default the image's own.

    Returns:
        (H, W, 3) uint8 or uint16; grey is repeated (and reversed where zero is white), palette indices are
        looked up.
    """
    stored = image.pixels if pixels is None else pixels
    if image.kind == "palette":
        if image.palette is None:  # a reader's bug, not a user's
            raise ValueError("palette image without a palette")
        table = np.zeros((256, 3), np.uint8)
        table[: len(image.palette)] = image.palette
        return np.asarray(table[stored[..., 0]])
    if image.shown is not None:
        levels = image.shown[stored[..., : image.color_channels]]
        return levels if levels.shape[2] == 3 else np.repeat(levels, 3, axis=2)
    if image.ybr:
        return ybr_to_rgb(stored)
    if image.color_channels == 3:
        return stored[..., :3]
    grey = np.repeat(stored[..., :1], 3, axis=2)
    return np.iinfo(grey.dtype).max - grey if image.white_is_zero else grey


def ybr_to_rgb(pixels: Pixels) -> NDArray[np.uint8]:
    """Return the colours of (H, W, 3) uint8 luminance and colour differences (PS3.3, C.7.6.3.1.2)."""
    # OpenCV has the red difference before the blue one
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels[..., [0, 2, 1]]), cv2.COLOR_YCrCb2RGB))


def rgb_to_ybr(colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (h, w, 3) uint8 colours as luminance and colour differences, in integers of 1/65536."""
    wide = colors.astype(np.int64)
    rows = np.array(((19595, 38470, 7471), (-11058, -21710, 32768), (32768, -27439, -5329)), np.int64)
    mixed = (wide @ rows.T + (32768, (128 << 16) + 32768, (128 << 16) + 32768)) >> 16
    return mixed.clip(0, 255).astype(np.uint8)


def content_digest(image: Image) -> str:
    """Return the digest of all pixels of an image: :func:`pixel_digest`, or :func:`frames_digest` of several.

    Returns:
        64 lower-case hex digits.
    """
    frames = image.frames
    if frames is None:
        return pixel_digest(image.pixels)
    return frames_digest((frames[i] for i in range(len(frames))), count=len(frames), like=image.pixels)


def frames_digest(frames: Iterable[Pixels], *, count: int, like: Pixels) -> str:
    """Return the SHA-256 of several frames, one after the other; see :class:`FramesHash`.

    Args:
        frames: ``count`` of them, (H, W, C) each.
        count: How many.
        like: Pixels of the shape and type of each.
    """
    digest = FramesHash(count=count, like=like)
    for frame in frames:
        digest.update(frame)
    return digest.hexdigest()


class FramesHash:
    """The SHA-256 of several frames while they pass by.

    The hashed bytes are ``medlocker-frames-v1 N H W C BITS\\n`` in ASCII, then the samples frame by frame,
    row by row, 16-bit ones little-endian.

    Args:
        count: How many frames there will be.
        like: Pixels of the shape and type of each, (H, W, C).
    """

    def __init__(self, *, count: int, like: Pixels) -> None:
        height, width, channels = like.shape
        header = f"medlocker-frames-v1 {count} {height} {width} {channels} {like.dtype.itemsize * 8}\n"
        self._digest = hashlib.sha256(header.encode("ascii"))

    def update(self, frame: Pixels) -> None:
        """Add the next frame, (H, W, C)."""
        self._digest.update(_little_endian(frame))

    def hexdigest(self) -> str:
        """Return 64 lower-case hex digits."""
        return self._digest.hexdigest()


def _little_endian(pixels: Pixels) -> memoryview:
    return np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<")).data.cast("B")


def pixel_digest(pixels: Pixels) -> str:
    """Return the SHA-256 of pixels, independent of file format and machine byte order.

    The hashed bytes are ``medlocker-pixels-v1 H W C BITS\\n`` in ASCII, then the samples row by row,
    16-bit ones little-endian.

    Returns:
        64 lower-case hex digits.
    """
    height, width, channels = pixels.shape
    bits = pixels.dtype.itemsize * 8
    digest = hashlib.sha256(f"medlocker-pixels-v1 {height} {width} {channels} {bits}\n".encode("ascii"))
    digest.update(_little_endian(pixels))
    return digest.hexdigest()
