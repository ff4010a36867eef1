"""Reading the owner's logo for a command."""

from __future__ import annotations

from pathlib import Path

from medlocker.cli._console import warn
from medlocker.files import read_limited
from medlocker.logo import MAX_FILE_BYTES, Logo, builtin_logo, load_logo


def read_logo(path: Path | None) -> Logo:
    """Return the logo of a file, or the built-in one, and tell the user what was assumed.

    Raises:
        InputError: If the file is no logo.
    """
    if path is None:
        return builtin_logo()
    logo = load_logo(read_limited(path, max_bytes=MAX_FILE_BYTES, what="logo"), name=path.name)
    for text in logo.notes:
        warn(text)
    return logo
