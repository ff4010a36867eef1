"""Telling whether a command is the one that an interrupted run was started with."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from medlocker.errors import InputError


def fingerprint_path(path: Path) -> str:
    """Return the SHA-256 of a file's content, or of all names and contents in a folder, as hex.

    Raises:
        InputError: If it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        if path.is_file():
            with path.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        for folder, folders, files in os.walk(path):
            folders.sort()
            for name in sorted(files):
                file = Path(folder, name)
                line = f"{file.relative_to(path).as_posix()}\0{_content(file)}\n"
                digest.update(line.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise InputError(f"{path.name}: {(error.strerror or 'cannot be read').lower()}") from error
    return digest.hexdigest()


def _content(file: Path) -> str:
    if not file.is_file():  # a pipe or device: never opened
        return "-"
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
