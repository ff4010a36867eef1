"""How a removal network is to be trained, and what identifies a training: needs no torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from medlocker.errors import InputError

STRIDE = 16
"""Sides of what the network takes are multiples of this many pixels."""

TRAINING_VERSION = 1
"""Raised whenever the same settings train another network."""


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Args:
        side_px: Of the windows that the network learns from, a multiple of 16.
        width: Channels of the first level; 24 make 1.1 million weights.
        batch: Windows a step, a multiple of the windows that are cut from one painted picture.
        lr: Learning rate of AdamW, lowered threefold whenever nothing is gained.
        check_every: Steps between two looks at the validation windows; the training is kept on disk then.
        patience: Looks without a gain before the rate is lowered.
        lowerings: How often it is lowered before training ends.
        gain: Share of the loss that a look must gain to count.
        most_steps: Training ends there in any case.
        checked: Validation windows, a multiple as well.
    """

    side_px: int = 128
    width: int = 24
    batch: int = 8
    lr: float = 1e-3
    check_every: int = 100
    patience: int = 6
    lowerings: int = 2
    gain: float = 0.005
    most_steps: int = 200_000
    checked: int = 64

    def __post_init__(self) -> None:
        if self.side_px % STRIDE or self.side_px <= 0:
            raise InputError(f"removal network: expected windows of {STRIDE}, 32 .. px, got {self.side_px}")


class RemoverObserver:
    """What a caller may want to see; every method does nothing here."""

    def estimated(self, minutes: float) -> None:
        """Training takes this many minutes more at most; told after a few steps."""

    def checked(self, step: int, loss: float, minutes: float) -> None:
        """The validation windows were looked at; so many minutes are over."""


def training_digest(
    course: TrainingConfig, *, painter: str, pictures: str, longest_px: int, seed: int
) -> str:
    """Return the SHA-256 of all that decides what a training comes to, time aside; 64 hex digits."""
    value = {
        "version": TRAINING_VERSION,
        "course": asdict(course),
        "painter": painter,
        "pictures": pictures,
        "longest_px": longest_px,
        "seed": seed,
    }
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("ascii")).hexdigest()
