"""Attack 10: a network that learns to remove marks from pairs made with this very program.

Published removal networks come without weights and fail on marks they were not trained on; one that is
trained on the logo and the program in question is the fair worst case. Needs the extra ``torch``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from medlocker.attacks import Bytes, Floats, shrink
from medlocker.errors import InputError
from medlocker.evaluate.removal._evidence import Attack, AttackInfo, Evidence
from medlocker.evaluate.removal._painter import KINDS, Kind, MarkPainter
from medlocker.evaluate.removal.plan import RemoverObserver, TrainingConfig, training_digest
from medlocker.evaluate.removal.tiles import repaint
from medlocker.evaluate.removal.windows import STORED, WindowMaker, digest_of
from medlocker.options import DEFAULT_MINUTES

if TYPE_CHECKING:
    from medlocker.evaluate.removal.course import Remover

NAME = "removal network"
WORK_PX = 384
"""Longer side at which the network works: finer than what classifiers are given of most images."""
STORED_PX = round(STORED * WORK_PX)
"""Longer side of the clean pictures that it learns from."""

_KNOWS = "the logo, this program and clean images of the same kind"
_VALIDATED = 8
"""Every so manieth picture ends the training instead of being learned from."""


@dataclass(frozen=True, eq=False)
class NetworkLearner:
    """Trains the network.

    Args:
        minutes: Of training at most; it ends earlier where nothing is gained any more.
        kinds: Of marks that are painted.
        folder: Where an interrupted training is kept; None keeps nothing.
    """

    minutes: float = DEFAULT_MINUTES
    course: TrainingConfig = field(default_factory=lambda: TrainingConfig())
    kinds: tuple[Kind, ...] = KINDS
    folder: Path | None = None
    watch: RemoverObserver | None = field(default=None, repr=False)
    facts: ClassVar[AttackInfo] = AttackInfo(10, _KNOWS, (NAME,), control="transform", longest_px=WORK_PX)

    def learn(self, crowd: Sequence[Evidence], *, public: Sequence[Bytes], seed: int) -> Attack:
        """Train on marks put on the public images.

        Raises:
            InputError: If there are none, or the logo is not known.
            ModelError: If the loss becomes NaN.
            WriteError: If the system refuses to keep the training.
        """
        logo = next((one.logo for one in crowd if one.logo is not None), None)
        if logo is None or not public:
            raise InputError("expected the logo and clean images of the same kind")
        from medlocker.evaluate.removal.course import train_remover  # needs torch

        course = self.course
        pictures = [shrink(picture, STORED_PX) for picture in public]
        paint = MarkPainter(logo, kinds=self.kinds)
        learned = [picture for k, picture in enumerate(pictures) if k % _VALIDATED] or pictures
        train, validation = (
            WindowMaker(some, paint, side_px=course.side_px, longest_px=WORK_PX)
            for some in (learned, pictures[::_VALIDATED])
        )
        digest = training_digest(
            course,
            painter=paint.digest,
            pictures=digest_of(pictures),
            longest_px=WORK_PX,
            seed=seed,
        )
        remover = train_remover(
            train,
            validation,
            course,
            seed=seed,
            minutes=self.minutes,
            folder=self.folder,
            digest=digest,
            watch=self.watch,
        )
        return NetworkAttack(remover, course.side_px, _told(remover))


@dataclass(frozen=True, eq=False)
class NetworkAttack:
    """Lets the network repaint the image, and takes from that what lies where marks are.

    Args:
        network: From (N, side, side, 3) float32 in 0..1 to the same.
        note: How it was trained, one sentence.
    """

    network: Callable[[Floats], Floats]
    side_px: int
    note: str = ""
    facts: ClassVar[AttackInfo] = NetworkLearner.facts

    def restore(self, evidence: Evidence) -> dict[str, Bytes]:
        """Repaint in overlapping tiles."""
        made = repaint(evidence.marked, self.network, side_px=self.side_px)
        return {NAME: np.where(evidence.mask[..., None], made, evidence.marked)}


def _told(remover: Remover) -> str:
    """Return how a network was trained, and whether more training would have helped."""
    about = f"{NAME}: {remover.weights:,} weights, {remover.steps:,} steps"
    if remover.settled:
        return f"{about}, trained until nothing was gained any more ({_minutes(remover)} minutes)"
    falling = "validation loss still falling" if remover.falling else "validation loss nearly level"
    return f"{about}, stopped after {_minutes(remover)} minutes, {falling}"


def _minutes(remover: Remover) -> str:
    """Return the length of a training; one of seconds is not one of 0 minutes."""
    return f"{remover.minutes:.0f}" if remover.minutes >= 1 else f"{remover.minutes:.1f}"
