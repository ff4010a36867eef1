"""Attack 7 with many images: a texture that all marks share, averaged over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import cv2
import numpy as np

from medlocker.attacks import Bytes, Floats, smoothest, to_bytes
from medlocker.evaluate.removal._evidence import Attack, AttackInfo, Evidence
from medlocker.evaluate.removal._invert import invert
from medlocker.evaluate.removal._known import Finder, FoundMark, as_rendered, pasted, undone
from medlocker.evaluate.removal._locate import window_of
from medlocker.evaluate.removal._matte import best_opacity
from medlocker.logo import Raster

_FACTS = AttackInfo(7, "the logo, this program and many marked images", ("texture averaged",), on="marks")
_CELLS = 128
_LEAST = 3


@dataclass(frozen=True, eq=False)
class AveragedTextureLearner:
    """Knows the logo and averages over many marks what was added to its colours.

    A searched texture lies in the frame of the rendered logo, whatever the logo's size and turn: so do the
    averages.
    """

    finder: Finder
    facts: ClassVar[AttackInfo] = _FACTS

    def learn(self, crowd: Sequence[Evidence], *, public: Sequence[Bytes], seed: int) -> Attack:
        """Average over the marks; each counts by how well it shows the logo."""
        total = np.zeros((_CELLS, _CELLS, 3), np.float32)
        weights = np.zeros((_CELLS, _CELLS, 1), np.float32)
        count = 0
        for one in crowd:
            mark = self.finder.largest(one)
            if mark is not None:
                added, weight = _added(one, mark)
                total += _resized(added * weight)
                weights += _resized(weight)
                count += 1
        if count < _LEAST:
            return AveragedTextureAttack(self.finder, None)
        return AveragedTextureAttack(
            self.finder, np.asarray(total / np.maximum(weights, 1e-3), dtype=np.float32)
        )


@dataclass(frozen=True, eq=False)
class AveragedTextureAttack:
    """Inverts the known logo with the colours that many images have shown.

    Args:
        added: (128, 128, 3) float32, what is added to the logo's colours; None if too few images show it.
    """

    finder: Finder
    added: Floats | None
    facts: ClassVar[AttackInfo] = _FACTS

    def restore(self, evidence: Evidence) -> dict[str, Bytes]:
        """Invert every mark that is found."""
        if self.added is None or evidence.logo is None:
            return {"texture averaged": evidence.marked}
        logo = as_rendered(evidence.logo, evidence.marked)
        better = []
        for mark in self.finder(evidence):
            plain = mark.inverted.guess.raster(logo)
            height, width = plain.coverage.shape
            added = cv2.resize(self.added, (width, height), interpolation=cv2.INTER_LINEAR)
            color = to_bytes(plain.color + added) * (plain.coverage[..., None] > 0)
            raster = Raster(np.asarray(color, dtype=np.uint8), plain.coverage)
            part = evidence.marked[mark.window]
            window = window_of(raster, mark.inverted.guess)
            opacity = best_opacity(
                part[window].astype(np.float32), raster.color.astype(np.float32), _share(plain)
            )
            guess = replace(mark.inverted.guess, opacity=round(opacity * 65535))
            restored = invert(part, raster, guess)
            better.append(
                FoundMark(mark.window, replace(mark.inverted, restored=restored, guess=guess, raster=raster))
            )
        return {"texture averaged": pasted(evidence.marked, better, undone)}


def _added(one: Evidence, mark: FoundMark) -> tuple[Floats, Floats]:
    """Return (h, w, 3) what a mark adds to the logo's colours, and (h, w, 1) how well that is known."""
    part, mask = one.marked[mark.window], one.mask[mark.window]
    window = window_of(mark.inverted.raster, mark.inverted.guess)
    weight = np.float32(mark.inverted.guess.opacity / 65535) * _share(mark.inverted.raster)
    under = smoothest(part, mask, order=1)[window]
    color = (part[window] - (1 - weight) * under) / np.maximum(weight, 0.05)
    added = np.clip(color - mark.inverted.raster.color, -128, 128)
    known = np.where(weight > 0.05, (weight / (1.05 - weight)) ** 2, 0)
    return np.asarray(added, dtype=np.float32), np.asarray(known, dtype=np.float32)


def _share(raster: Raster) -> Floats:
    return np.asarray(raster.coverage[..., None].astype(np.float32) / np.float32(255))


def _resized(plane: Floats) -> Floats:
    made = cv2.resize(plane, (_CELLS, _CELLS), interpolation=cv2.INTER_LINEAR)
    return np.asarray(made, dtype=np.float32).reshape(_CELLS, _CELLS, -1)
