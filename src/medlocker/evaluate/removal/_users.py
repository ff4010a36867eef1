"""Attacks of the user's own in the battery: one row each, beside the same attack on the clean image."""

from __future__ import annotations

from dataclasses import dataclass

from medlocker.attacks import Attack, Bytes, run_attack
from medlocker.evaluate.removal._evidence import AttackInfo, Evidence

USERS_NUMBER = 99
"""Of all of them: behind the attacks of docs/THREAT_MODEL.md."""


@dataclass(frozen=True, eq=False)
class UsersAttack:
    """One attack of the user's own.

    Args:
        attack: What it does, see :class:`medlocker.attacks.Attack`.
        seed: Of all its randomness.
    """

    attack: Attack
    seed: int

    @property
    def facts(self) -> AttackInfo:
        """What is told of it."""
        return AttackInfo(USERS_NUMBER, self.attack.knows, (self.attack.name,), control="transform")

    def restore(self, evidence: Evidence) -> dict[str, Bytes]:
        """Let it work; what it raises costs this image of its own row."""
        return {self.attack.name: run_attack(self.attack, evidence.marked, evidence.mask, seed=self.seed)}
