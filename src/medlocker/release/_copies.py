"""Masks, tables and other files that travel beside the images because their owner asked for it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medlocker.certificates import CompanionEntry
from medlocker.errors import InputError, MalformedError
from medlocker.files import TEMPORARY_PREFIX, check_relative_name
from medlocker.release._inputs import Inputs

_NO_DIGEST = "0" * 64
_MOST_FILES = 1_000_000
_LOOKED_AT = 1 << 20
_WORDS = ("PRIVATE KEY-----", "AGE-SECRET-KEY-1")
_SECRETS = tuple(word.encode(code) for word in _WORDS for code in ("ascii", "utf-16-le", "utf-16-be"))


@dataclass(frozen=True, slots=True)
class Copied:
    """One file that travels beside the images.

    Args:
        name: Relative name in the release, forward slashes.
        location: Where it lies.
    """

    name: str
    location: str

    @property
    def path(self) -> Path:
        """Where it lies."""
        return Path(self.location)


def find_copies(given: Sequence[Path], inputs: Inputs) -> tuple[Inputs, tuple[Copied, ...]]:
    """List the files to be copied; those that are inputs are taken out of them.

    A file inside the input folder keeps its name relative to it; another one its own name, below that of
    its folder if a folder was given.

    Args:
        given: Files or folders.
        inputs: The images.

    Returns:
        The images that are left, and the files by name.

    Raises:
        InputError: If one is missing, leads out of its folder, is no regular file or a private key, has a
            name that a release cannot have or that something else in it has, or if no image is left.
    """
    found: dict[str, str] = {}
    for path in given:
        for name, location in _files(path, inputs.root):
            _check(name, path)
            if os.path.realpath(found.setdefault(name, location)) != os.path.realpath(location):
                raise InputError(f"--with {path.name}: two files would be called {name}", subject=path.name)
    if len(found) > _MOST_FILES:
        raise InputError(f"--with: expected at most {_MOST_FILES} files, got {len(found)}")
    places = {os.path.realpath(location) for location in found.values()}
    items = tuple(item for item in inputs.items if os.path.realpath(item.location) not in places)
    if not items:
        raise InputError("--with: expected files beside the images, got all images")
    if taken := {item.output_name for item in items} & found.keys():
        raise InputError(f"--with: {min(taken)} would have the name of an image", subject=min(taken))
    folders = {name[:end] for name in found for end, letter in enumerate(name) if letter == "/"}
    for item in items if folders else ():
        if item.output_name in folders:
            raise InputError(f"--with: {item.output_name} is an image and would be a folder")
    copies = tuple(Copied(name, found[name]) for name in sorted(found))
    # nothing is passed over that travels
    passed_over, masks = (
        tuple(name for name in names if os.path.realpath(inputs.root / name) not in places)
        for names in (inputs.passed_over, inputs.masks)
    )
    return replace(inputs, items=items, passed_over=passed_over, masks=masks), copies


def _check(name: str, given: Path) -> None:
    try:
        check_relative_name(name, what=f"--with {given.name}")
        CompanionEntry(name, _NO_DIGEST, "copy")
    except MalformedError:
        raise InputError(
            f"--with {given.name}: expected names of printable Unicode of at most 1024 characters, "
            f"got {name!r:.80}",
            subject=given.name,
        ) from None


def _files(given: Path, root: Path) -> Iterator[tuple[str, str]]:
    """Yield the names in the release and the places of what was given."""
    if not os.path.lexists(given):
        raise InputError(f"--with {given.name}: no such file or folder", subject=given.name)
    place, top = Path(os.path.abspath(given)), Path(os.path.abspath(root))
    base = top if place.is_relative_to(top) else place.parent
    if not given.is_dir():
        yield _named(place, base, within=place.parent)
        return

    def fail(error: OSError) -> None:
        raise InputError(
            f"--with {given.name}: a folder in it cannot be listed", subject=given.name
        ) from error

    for folder, folders, files in os.walk(place, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(files):
            if not file.startswith((".", TEMPORARY_PREFIX)):
                yield _named(Path(folder, file), base, within=place)


def _refuse_key(path: Path, name: str) -> None:
    """Refuse a private key: whoever gets the release could open or sign everything."""
    try:
        with path.open("rb") as stream:
            start = stream.read(_LOOKED_AT)
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise InputError(f"--with: {name}: {reason}", subject=name) from error
    if any(secret in start for secret in _SECRETS):
        raise InputError(f"--with: {name} is a private key and must not be copied", subject=name)


def _named(path: Path, base: Path, *, within: Path) -> tuple[str, str]:
    real = Path(os.path.realpath(path))
    name = path.relative_to(base).as_posix()
    if not real.is_relative_to(os.path.realpath(within)):
        raise InputError(f"--with: {name} is a link that leads out of its folder", subject=name)
    if not real.is_file():
        raise InputError(f"--with: {name} is no regular file", subject=name)
    _refuse_key(real, name)
    return name, str(path)
