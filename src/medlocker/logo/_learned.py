"""A learned logo: the owner's logo with textures found once over a sample of images.

A folder with ``logo.png`` and ``learned.json``; the searches of single images start from its textures.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medlocker.errors import InputError
from medlocker.files import read_limited
from medlocker.logo._logo import MAX_FILE_BYTES, Logo, load_logo
from medlocker.logo._overlay import unpack_overlay

LEARNED_FILE, LOGO_FILE = "learned.json", "logo.png"
ANY_CLASS = "*"
"""Name of the texture for images of a class that has none of its own."""
_KIND = "medlocker learned logo"
_MOST_BYTES = 32 << 20
_MOST_TEXTURES = 1000


@dataclass(frozen=True, eq=False)
class LearnedLogo:
    """A logo and its textures.

    Args:
        textures: From the name of a class to a texture as packed text; ``"*"`` is for all other classes.
        levels: Bound of the textures, grey levels.
        grey: Whether they were learned on grey images.
        facts: How they were learned, JSON-ready: models, number of images, what it brought.
    """

    logo: Logo
    textures: Mapping[str, str]
    levels: int
    grey: bool
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of logo and textures, 64 hex digits."""
        value = {"logo": self.logo.digest, "textures": dict(self.textures), "levels": self.levels}
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode("utf-8")).hexdigest()

    def texture_for(self, name: str, *, grey: bool) -> str:
        """Return the packed texture for an image of a class; empty if it was learned on another kind."""
        if grey != self.grey:
            return ""
        return self.textures.get(name, self.textures.get(ANY_CLASS, ""))

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``learned.json``."""
        return {
            "kind": _KIND,
            "version": 1,
            "levels": self.levels,
            "grey": self.grey,
            "textures": dict(self.textures),
            "facts": dict(self.facts),
        }


def load_learned(folder: Path) -> LearnedLogo:
    """Read a folder made by ``medlocker prepare``.

    Raises:
        InputError: If it is none, or damaged.
    """
    if not (folder / LEARNED_FILE).is_file():
        raise InputError(
            f"logo {folder.name}: expected a picture, or a folder with {LEARNED_FILE}",
            subject=folder.name,
            hint="such a folder is made by `medlocker prepare`",
        )
    logo, value = read_prepared(folder, LEARNED_FILE, kind=_KIND, most_bytes=_MOST_BYTES, what="learned logo")
    levels, grey, textures = value.get("levels"), value.get("grey"), value.get("textures")
    if type(levels) is not int or not 0 <= levels <= 127 or type(grey) is not bool:
        raise InputError(
            f"learned logo {folder.name}: expected levels of 0 to 127 and grey as true or false",
            subject=folder.name,
        )
    if not isinstance(textures, dict) or not 1 <= len(textures) <= _MOST_TEXTURES:
        raise InputError(
            f"learned logo {folder.name}: expected 1 to {_MOST_TEXTURES} textures", subject=folder.name
        )
    for name, text in textures.items():
        if not isinstance(text, str):
            raise InputError(
                f"learned logo {folder.name}: expected the texture of {name!r:.40} as text",
                subject=folder.name,
            )
        unpack_overlay(text)
    facts = value.get("facts")
    return LearnedLogo(logo, textures, levels, grey, facts if isinstance(facts, dict) else {})


def read_prepared(
    folder: Path, file: str, *, kind: str, most_bytes: int, what: str
) -> tuple[Logo, dict[str, Any]]:
    """Return the logo in a folder made by ``medlocker prepare``, and what the JSON file beside it says.

    Args:
        folder: The folder.
        file: Name of the JSON file.
        kind: What it must say of itself.
        most_bytes: Its largest size.
        what: How messages call the folder.

    Raises:
        InputError: If it is no such folder.
    """
    logo = load_logo(
        read_limited(folder / LOGO_FILE, max_bytes=MAX_FILE_BYTES, what="logo"),
        name=f"{folder.name}/{LOGO_FILE}",
    )
    data = read_limited(folder / file, max_bytes=most_bytes, what=what)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what} {folder.name}: expected JSON in {file}", subject=folder.name) from error
    if not isinstance(value, dict) or value.get("kind") != kind or value.get("version") != 1:
        raise InputError(
            f"{what} {folder.name}: expected a folder made by medlocker prepare, version 1",
            subject=folder.name,
        )
    return logo, value
