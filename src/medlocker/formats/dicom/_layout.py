"""What the header of a DICOM image says about its samples, checked before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.formats.dicom._parts import Parts
from medlocker.images import Kind, Limits, check_frames, check_size, refuse

SAMPLES, PHOTOMETRIC, PLANAR, FRAMES = 0x00280002, 0x00280004, 0x00280006, 0x00280008
ROWS, COLUMNS = 0x00280010, 0x00280011
ALLOCATED, STORED, HIGH, SIGNED = 0x00280100, 0x00280101, 0x00280102, 0x00280103
_GREYS = ("MONOCHROME1", "MONOCHROME2")
_PALETTE = "PALETTE COLOR"
_CODED = ("YBR_ICT", "YBR_RCT")
"""Transforms inside JPEG 2000: decoding undoes them."""
_COLORS = ("RGB", "YBR_FULL", "YBR_FULL_422", *_CODED)

_MOST_STRAY = 64
"""Bytes behind the pixels that need not be zero, if they are no more than a row either."""

Words = NDArray[Any]
"""(H, W, C) uint8 or uint16: whole words as stored, whatever their unused bits hold."""


@dataclass(frozen=True)
class Layout:
    """How the samples of one frame are kept.

    Args:
        height: Rows.
        width: Columns.
        samples: 1 or 3 in a pixel.
        photometric: Photometric interpretation.
        planar: Colours are stored plane by plane.
        allocated: Bits of a word, 8 or 16.
        stored: Bits of a sample in it.
        high: Number of a sample's highest bit.
        signed: Samples are two's complement.
        frames: Their number.
        pair_bytes: Bytes of an 8-bit stream are swapped in pairs (words of big-endian files).
    """

    height: int
    width: int
    samples: int
    photometric: str
    planar: bool
    allocated: int
    stored: int
    high: int
    signed: bool
    frames: int
    pair_bytes: bool

    @property
    def kind(self) -> Kind:
        """What the channels mean in memory."""
        if self.samples == 3:
            return "rgb"
        return "palette" if self.photometric == _PALETTE else "grey"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Unsigned type of a word."""
        return np.dtype(np.uint8 if self.allocated == 8 else np.uint16)

    @property
    def shared_color(self) -> bool:
        """Whether two pixels share their colour differences."""
        return self.photometric == "YBR_FULL_422"

    def with_photometric(self, photometric: str) -> Layout:
        """Return the layout with another colour model."""
        return replace(self, photometric=photometric)

    @property
    def shift(self) -> int:
        """Unused bits below a sample."""
        return self.high + 1 - self.stored

    @property
    def sign(self) -> int:
        """The sign's bit in a sample, 0 if there is none."""
        return 1 << self.stored - 1 if self.signed else 0

    @property
    def unused(self) -> int:
        """The bits of a word that belong to no sample."""
        return ((1 << self.allocated) - 1) ^ ((1 << self.stored) - 1 << self.shift)

    @property
    def above(self) -> int:
        """The unused bits above a sample."""
        return ((1 << self.allocated) - 1) ^ ((1 << self.high + 1) - 1)

    @property
    def frame_bytes(self) -> int:
        """Length of one frame that is not compressed."""
        count = self.height * self.width * (2 if self.shared_color else self.samples)
        return count * self.allocated // 8


def read_layout(parts: Parts, name: str, *, limits: Limits) -> Layout:
    """Read and check how samples are kept.

    Raises:
        UnsupportedImageError: If the header lacks something, contradicts itself, or is beyond the limits.
    """
    width, height = parts.number(COLUMNS, 0), parts.number(ROWS, 0)
    check_size(name, width=width, height=height, limits=limits)
    photometric = parts.text(PHOTOMETRIC)
    if not photometric:
        refuse(name, "expected a photometric interpretation, got none")
    samples = parts.number(SAMPLES, 1)
    suiting = {1: (*_GREYS, _PALETTE), 3: _COLORS}.get(samples, ())
    if photometric not in suiting or (photometric in _CODED and not parts.encapsulated):
        refuse(
            name,
            "expected MONOCHROME1, MONOCHROME2, PALETTE COLOR, RGB or YBR, got another colour model or "
            f"{samples} samples per pixel that do not fit it",
        )
    allocated = parts.number(ALLOCATED, 0)
    if allocated not in (8, 16):
        refuse(name, f"expected 8 or 16 bits allocated, got {allocated}")
    stored = parts.number(STORED, allocated)
    high, signed = parts.number(HIGH, stored - 1), parts.number(SIGNED, 0)
    if not 1 <= stored <= high + 1 <= allocated:
        refuse(name, f"expected {stored} bits stored to lie inside {allocated} allocated, got another place")
    if signed not in (0, 1) or (signed and photometric not in _GREYS):
        refuse(name, "expected unsigned colours")
    if photometric == _PALETTE and stored > 8:
        refuse(name, f"expected palette indices of at most 8 bits, got {stored}")
    if photometric.startswith("YBR") and (allocated, stored) != (8, 8):
        refuse(name, f"expected YBR samples of 8 bits, got {stored} of {allocated}")
    shared = photometric == "YBR_FULL_422" and not parts.encapsulated
    if shared and width % 2:
        refuse(name, f"expected an even width for shared colours, got {width}")
    frames = _frames(parts, name)
    layout = Layout(
        height=height,
        width=width,
        samples=samples,
        photometric=photometric,
        planar=samples == 3 and parts.number(PLANAR, 0) == 1,
        allocated=allocated,
        stored=stored,
        high=high,
        signed=bool(signed),
        frames=frames,
        pair_bytes=parts.dialect.order == ">" and allocated == 8 and parts.pixel_vr == "OW",
    )
    check_frames(name, count=frames, frame_bytes=height * width * samples * allocated // 8, limits=limits)
    return layout


def check_payload(parts: Parts, layout: Layout, name: str) -> None:
    """Refuse uncompressed pixels of another length than the header says.

    Zeros behind them are padding, and so are a few other bytes; more could be a picture that nobody would
    mark.

    Raises:
        UnsupportedImageError: If it is another.
    """
    size = layout.frames * layout.frame_bytes
    if len(parts.payload) < size:
        refuse(name, f"expected {size} bytes of pixels, got {len(parts.payload)}")
    rest = parts.payload[size + size % 2 :]
    row = layout.frame_bytes // layout.height
    if len(rest) > min(row, _MOST_STRAY) and np.frombuffer(rest, np.uint8).any():
        refuse(name, f"expected {size} bytes of pixels, got {len(parts.payload)}")


def _frames(parts: Parts, name: str) -> int:
    text = parts.text(FRAMES).removeprefix("+")
    if not text:
        return 1
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        refuse(name, "expected a number of frames in (0028,0008), got something else")
    return max(int(text), 1)  # some writers say 0 of a still


def to_pixels(words: Words, layout: Layout) -> Words:
    """Return samples as medlocker keeps them: no unused bits, and signed ones moved up to begin at 0."""
    if layout.stored == layout.allocated and not layout.signed:
        return words
    samples = words >> layout.dtype.type(layout.shift)
    samples &= layout.dtype.type((1 << layout.stored) - 1)
    samples ^= layout.dtype.type(layout.sign)
    return np.asarray(samples)


def to_words(pixels: Words, layout: Layout, *, like: Words) -> Words:
    """Return words for samples: the inverse of :func:`to_pixels`.

    Unused bits stay as they are in ``like``. Above a negative sample they are usually ones; where the sign
    changes they change with it, so that what differs from that rule stays just so different.
    """
    if layout.stored == layout.allocated:
        return np.asarray(pixels ^ layout.dtype.type(layout.sign)) if layout.signed else pixels
    kind = layout.dtype.type
    words = (pixels ^ kind(layout.sign)) << kind(layout.shift)
    old = _sign_extension(like, layout)
    words |= (like & kind(layout.unused)) ^ old
    words ^= _sign_extension(words, layout)
    return np.asarray(words)


def _sign_extension(words: Words, layout: Layout) -> Words:
    """Return what the bits above each sample would be if they repeated its sign."""
    kind = layout.dtype.type
    if not layout.signed:
        return np.zeros_like(words)
    return np.asarray(np.where(words & kind(1 << layout.high), kind(layout.above), kind(0)))


def sign_extended(words: Words, layout: Layout) -> Words:
    """Return words of decoders that know no signs, with their signs repeated above where all is zero."""
    if not layout.signed or not layout.above or (words & layout.dtype.type(layout.above)).any():
        return words
    return np.asarray(words | _sign_extension(words, layout))
