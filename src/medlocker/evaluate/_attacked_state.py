"""The folder in which an unfinished battery waits to be gone on with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from medlocker.errors import InputError, MalformedError
from medlocker.evaluate.removal import STATE, State, VariantResult
from medlocker.files import make_folder, sweep_temporaries
from medlocker.store import Store, read_head

_TRAININGS = "removal-network-*.pt"


def check_state(folder: Path, facts: Mapping[str, object]) -> None:
    """Refuse a state that this battery cannot go on with.

    Raises:
        InputError: If the folder holds that of another battery, or something else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        head = read_head(folder / STATE)
    except MalformedError:
        head = None
    if head is None:
        raise InputError(
            f"{folder.name}: expected an interrupted run of removal attacks, got something else",
            subject=folder.name,
            hint="unfinished attacks are kept there: move it away, or choose another --out",
        )
    known = head["command"]
    if known == dict(facts):
        return
    if not isinstance(known, dict) or known.get("version") != facts.get("version"):
        raise InputError(
            f"{folder.name} holds unfinished removal attacks of another version of medlocker",
            hint=f"delete {folder.name}: they are done anew",
        )
    raise InputError(
        f"{folder.name} holds unfinished removal attacks with other targets or options",
        hint=f"repeat the first command to finish them, or delete {folder.name}",
    )


def claim_state(folder: Path, facts: Mapping[str, object]) -> None:
    """Make the folder, and note in it whose it is.

    Raises:
        InputError: See :func:`check_state`.
        WriteError: If the system refuses.
    """
    check_state(folder, facts)
    make_folder(folder)
    Store(folder / STATE, {"command": dict(facts)}).close()


def finished_cells(folder: Path, names: Collection[str]) -> Mapping[str, Mapping[str, VariantResult]]:
    """Return what a battery has finished on some images, by image (name, NUL, digest) and row.

    A file that changed since an interruption has left cells of its former pixels: the latest count.
    """
    state = State(folder, run=None)
    state.close()
    latest = {key.partition("\0")[0]: key for key in state.cells}
    return {latest[name]: state.cells[latest[name]] for name in names if name in latest}


def forget_state(folder: Path) -> None:
    """Remove the state, and the folder if nothing else is in it."""
    for path in (folder / STATE, *folder.glob(_TRAININGS)):
        with suppress(OSError):
            path.unlink()
    sweep_temporaries(folder)
    with suppress(OSError):
        folder.rmdir()
