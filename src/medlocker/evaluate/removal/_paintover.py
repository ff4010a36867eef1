"""Attack 18: a veil painted over, by three people who need nothing but to see where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from medlocker.attacks import CAPPED_PX, Bytes, Mask, smoothest, to_bytes
from medlocker.evaluate.removal._evidence import AttackInfo, Evidence

_SOLVED_PX = 256
"""About a classifier's input: finer detail of a filling is never seen."""
_KEPT_OUT = 0.06
"""Smallest side of what is taken for kept out, share of the shorter side: gaps between copies are smaller."""
_GREY = 128


@dataclass(frozen=True)
class VeilPaintedOver:
    """Fills the copies' strokes from between them; fills all but what was kept out; shows only that."""

    facts: ClassVar[AttackInfo] = AttackInfo(
        18,
        "where the veil is",
        ("ink filled, harmonic", "ink filled, Telea", "all but keep-outs filled", "only keep-outs kept"),
        control="same",
        longest_px=CAPPED_PX,
        on="veils",
    )

    def restore(self, evidence: Evidence) -> dict[str, Bytes]:
        """Paint over in each way."""
        pixels, ink = evidence.marked, evidence.mask
        veiled = ~kept_out(ink)
        ways = (
            _smooth(pixels, ink),
            _marched(pixels, ink),
            _smooth(pixels, veiled),
            np.where(veiled[..., None], np.uint8(_GREY), pixels),
        )
        return dict(zip(self.facts.variants, ways, strict=True))


def kept_out(ink: Mask) -> Mask:
    """Return what seems kept out of a veil: squares without ink that are larger than gaps between copies.

    Args:
        ink: (h, w) bool, where the image carries the veil.
    """
    side = max(round(_KEPT_OUT * min(ink.shape)), 3) | 1  # an even square would be opened beside its place
    framed = cv2.copyMakeBorder((~ink).astype(np.uint8), side, side, side, side, cv2.BORDER_REPLICATE)
    opened = cv2.morphologyEx(framed, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
    return np.asarray(opened[side:-side, side:-side] > 0)


def _smooth(pixels: Bytes, inside: Mask) -> Bytes:
    return to_bytes(smoothest(pixels, inside, order=1, solved_px=_SOLVED_PX))


def _marched(pixels: Bytes, inside: Mask) -> Bytes:
    if inside.all():  # there is nothing to march from, and the veil would stay as it is
        return np.full_like(pixels, _GREY)
    filled = cv2.inpaint(pixels, inside.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    return np.asarray(filled, dtype=np.uint8)
