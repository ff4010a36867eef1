"""Attack 8: painting the mark over from its surroundings, which needs nothing but to see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from medlocker.attacks import CAPPED_PX, Bytes, fill_biharmonic, fill_harmonic, fill_mean, fill_telea
from medlocker.evaluate.removal._evidence import AttackInfo, Evidence


@dataclass(frozen=True)
class FillAttack:
    """Fills the masked pixels in, in four ways."""

    facts: ClassVar[AttackInfo] = AttackInfo(
        8,
        "where the mark is",
        ("filled, mean", "filled, harmonic", "filled, Telea", "filled, biharmonic"),
        control="same",
        longest_px=CAPPED_PX,
        on="marks",
    )

    def restore(self, evidence: Evidence) -> dict[str, Bytes]:
        """Fill in by each way."""
        ways = (fill_mean, fill_harmonic, fill_telea, fill_biharmonic)
        marked, mask = evidence.marked, evidence.mask
        return {name: way(marked, mask) for name, way in zip(self.facts.variants, ways, strict=True)}
