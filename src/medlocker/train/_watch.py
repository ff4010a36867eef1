"""What both trainings tell while they run, and how they refuse options."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from medlocker.errors import InputError


class TrainingWatch:
    """What a caller may want to see; every method does nothing here."""

    def reading(self, total: int) -> None:
        """So many images will be read."""

    def read(self) -> None:
        """One image was read."""

    def unreadable(self, name: str, reason: str) -> None:
        """An image is skipped."""

    def training(self, total: int) -> None:
        """So many views of images, or crops, will be trained on, all epochs together."""

    def trained(self, count: int) -> None:
        """So many more were trained on."""

    def epoch(self, row: dict[str, Any]) -> None:
        """An epoch ended; a row of the history."""


def check_rules(rules: Iterable[tuple[str, bool, str, object]]) -> None:
    """Refuse the first option that breaks its rule.

    Args:
        rules: Name of each option, whether its rule holds, the rule, and the value.

    Raises:
        InputError: If one does not hold.
    """
    for name, holds, rule, value in rules:
        if not holds:
            raise InputError(f"{name}: expected {rule}, got {value}", subject=name)
