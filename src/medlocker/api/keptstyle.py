"""The veil style that an unfinished run began with: a sample that changed since must not choose another."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from medlocker.certificates import Owner
from medlocker.protect import Settings
from medlocker.release import kept_of
from medlocker.veilstyle import VeilStyle


def style_to_keep(asked: Settings, chosen: Settings) -> dict[str, Any]:
    """Return what a run is told to remember.

    Args:
        asked: The settings before a style was chosen.
        chosen: The settings with the style, which may be the same.
    """
    return {
        "asked": _digest(asked),
        "style": chosen.style.to_json(),
        "opacity": chosen.opacity,
        "size": chosen.size,
        "aim_class": chosen.aim_class,
    }


def kept_style(release: Path, asked: Settings, owner: Owner) -> Settings | None:
    """Return the settings with the style that an unfinished run began with.

    Returns:
        None if no run of this owner is unfinished there, or if it was asked for with other settings: then a
        style is chosen.
    """
    kept = kept_of(release, owner)
    if kept.get("asked") != _digest(asked):
        return None
    opacity = kept["opacity"]
    return replace(
        asked,
        style=VeilStyle.from_json(kept["style"]),
        opacity=None if opacity is None else (float(opacity[0]), float(opacity[1])),
        size=kept["size"],
        aim_class=kept["aim_class"],
    )


def _digest(settings: Settings) -> str:
    return hashlib.sha256(json.dumps(settings.to_json(), sort_keys=True).encode("utf-8")).hexdigest()
