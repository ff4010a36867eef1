"""Which files a run takes, and what their marked versions are called; all decided before work starts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from medlocker.errors import InputError
from medlocker.files import TEMPORARY_PREFIX, read_limited
from medlocker.formats.dicom import is_dicom_file
from medlocker.regions import masks_beside

IMAGE_SUFFIXES = frozenset(
    {".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg", ".jpe", ".jfif"}
    | {".nii", ".nii.gz", ".dcm", ".dicom", ".ima"}
)
_SUFFIXES = tuple(IMAGE_SUFFIXES)
LIST_SUFFIXES = frozenset({".txt", ".lst", ".list"})
MAX_LIST_BYTES = 256 << 20
MOST_REASONS = 100
"""Files that are passed over of which the reason is told; of all, their number is."""


@dataclass(frozen=True, slots=True)
class Input:
    """One file of the data set; all of them are in memory, so each is small.

    Args:
        name: Relative name with forward slashes.
        output_name: Relative name of its marked version.
    """

    name: str
    location: str
    output_name: str

    @property
    def path(self) -> Path:
        """Where it lies."""
        return Path(self.location)


@dataclass(frozen=True)
class Inputs:
    """The data set in its fixed order.

    Args:
        items: Sorted by name.
        passed_over: Names of files in the folder that are no images by their endings, or links out of it.
        unreadable: Names of folders that could not be listed.
        root: The folder that the names are relative to.
        walked: Whether the whole folder was taken, so that an output in it would become an input.
        masks: Names of pictures in the folder that are masks of others beside them: not marked, not released.
    """

    items: tuple[Input, ...]
    passed_over: tuple[str, ...]
    unreadable: tuple[str, ...]
    root: Path
    walked: bool = False
    masks: tuple[str, ...] = ()

    def left_out(self) -> dict[str, Any]:
        """Return how many files of the folder are no inputs, and why the first are not, JSON-ready.

        Hidden files are not among them. Looks into the files that it tells of.
        """
        reasons = chain(
            ((name, "a folder that cannot be listed") for name in self.unreadable),
            ((name, "a mask of another image, by its name") for name in self.masks),
            ((name, _why(self.root, name)) for name in self.passed_over),
        )
        told = [{"file": name, "reason": why} for name, why in islice(reasons, MOST_REASONS)]
        return {"count": len(self.unreadable) + len(self.masks) + len(self.passed_over), "files": told}


def find_inputs(source: Path, *, what: str = "") -> Inputs:
    """List the images of a file, a folder (walked, tree kept) or a list file (one path a line).

    Hidden files and folders are left out. Symbolic links are followed only to files inside the folder.

    Args:
        source: The file or folder.
        what: How messages call it; default ``input`` and its name.

    Raises:
        InputError: If there is nothing to protect.
    """
    passed_over: list[str] = []
    unreadable: list[str] = []
    what = what or f"input {source.name}"
    walked = _is_folder(source, what)
    if walked:
        found = dict(_walk(source, passed_over, unreadable))
        root = source
    elif source.suffix.lower() in LIST_SUFFIXES:
        found = _read_list(source)
        root = source.parent
    else:
        found = {source.name: str(source)}
        root = source.parent
    if not found and unreadable == ["."]:
        raise InputError(f"{what}: the folder cannot be listed", subject=source.name)
    if not found:
        raise InputError(
            f"{what}: expected images ({', '.join(sorted(IMAGE_SUFFIXES))}), found none",
            subject=source.name,
        )
    masks = masks_beside(found.keys()) if walked else frozenset()
    names = sorted(found.keys() - masks)
    items = tuple(Input(name, found[name], output_name=name) for name in names)
    return Inputs(items, tuple(passed_over), tuple(unreadable), root, walked, tuple(sorted(masks)))


def _is_folder(source: Path, what: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(source).st_mode)
    except FileNotFoundError:
        raise InputError(f"{what}: no such file or folder", subject=source.name) from None
    except OSError as error:
        raise InputError(
            f"{what}: {(error.strerror or 'cannot be read').lower()}", subject=source.name
        ) from error


def _walk(root: Path, passed_over: list[str], unreadable: list[str]) -> Iterator[tuple[str, str]]:
    resolved = root.resolve()

    def note(error: OSError) -> None:
        unreadable.append(os.path.relpath(error.filename, root) if error.filename else "?")

    for folder, folders, files in os.walk(root, onerror=note):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(files):
            if file.startswith((".", TEMPORARY_PREFIX)):
                continue
            path = Path(folder, file)
            name = path.relative_to(root).as_posix()
            linked_out = path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(resolved)
            if not linked_out and (name.lower().endswith(_SUFFIXES) or _is_nameless_dicom(path)):
                yield name, str(path)
            else:
                passed_over.append(name)


def _is_nameless_dicom(path: Path) -> bool:
    """Look into files without a suffix, or with one of digits: archives call files by number or UID.

    What is called ``.dic`` may be a list of words as well.
    """
    suffix = path.suffix[1:].lower()
    return (suffix in ("", "dic") or suffix.isdigit()) and is_dicom_file(path)


def _why(root: Path, name: str) -> str:
    """Return why a file of a folder is no input."""
    path = root / name
    if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root.resolve()):
        return "a link to outside the folder"
    if is_dicom_file(path):
        return "DICOM, but not by its ending: call it .dcm"
    return "no image by its ending" if path.suffix else "no ending, and no DICOM file"


def _read_list(path: Path) -> dict[str, str]:
    data = read_limited(path, max_bytes=MAX_LIST_BYTES, what="list file")
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(
            f"list file {path.name}: expected UTF-8 text, one path a line", subject=path.name
        ) from error
    base = str(path.parent.resolve())
    below = os.path.join(base, "")
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if "\0" in text:
            raise InputError(f"list file {path.name} line {number}: expected a path, got a zero byte")
        target = os.path.abspath(os.path.join(base, text))
        # a file elsewhere keeps only its own name: the release must not show the folders of this machine
        name = target[len(below) :] if target.startswith(below) else os.path.basename(target)
        name = name.replace(os.sep, "/")
        if found.setdefault(name, target) != target:
            raise InputError(f"list file {path.name} line {number}: two files would be called {name}")
    return found
