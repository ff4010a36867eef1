"""Telling whether a command is the one that an interrupted run was started with."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from medlocker.errors import InputError
from medlocker.files import sha256_of


def fingerprint_path(path: Path) -> str:
    """Return the SHA-256 of a file's content, or of all names and contents in a folder, as hex.

    Raises:
        InputError: If it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        if path.is_file():
            return sha256_of(path)
        for folder, folders, files in os.walk(path):
            folders.sort()
            for name in sorted(files):
                file = Path(folder, name)
                line = f"{file.relative_to(path).as_posix()}\0{_content(file)}\n"
                digest.update(line.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise InputError(
            f"{path.name}: {(error.strerror or 'cannot be read').lower()}", subject=path.name
        ) from error
    return digest.hexdigest()


def _content(file: Path) -> str:
    return sha256_of(file) if file.is_file() else "-"  # a pipe or device is never opened
