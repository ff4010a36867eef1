"""The part of the samples' range that is shown: 10 or 12 bits in files of 16, windows of volumes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker.images import Pixels

_ALL_IN_USE = 1 << 15
"""A brightest sample from here on uses all 16 bits."""


@dataclass(frozen=True)
class ShownRange:
    """The samples, as held in memory, that are shown black and white; the levels between lie evenly.

    Args:
        black: 0 to 2^bits - 1.
        white: The same range, another sample; smaller if the picture is stored reversed.
        bits: 8 or 16.
    """

    black: int
    white: int
    bits: int

    def shown(self) -> NDArray[Any]:
        """Return (2^bits,) of the samples' type: the level that each sample is shown as."""
        low, high = sorted((self.black, self.white))
        top = (1 << self.bits) - 1
        samples = np.arange(top + 1, dtype=np.int64).clip(low, high)
        levels = ((samples - low) * top + (high - low) // 2) // (high - low)
        return (top - levels if self.black > self.white else levels).astype(f"u{self.bits // 8}")

    def words(self, *, zero: int = 0) -> str:
        """Say which samples are shown, the least and the greatest, as the file counts them.

        Args:
            zero: The sample in memory that the file calls 0.
        """
        low, high = sorted((self.black, self.white))
        return f"{low - zero} to {high - zero}"

    def inks(self) -> NDArray[Any]:
        """Return (256,) of the samples' type: the samples that are shown as levels 0 to 255."""
        low, high = sorted((self.black, self.white))
        samples = low + (np.arange(256, dtype=np.int64) * (high - low) + 127) // 255
        return (samples[::-1] if self.black > self.white else samples).astype(f"u{self.bits // 8}")


@dataclass(frozen=True)
class ToldRange:
    """The least and the greatest value that a file's metadata name.

    Args:
        low: A value, of signed samples maybe negative.
        high: The same.
        display: It is what shall be shown, whatever samples there are; else it is said to hold all of them,
            and is believed if it does.
        whole: It may also be the whole range of the type; else that says nothing.
    """

    low: float
    high: float
    display: bool = False
    whole: bool = False


def range_of_16_bits(
    colors: Pixels, told: Iterable[ToldRange], *, signed: bool = False, reverse: bool = False
) -> ShownRange | None:
    """Return what is shown of a 16-bit picture, or None if that is all there can be.

    Args:
        colors: (H, W, C) uint16 without alpha; signed samples with their sign bit flipped.
        told: What the file's metadata say; the first that can be believed counts. Else the picture's own
            range does if it leaves the upper half of the type unused.
        signed: Whether the file's samples are signed.
        reverse: Whether the least sample is shown white.
    """
    zero, top = (1 << 15) if signed else 0, (1 << 16) - 1
    least, most = int(colors.min()), int(colors.max())
    for one in told:
        if not (math.isfinite(one.low) and math.isfinite(one.high)):
            continue
        low, high = round(one.low) + zero, round(one.high) + zero
        if not 0 <= low < high <= top or ((low, high) == (0, top) and not one.whole):
            continue
        if one.display or low <= least <= most <= high:
            return _directed(low, high, reverse)
    if least == most or (most >= _ALL_IN_USE and not signed):
        return None
    return _directed(least, most, reverse)


def _directed(low: int, high: int, reverse: bool) -> ShownRange:
    return ShownRange(high, low, 16) if reverse else ShownRange(low, high, 16)
