"""Where a run may write: not onto inputs, nor into anything that is there already."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from medlocker.certificates import refuse_inside_release
from medlocker.errors import OutputExistsError, WriteError
from medlocker.release._inputs import Inputs
from medlocker.release._journal import FOLDER, PUT_BACK, STATEMENT, forget, has_lost_journal, is_unfinished

IMAGES = "images"


def check_target(release: Path, inputs: Inputs, copies: Sequence[Path] = ()) -> None:
    """Refuse an output that would fall onto inputs or onto something else.

    Args:
        release: The output.
        inputs: The images.
        copies: Files and folders that are copied beside them.

    Raises:
        OutputExistsError: If the folder holds anything but an unfinished run, or inputs and output overlap.
        WriteError: If the system does not let it be read.
    """
    # unlike resolve, this bears links that lead in a circle
    target, root = Path(os.path.realpath(release)), inputs.root.resolve()
    if inputs.walked and target.is_relative_to(root):
        raise OutputExistsError(
            f"the output {release.name} lies inside the input folder", hint="choose an output elsewhere"
        )
    if any(Path(os.path.realpath(item.path)).is_relative_to(target) for item in inputs.items):
        raise OutputExistsError(f"an input lies inside the output {release.name}")
    for path in (Path(os.path.realpath(copy)) for copy in copies):
        if target.is_relative_to(path) or path.is_relative_to(target):
            raise OutputExistsError(
                f"the output {release.name} and {path.name}, which is to be copied, overlap",
                hint="choose an output elsewhere",
            )
    refuse_inside_release(release, itself=False)
    if not os.path.lexists(release):
        return
    try:
        _check_content(release)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise WriteError(
            f"cannot look into the output {release.name}: {reason}", subject=release.name
        ) from error


def _check_content(release: Path) -> None:
    if not release.is_dir():
        raise OutputExistsError(f"the output {release.name} is a file", hint="choose another output")
    if is_unfinished(release):
        return
    if (release / STATEMENT).exists():
        forget(release)
        raise OutputExistsError(
            f"{release.name} is a finished release", hint="a release is never changed: choose another --out"
        )
    if has_lost_journal(release):
        raise OutputExistsError(
            f"{release.name} holds an unfinished run whose journal is missing", hint=PUT_BACK
        )
    if any(entry.name != FOLDER for entry in release.iterdir()):
        raise OutputExistsError(
            f"the output folder {release.name} is not empty", hint="choose another output"
        )


def refuse_links(release: Path, inputs: Inputs) -> None:
    """Refuse links where files are written and removed: they would lead out of the release.

    Raises:
        OutputExistsError: If there is one.
    """
    certificate = [f"certificate/{part}" for part in ("index", "sealed", "grants")]
    places = {FOLDER, "certificate", *certificate, IMAGES}
    for item in inputs.items:
        parent = item.output_name.rpartition("/")[0]
        while parent and f"{IMAGES}/{parent}" not in places:
            places.add(f"{IMAGES}/{parent}")
            parent = parent.rpartition("/")[0]
    for place in sorted(places):
        if os.path.islink(release / place):
            raise OutputExistsError(f"{place}: expected a folder of the release, got a link")
