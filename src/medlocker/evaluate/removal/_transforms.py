"""Attacks 1 to 5: what anybody does to a file before classifying it, on purpose or not; denoising."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from medlocker.attacks import (
    CAPPED_PX,
    Bytes,
    crop_middle,
    downscale_and_upscale,
    fewer_bits,
    gaussian,
    jpeg,
    median,
    mirror,
    non_local_means,
    total_variation,
    wavelets,
)
from medlocker.evaluate.removal._evidence import WHOLE_PX, AttackInfo, Evidence

Transform = Callable[[Bytes], Bytes]


@dataclass(frozen=True, eq=False)
class TransformAttack:
    """Changes the whole image without looking for a mark.

    Args:
        number: In the list of attacks.
        transforms: From the row's name to the change.
        comparable: Whether pixels stay in their places.
        longest_px: Largest side it works at.
    """

    number: int
    transforms: Mapping[str, Transform]
    comparable: bool = True
    longest_px: int = CAPPED_PX

    @property
    def facts(self) -> AttackInfo:
        """What is told of it."""
        return AttackInfo(
            self.number,
            "nothing",
            tuple(self.transforms),
            control="transform",
            longest_px=self.longest_px,
            comparable=self.comparable,
        )

    def restore(self, evidence: Evidence) -> dict[str, Bytes]:
        """Apply each transform."""
        return {name: change(evidence.marked) for name, change in self.transforms.items()}


def transform_attacks() -> list[TransformAttack]:
    """Return attacks 1 to 4."""
    return [
        TransformAttack(1, {"none": lambda p: p}, longest_px=WHOLE_PX),
        TransformAttack(2, {f"jpeg {q}": partial(jpeg, quality=q) for q in (90, 75, 50)}),
        TransformAttack(
            3,
            {
                **{f"blur {s}": partial(gaussian, sigma=s) for s in (1, 2)},
                **{f"median {s}": partial(median, side=s) for s in (3, 5)},
            },
        ),
        TransformAttack(4, {f"resize {s:g}": partial(downscale_and_upscale, scale=s) for s in (0.75, 0.5)}),
        TransformAttack(
            4,
            {
                "crop 90 %": partial(crop_middle, share=0.9),
                "flip": mirror,
            },
            comparable=False,
        ),
    ]


def denoising_attacks() -> list[TransformAttack]:
    """Return attack 5: denoising the whole image, blind to the mark."""
    return [
        TransformAttack(
            5,
            {
                "total variation": total_variation,
                "non-local means": non_local_means,
                "wavelets": wavelets,
                "4 bits": fewer_bits,
            },
        )
    ]
