"""The veil style that an unfinished run began with: a sample that changed since must not choose another."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from medlocker.errors import InputError
from medlocker.files import read_limited, write_atomic
from medlocker.protect import Settings
from medlocker.release import FOLDER, is_unfinished
from medlocker.veilstyle import VeilStyle

_FILE = "style.json"
_MAX_BYTES = 1 << 16


def kept_style(release: Path, asked: Settings) -> Settings | None:
    """Return the settings that :func:`keep_style` wrote when an unfinished run began.

    Args:
        asked: The settings before a style was chosen.

    Returns:
        None if no run is unfinished there, if it was asked for with other settings, or if the file is
        missing or damaged: then a style is chosen.
    """
    path = release / FOLDER / _FILE
    if not is_unfinished(release) or not path.is_file():
        return None
    try:
        value: Any = json.loads(read_limited(path, max_bytes=_MAX_BYTES, what="style"))
        if value["asked"] != _digest(asked):
            return None
        opacity = value["opacity"]
        return replace(
            asked,
            style=VeilStyle.from_json(value["style"]),
            opacity=None if opacity is None else (float(opacity[0]), float(opacity[1])),
            size=value["size"],
            aim_class=value["aim_class"],
        )
    except (InputError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None


def keep_style(release: Path, asked: Settings, chosen: Settings) -> None:
    """Write down what was chosen; it goes with the rest of the run's journal.

    Args:
        release: The output folder; its run has shown itself.
        asked: The settings before.
        chosen: The settings with the style, which may be the same.

    Raises:
        WriteError: If the system refuses.
    """
    value = {
        "asked": _digest(asked),
        "style": chosen.style.to_json(),
        "opacity": chosen.opacity,
        "size": chosen.size,
        "aim_class": chosen.aim_class,
    }
    write_atomic(release / FOLDER / _FILE, json.dumps(value).encode("ascii"), overwrite=True)


def _digest(settings: Settings) -> str:
    return hashlib.sha256(json.dumps(settings.to_json(), sort_keys=True).encode("utf-8")).hexdigest()
