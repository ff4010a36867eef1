"""From the options of `medlocker protect` to settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

from medlocker.attacks import AttackName
from medlocker.certificates import Ledger, Owner, ledger_path
from medlocker.errors import InputError
from medlocker.protect import STANDARD_HARDENING, Harden, Lesions
from medlocker.release import EngineMaker, LocalEngine, process_engine, ray_engine

EngineName = Literal["local", "ray"]


def attack_names(text: str | None) -> tuple[AttackName, ...]:
    """Split ``--against``; whether the names exist is checked by the settings."""
    names = [] if text is None else [name.strip() for name in text.split(",")]
    return cast(tuple[AttackName, ...], tuple(names))


def harden_of(standard: bool, *, warp: float | None, texture: int | None, opaque: float | None) -> Harden:
    """Return the keyed changes that the options ask for."""
    base = STANDARD_HARDENING if standard else Harden()
    return Harden(
        warp=base.warp if warp is None else warp,
        texture=base.texture if texture is None else texture,
        opaque=base.opaque if opaque is None else opaque,
    )


def engine_maker(
    name: EngineName, *, workers: int, models: Sequence[Path], segmenter: Path | None, lesions: Lesions
) -> EngineMaker:
    """Return what makes the engine of a run.

    Args:
        name: From the command line.
        workers: Processes of the engine ``local``.
        models: Files or folders of the surrogates.
        segmenter: File or folder of the segmenter, or None.
        lesions: Which candidates are looked for without a segmenter.

    Raises:
        MissingExtraError: If it needs a library that is not installed.
        InputError: If this system cannot have several workers.
    """
    if name == "ray":
        return ray_engine(models, segmenter=segmenter, lesions=lesions)
    if workers > 1:
        return process_engine(models, workers=workers, segmenter=segmenter, lesions=lesions)
    return LocalEngine


def open_ledger(owner: Owner, *, use: bool, given_up: Sequence[str]) -> Ledger | None:
    """Open the owner's ledger, or none for experiments.

    Args:
        owner: Keys; the ledger lies beside them.
        use: Whether it is used.
        given_up: Ids of runs that will never finish, whose claims are to be void.

    Raises:
        InputError: If it cannot be used, or there is no such run.
    """
    if not use:
        if given_up:
            raise InputError("expected no --give-up together with --no-ledger")
        return None
    ledger = Ledger(ledger_path(owner.paths), owner.signing)
    for release in given_up:
        ledger.give_up(release)
    return ledger
