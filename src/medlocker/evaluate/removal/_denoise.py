"""Attack 5: denoising the whole image, blind to the mark."""

from __future__ import annotations

from medlocker.attacks import fewer_bits, non_local_means, total_variation, wavelets
from medlocker.evaluate.removal._transforms import TransformAttack


def denoising_attacks() -> list[TransformAttack]:
    """Return attack 5."""
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
