"""Which attacks a level of the battery holds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from medlocker.attacks import Attack as UsersOwn
from medlocker.errors import InputError
from medlocker.evaluate.removal._averaged import AveragedTextureLearner
from medlocker.evaluate.removal._difference import DifferenceAttack
from medlocker.evaluate.removal._evidence import Attack, AttackInfo, Learner, VotingAttack
from medlocker.evaluate.removal._fill import FillAttack
from medlocker.evaluate.removal._known import Finder, KnownLogoAttack, WarpAttack
from medlocker.evaluate.removal._matting import MattingLearner
from medlocker.evaluate.removal._network import NetworkLearner
from medlocker.evaluate.removal._paintover import VeilPaintedOver
from medlocker.evaluate.removal._result import VariantInfo
from medlocker.evaluate.removal._retrain import MarkedImageTraining
from medlocker.evaluate.removal._trainingattack import TrainingAttack
from medlocker.evaluate.removal._transforms import denoising_attacks, transform_attacks
from medlocker.evaluate.removal._users import UsersAttack
from medlocker.evaluate.removal._votes import vote_attacks
from medlocker.evaluate.removal.prepared import RandomMarkTraining
from medlocker.evaluate.removal.unveil import AlikeAttack, GridFinder, LatticeAttack, NotchAttack
from medlocker.options import DEFAULT_MINUTES

Level = Literal["standard", "full"]

NEED_THE_LOGO = frozenset({6, 7, 10, 14, 15, 16})
"""Numbers of the attacks that start from the owner's logo."""
FULL_ONLY = frozenset({10, 13, 14, 15})
"""Numbers of the attacks that the level ``standard`` leaves out."""


@dataclass(frozen=True)
class Battery:
    """Attacks in the order of their numbers.

    Args:
        learners: Become attacks once they have seen several images.
        votes: Ask the classifier many times.
        lessons: Train the classifier itself on.
        minutes: Of the training of one network at most, where that has no other end.
    """

    attacks: tuple[Attack, ...]
    learners: tuple[Learner, ...]
    votes: tuple[VotingAttack, ...]
    lessons: tuple[type[TrainingAttack], ...]
    minutes: float = DEFAULT_MINUTES

    @property
    def facts(self) -> tuple[AttackInfo, ...]:
        """What is told of each, lessons left out."""
        return (
            *(one.facts for one in self.attacks),
            *(one.facts for one in self.learners),
            *(one.facts for one in self.votes),
        )

    @property
    def kinds(self) -> tuple[VariantInfo, ...]:
        """One for each row, in the order of the numbers."""
        found = [
            VariantInfo(name, facts.number, facts.knows, facts.combined)
            for facts in self.facts
            for name in facts.variants
        ]
        found += [VariantInfo(one.name, one.number, one.knows, False) for one in self.lessons]
        return tuple(sorted(found, key=lambda kind: kind.number))


def make_battery(
    level: Level = "standard",
    *,
    names: Collection[str] | None = None,
    minutes: float = DEFAULT_MINUTES,
    own: Sequence[UsersOwn] = (),
    seed: int = 0,
) -> Battery:
    """Return the attacks of a level.

    Args:
        level: ``standard`` leaves out what trains a network (10, 13, 15) and what a release never
            gives (14).
        names: Only attacks that have one of these rows; ``none`` is always among them.
        minutes: Of the training of one network at most; of a prepared classifier both halves together.
        own: Attacks of the user's own, which are always among them.
        seed: Of the randomness of these.

    Raises:
        InputError: If a name or the level is not known, a name is there twice, or there is no time.
    """
    if level not in ("standard", "full"):
        raise InputError(f"removal: expected standard or full, got {level!r:.40}")
    if not minutes > 0:
        raise InputError(f"removal: expected minutes of training above 0, got {minutes:g}")
    finder, grids = Finder(), GridFinder()
    attacks: list[Attack] = [
        *transform_attacks(),
        *denoising_attacks(),
        KnownLogoAttack(finder),
        WarpAttack(finder),
        FillAttack(),
        LatticeAttack(grids),
        AlikeAttack(grids),
        NotchAttack(grids),
        VeilPaintedOver(),
    ]
    learners: list[Learner] = [AveragedTextureLearner(finder), MattingLearner()]
    if level == "full":
        attacks.append(DifferenceAttack())
        learners.append(NetworkLearner(minutes))
    lessons: tuple[type[TrainingAttack], ...] = (
        (MarkedImageTraining, RandomMarkTraining) if level == "full" else ()
    )
    whole = Battery(tuple(attacks), tuple(learners), tuple(vote_attacks()), lessons, minutes)
    if own:
        whole = replace(whole, attacks=(*whole.attacks, *(UsersAttack(one, seed) for one in own)))
        every = [kind.name for kind in whole.kinds]
        for one in own:
            if every.count(one.name) > 1:
                raise InputError(f"attack {one.name}: expected a name that no other attack has")
    if names is None:
        return whole
    known = [kind.name for kind in whole.kinds]
    if strange := sorted(set(names) - set(known)):
        raise InputError(
            f"removal: expected attacks of the level {level}, got {strange[0]!r:.60}", hint=", ".join(known)
        )
    wanted = {"none", *names, *(one.name for one in own)}
    return Battery(
        tuple(one for one in whole.attacks if wanted & set(one.facts.variants)),
        tuple(one for one in whole.learners if wanted & set(one.facts.variants)),
        tuple(one for one in whole.votes if wanted & set(one.facts.variants)),
        tuple(one for one in whole.lessons if one.name in wanted),
        minutes,
    )
