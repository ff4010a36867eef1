"""The sign of a run that has not begun to write: opening its models takes seconds, or minutes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from medlocker.errors import WriteError
from medlocker.files import make_folder
from medlocker.locks import REMOVES_OPEN_FILES, is_locked
from medlocker.release._journal import FOLDER, hold

_START = "start"


@contextmanager
def start_marker(release: Path) -> Iterator[None]:
    """Let others see that a run will write to a folder; if it writes nothing, no folder stays.

    Args:
        release: The output folder; may be missing.

    Raises:
        InputError: If another run is starting there, or at work.
        WriteError: If the system refuses.
    """
    folder = release / FOLDER
    made = [place for place in (folder, release, *release.parents) if not os.path.lexists(place)]
    path = folder / _START
    try:
        make_folder(release)
        make_folder(folder)
        try:
            path.touch()
            descriptor = hold(path, release=release)
        except OSError as error:
            raise WriteError(
                f"cannot write to {release.name}: {(error.strerror or '').lower()}", subject=release.name
            ) from error
        try:
            yield
        finally:
            if not REMOVES_OPEN_FILES:
                os.close(descriptor)
            with suppress(OSError):  # gone with all of the journal, if the release is complete
                path.unlink()
            if REMOVES_OPEN_FILES:
                os.close(descriptor)
    finally:
        for place in made:
            with suppress(OSError):
                place.rmdir()


def is_starting(release: Path) -> bool:
    """Tell whether a run that has shown itself is alive; asks the system, changes nothing."""
    return is_locked(release / FOLDER / _START)
