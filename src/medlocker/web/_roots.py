"""The folders that pages may name files in: everything else does not exist for them."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from medlocker.errors import InputError
from medlocker.files import check_relative_name

MOST_ENTRIES = 2000
_MOST_CHARACTERS = 4096
_MOST_LOOKED_AT = 500_000


@dataclass(frozen=True)
class Entry:
    """One file or folder below a root.

    Args:
        place: Its name for pages: ``0/eyes/left.png``, the number of the root first.
    """

    place: str
    name: str
    is_folder: bool


class Roots:
    """Folders, and names of what lies in them.

    Args:
        folders: At least one; links to them are followed once, here.

    Raises:
        InputError: If one is no folder.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(Path(os.path.realpath(folder)) for folder in folders)
        for folder in self.folders:
            if not folder.is_dir():
                raise InputError(f"{folder.name}: expected a folder", subject=folder.name)

    def path(self, place: str) -> Path:
        """Return the path of a place, which need not exist.

        Raises:
            InputError: If it lies in no root, leads out of it, or passes a link.
        """
        number, _, name = place.partition("/")
        is_number = number.isascii() and number.isdigit() and len(number) < 5
        if not is_number or int(number) >= len(self.folders):
            raise InputError(
                f"{place!r:.60}: expected a place below a folder of this server, such as 0/images"
            )
        root = self.folders[int(number)]
        if not name:
            return root
        if len(name) > _MOST_CHARACTERS or not name.isprintable():
            raise InputError("expected a shorter name of printable characters")
        path = root
        for part in check_relative_name(name, what="place").parts:
            path = path / part
            if path.is_symlink():
                raise InputError(f"{part}: expected no symbolic link", subject=part)
        return path

    def place(self, path: Path) -> str:
        """Return the place of a path.

        Raises:
            InputError: If it lies in no root.
        """
        for number, root in enumerate(self.folders):
            if path == root:
                return str(number)
            if path.is_relative_to(root):
                return f"{number}/{path.relative_to(root).as_posix()}"
        raise InputError(f"{path.name}: it lies below no root folder of this server", subject=path.name)

    def folder(self, place: str) -> Path:
        """Return the path of a place that is a folder.

        Raises:
            InputError: If it is none.
        """
        path = self.path(place)
        if not path.is_dir():
            raise InputError(f"{path.name}: expected a folder", subject=path.name)
        return path

    def new_folder(self, place: str, name: str) -> Path:
        """Return the path of a new folder in one that is there.

        Raises:
            InputError: If that is none, or the name is no folder's name.
        """
        self.folder(place)
        if not name or "/" in name or name.startswith("."):
            raise InputError(f"expected the name of a new folder, got {name!r:.40}")
        return self.path(f"{place}/{name}")

    def file(self, place: str) -> Path:
        """Return the path of a place that is a regular file.

        Raises:
            InputError: If it is none.
        """
        path = self.path(place)
        try:
            is_file = stat.S_ISREG(os.lstat(path).st_mode)
        except OSError:
            is_file = False
        if not is_file:
            raise InputError(f"{path.name}: expected a file", subject=path.name)
        return path

    def entries(self, place: str) -> tuple[list[Entry], bool]:
        """Return what lies in a folder, folders first, and whether there is more than is listed.

        Hidden names, links, and names that cannot be written in an address are left out.

        Raises:
            InputError: If it is no folder, or cannot be read.
        """
        folder, found = self.folder(place), []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_symlink() or not _is_listed(entry.name):
                        continue
                    is_folder = entry.is_dir(follow_symlinks=False)
                    found.append(Entry(f"{place}/{entry.name}", entry.name, is_folder))
                    if len(found) > 10 * MOST_ENTRIES:
                        break
        except OSError as error:
            raise InputError(
                f"{folder.name}: {(error.strerror or 'cannot be read').lower()}", subject=folder.name
            ) from error
        found.sort(key=lambda one: (not one.is_folder, one.name))
        return found[:MOST_ENTRIES], len(found) > MOST_ENTRIES

    def find(self, *endings: str, depth: int = 3) -> list[str]:
        """Return the places of the files with one of some endings, as far down as ``depth`` folders.

        Nearer folders first, until 2,000 are found or 500,000 names were looked at.
        """
        found: list[str] = []
        waiting = deque((str(number), folder, 0) for number, folder in enumerate(self.folders))
        looked_at = 0
        while waiting and len(found) < MOST_ENTRIES and looked_at < _MOST_LOOKED_AT:
            place, folder, level = waiting.popleft()
            with suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    looked_at += 1
                    if entry.name.endswith(endings) and entry.is_file(follow_symlinks=False):
                        found += [f"{place}/{entry.name}"] if _is_listed(entry.name) else []
                    elif level < depth and entry.is_dir(follow_symlinks=False) and _is_listed(entry.name):
                        waiting.append((f"{place}/{entry.name}", folder / entry.name, level + 1))
        return sorted(found)[:MOST_ENTRIES]


def _is_listed(name: str) -> bool:
    """Tell whether a name can be written in an address, and is not hidden."""
    return name.isprintable() and not name.startswith(".")
