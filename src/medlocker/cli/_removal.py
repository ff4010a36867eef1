"""`medlocker evaluate --removal`: the attacks' progress bar, what interrupts them, and their table."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from medlocker.cli._console import note, shown, stdout, warn
from medlocker.cli._progress import ImageProgress, image_progress
from medlocker.cli._table import aligned
from medlocker.errors import InputError, WriteError
from medlocker.evaluate import Attackers, MarkedImages, Removal, Result, advise, gain_text, worst_first
from medlocker.evaluate.removal import BatteryObserver, Row

_SHOWN = 8
_SAID_S = 60.0
_WINDOW_S = 120.0
"""Seconds over which the speed is taken: one image may take many."""


def state_folder(out: Path) -> Path:
    """Return the folder beside a report in which its unfinished attacks are kept."""
    whole = out.absolute()
    return whole.with_name(f"{whole.name}.removal-state")


class _Shown(BatteryObserver):
    """Shows a battery's progress."""

    def __init__(self, bar: ImageProgress) -> None:
        self._bar = bar
        self._said = -math.inf

    def studying(self, marks: int) -> None:
        """Say why nothing moves."""
        if marks:  # of veils alone there is nothing to study
            self._bar.say(f"the attackers first study {marks} marks")

    def training(self, attack: str) -> None:
        """Say why nothing moves for minutes."""
        self._bar.say(f"training the {attack}, which takes minutes")

    def estimated(self, attack: str, minutes: float) -> None:
        """Say when the training ends at the latest."""
        left = f"{minutes:.0f} minutes" if minutes >= 1 else "a minute"
        self._bar.say(f"{attack}: {left} at most, less if it stops improving; see --removal-minutes")

    def trained(self, attack: str, steps: int, loss: float, minutes: float) -> None:
        """Say how far the training is, once a minute."""
        if time.monotonic() - self._said > _SAID_S:
            self._said = time.monotonic()
            self._bar.say(f"{attack}: {steps} steps, validation loss {loss:.4f}, {minutes:.0f} minutes")

    def attacked(self, name: str) -> None:
        """Count one image."""
        self._bar.advance()

    def retraining(self, target: str) -> None:
        """Say why the bar is full and nothing ends."""
        self._bar.say(f"continuing the training of {target}, which takes minutes")


@dataclass(frozen=True, eq=False)
class Attacked:
    """How the attacks ended.

    Args:
        removal: What came out; None if they broke down.
        failed: Why they broke down.
    """

    removal: Removal | None
    notes: tuple[str, ...]
    failed: str = ""


def attack_with_progress(attackers: Attackers, result: Result) -> Attacked:
    """Run the battery and tell the user what was noted.

    Raises:
        InputError: If a file cannot be read any more, or the state is another's.
        WriteError: If the state cannot be kept.
    """
    images, notes = attackers.choose(result)
    for text in notes:
        note(text)
    try:
        removal = _attack(attackers, images)
    except (InputError, WriteError, typer.Exit):
        raise
    except Exception as error:  # whatever an attack or a model breaks on: the evaluation itself is done
        reason = f"removal attacks failed: {type(error).__name__}: {error}"
        warn(reason)
        kept = f"finished parts are kept in {attackers.state_dir.name} for the same command"
        note(kept)
        return Attacked(None, (*attackers.notes, *notes, kept), reason)
    for text in removal.notes:
        note(text)
    return Attacked(removal, (*removal.notes, *notes))


def _attack(attackers: Attackers, images: MarkedImages) -> Removal:
    with image_progress("attacking", len(images.names), window_s=_WINDOW_S) as bar:
        try:
            return attackers.attack(images, observer=_Shown(bar))
        except KeyboardInterrupt:
            bar.say("interrupted: repeat the command to continue")
            raise typer.Exit(130) from None
        except WriteError as error:
            raise WriteError(
                str(error),
                hint=error.hint or "solve this problem and repeat the command: it continues where it stopped",
            ) from error


def print_removal(removal: Removal) -> None:
    """Print the most successful attacks on each target, the worst for the owner first, advice and verdict."""
    rows: list[tuple[str, ...]] = [("model", "attack", "left", "95 %", "control", "information left", "dB")]
    for best in removal.battery.best:
        mine = worst_first(row for row in removal.battery.rows if row.target == best.target and row.n)
        rows += [(best.target if k == 0 else "", *_cells(row)) for k, row in enumerate(_shortened(mine))]
    for line in aligned(rows, flush_right=(2, 3, 4, 5, 6)) if len(rows) > 1 else ():
        stdout.print(line, markup=False)
    more = len(removal.battery.rows) - len(rows) + 1
    if more > 0:
        stdout.print(f"{more} attacks that succeed no more often, see removal.csv", markup=False)
    told = [*(one.text for one in removal.relearned), *(one.text for one in removal.side_channels)]
    for sentence in told:
        stdout.print(shown(sentence), markup=False)
    if (advice := advise(removal.battery)) is not None:
        stdout.print(shown(advice.text), markup=False)
    stdout.print(shown(removal.verdict), markup=False)


def _shortened(rows: Sequence[Row]) -> list[Row]:
    """Keep the first ones, what is left without any attack, and what trains or merges."""
    return [row for k, row in enumerate(rows) if k < _SHOWN or row.attack == "none" or not row.combined]


def _cells(row: Row) -> tuple[str, ...]:
    low, high = row.interval or (0.0, 1.0)
    return (
        row.attack,
        f"{row.right} of {row.n}",
        f"{low:.0%} to {high:.0%}",
        "-" if row.control is None else f"{row.control:.0%}",
        "-" if row.information is None else gain_text(row.information.plain),
        "-" if row.psnr_region is None else f"{row.psnr_region:.1f}",
    )
