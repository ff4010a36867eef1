"""The attacks of an evaluation: who is told of them, and how they end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medlocker.api.listener import Listener
from medlocker.errors import InputError, WriteError
from medlocker.evaluate import Attackers, MarkedImages, Removal, Result
from medlocker.evaluate.removal import BatteryObserver

_SAID_S = 60.0


def state_folder(out: Path) -> Path:
    """Return the folder beside a report in which its unfinished attacks are kept."""
    whole = out.absolute()
    return whole.with_name(f"{whole.name}.removal-state")


class Watch(BatteryObserver):
    """Tells of a battery's progress.

    Args:
        listener: Is told why nothing moves.
        advance: Counts one image.
    """

    def __init__(self, listener: Listener, advance: Callable[[], None]) -> None:
        self._listener = listener
        self._advance = advance
        self._said = -math.inf

    def studying(self, marks: int) -> None:
        """Say why nothing moves."""
        if marks:  # of veils alone there is nothing to study
            self._listener.note(f"the attackers first study {marks} marks")

    def training(self, attack: str) -> None:
        """Say why nothing moves for minutes."""
        self._listener.note(f"training the {attack}, which takes minutes")

    def estimated(self, attack: str, minutes: float) -> None:
        """Say when the training ends at the latest."""
        left = f"{minutes:.0f} minutes" if minutes >= 1 else "a minute"
        self._listener.note(f"{attack}: {left} at most, less if it stops improving; see --removal-minutes")

    def trained(self, attack: str, steps: int, loss: float, minutes: float) -> None:
        """Say how far the training is, once a minute."""
        if time.monotonic() - self._said > _SAID_S:
            self._said = time.monotonic()
            self._listener.note(f"{attack}: {steps} steps, validation loss {loss:.4f}, {minutes:.0f} minutes")

    def attacked(self, name: str) -> None:
        """Count one image."""
        self._advance()

    def retraining(self, target: str) -> None:
        """Say why the bar is full and nothing ends."""
        self._listener.note(f"continuing the training of {target}, which takes minutes")


@dataclass(frozen=True, eq=False)
class Attacked:
    """How the attacks ended.

    Args:
        removal: What came out; None if they broke down.
        notes: One sentence each.
        failed: Why they broke down.
    """

    removal: Removal | None
    notes: tuple[str, ...]
    failed: str = ""


def attack(attackers: Attackers, result: Result, *, listener: Listener) -> Attacked:
    """Run the battery and tell what was noted.

    Raises:
        InputError: If a file cannot be read any more, or the state is another's.
        WriteError: If the state cannot be kept.
    """
    images, notes = attackers.choose(result)
    for text in notes:
        listener.note(text)
    try:
        removal = _attack(attackers, images, listener=listener)
    except (InputError, WriteError):
        raise
    except Exception as error:  # whatever an attack or a model breaks on: the evaluation itself is done
        reason = f"removal attacks failed: {type(error).__name__}: {error}"
        listener.warn(reason)
        kept = f"finished parts are kept in {attackers.state_dir.name} for the same command"
        listener.note(kept)
        return Attacked(None, (*attackers.notes, *notes, kept), reason)
    for text in removal.notes:
        listener.note(text)
    return Attacked(removal, (*removal.notes, *notes))


def _attack(attackers: Attackers, images: MarkedImages, *, listener: Listener) -> Removal:
    total = len(images.names)
    with listener.steps(slow=True) as advance:
        advance("attacking", 0, total)
        try:
            return attackers.attack(images, observer=Watch(listener, lambda: advance("attacking", 1, total)))
        except KeyboardInterrupt:
            listener.note("interrupted: repeat the command to continue")
            raise
        except WriteError as error:
            raise WriteError(
                str(error),
                hint=error.hint or "solve this problem and repeat the command: it continues where it stopped",
            ) from error
