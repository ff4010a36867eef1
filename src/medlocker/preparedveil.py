"""A prepared veil: a logo, and how veils shall look on a data set, chosen once on a sample of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medlocker.errors import InputError
from medlocker.logo import Logo, read_prepared
from medlocker.veilstyle import VeilStyle

VEIL_FILE = "veil.json"
_KIND = "medlocker prepared veil"
_MOST_BYTES = 1 << 20
_MOST_CLASSES = 100_000


@dataclass(frozen=True, eq=False)
class PreparedVeil:
    """A logo, how its veils look, and what they are expected to do.

    Args:
        aim_class: Index of the class that all images shall be given, or None.
        grey: Whether it was chosen on grey images.
        facts: How it was chosen, JSON-ready: models, number of images, the forecast for models never seen.
    """

    logo: Logo
    style: VeilStyle
    aim_class: int | None
    grey: bool
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides how veils look, 64 hex digits."""
        value = {"logo": self.logo.digest, "style": self.style.to_json(), "aim_class": self.aim_class}
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode("ascii")).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``veil.json``."""
        return {
            "kind": _KIND,
            "version": 1,
            "style": self.style.to_json(),
            "aim_class": self.aim_class,
            "grey": self.grey,
            "facts": dict(self.facts),
        }


def is_prepared_veil(folder: Path) -> bool:
    """Tell whether a folder says of itself that it holds a prepared veil."""
    return (folder / VEIL_FILE).is_file()


def load_prepared_veil(folder: Path) -> PreparedVeil:
    """Read a folder made by ``medlocker prepare --preset veil``.

    Raises:
        InputError: If it is none, or damaged.
    """
    logo, value = read_prepared(folder, VEIL_FILE, kind=_KIND, most_bytes=_MOST_BYTES, what="prepared veil")
    aim_class, grey, facts = value.get("aim_class"), value.get("grey"), value.get("facts")
    if aim_class is not None and (type(aim_class) is not int or not 0 <= aim_class < _MOST_CLASSES):
        raise InputError(
            f"prepared veil {folder.name}: expected the number of a class, or null", subject=folder.name
        )
    if type(grey) is not bool:
        raise InputError(f"prepared veil {folder.name}: expected grey as true or false", subject=folder.name)
    try:
        style = VeilStyle.from_json(value.get("style"))
    except InputError as error:
        raise InputError(f"prepared veil {folder.name}: {error}", subject=folder.name) from None
    return PreparedVeil(logo, style, aim_class, grey, facts if isinstance(facts, dict) else {})
