"""Checking a whole release against its statement: what is missing, changed, or added; in constant memory."""

from __future__ import annotations

import os
import stat
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from medlocker.certificates._companions import COMPANIONS, CompanionEntry
from medlocker.certificates._index import IndexEntry, index_name, sha256_file
from medlocker.certificates._names import NameSet
from medlocker.certificates._release import IMAGES, Release
from medlocker.certificates._statement import STATEMENT
from medlocker.errors import MalformedError, WrongImageError

MAX_EXAMPLES = 1000
_MAX_WORKERS = 8
Fault = Literal["missing", "changed", "added"]
_Entry = IndexEntry | CompanionEntry


@dataclass
class FileProblems:
    """Files that are not as the owner signed them: their number, and the first 1000 names.

    Args:
        names: Relative to the release.
    """

    count: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Count one more."""
        self.count += 1
        if len(self.names) < MAX_EXAMPLES:
            self.names.append(name)


@dataclass(frozen=True)
class VerifyReport:
    """What was found.

    Args:
        images: How many images the owner states.
        intact: How many marked files are exactly the signed ones.
        missing: Files that are signed but not there.
        changed: Files with other content, or links.
        added: Files that are not signed.
        companions: How many files beside the images the owner states.
        companions_intact: How many of these are exactly the signed ones.
    """

    images: int
    intact: int
    missing: FileProblems
    changed: FileProblems
    added: FileProblems
    companions: int = 0
    companions_intact: int = 0

    @property
    def valid(self) -> bool:
        """Whether everything is as signed and nothing else is there."""
        return not (self.missing.count or self.changed.count or self.added.count)

    @property
    def is_intact(self) -> bool:
        """Whether everything that is signed is as signed, whatever else is there."""
        return not (self.missing.count or self.changed.count)


def verify_release(
    release: Release, *, workers: int | None = None, progress: Callable[[], None] = lambda: None
) -> VerifyReport:
    """Check every file of a release.

    Args:
        release: With its statement checked.
        workers: Threads that read; default one per processor, at most 8.
        progress: Called once for each image.

    Raises:
        MalformedError: If the signed index itself breaks the format.
    """
    faults: dict[Fault, FileProblems] = {
        "missing": FileProblems(),
        "changed": FileProblems(),
        "added": FileProblems(),
    }
    bad = _check_certificate(release, faults)
    is_listed = not any(index_name(shard) in bad for shard in release.statement.shards)
    listed: Counter[bool] = Counter()
    intact: Counter[bool] = Counter()

    def names() -> Iterator[str]:
        count = workers or min(os.cpu_count() or 1, _MAX_WORKERS)
        with ThreadPoolExecutor(count, thread_name_prefix="verify") as pool:
            pending: deque[tuple[_Entry, Future[Fault | None]]] = deque()
            for entry in _entries(release, bad):
                pending.append((entry, pool.submit(_check_image, release, entry)))
                yield entry.name
                if len(pending) > 4 * count:
                    settle(*pending.popleft())
            while pending:
                settle(*pending.popleft())

    def settle(entry: _Entry, future: Future[Fault | None]) -> None:
        fault, is_image = future.result(), isinstance(entry, IndexEntry)
        listed[is_image] += 1
        if fault is not None:
            faults[fault].add(f"{IMAGES}/{entry.name}")
        else:
            intact[is_image] += 1
        if is_image:
            progress()

    known = NameSet(names())
    if known.has_repeats:
        raise MalformedError("index: expected every file name once")
    images = release.statement.images
    if is_listed and listed[True] != images:
        raise MalformedError(f"index: expected {images} images, got {listed[True]}")
    if is_listed and COMPANIONS not in bad:  # else the files that a lost list names would all look added
        _find_added(release, known, faults["added"])
    faults["added"].names.sort()  # folders are listed in any order
    return VerifyReport(
        images,
        intact[True],
        faults["missing"],
        faults["changed"],
        faults["added"],
        companions=listed[False],
        companions_intact=intact[False],
    )


def _entries(release: Release, bad: set[str]) -> Iterator[_Entry]:
    for shard in release.statement.shards:
        if index_name(shard) not in bad:
            for line in release.shard_lines(shard):
                yield line.entry
    if COMPANIONS not in bad:
        for companion in release.companions():
            yield companion.entry


def _find_added(release: Release, known: NameSet, added: FileProblems) -> None:
    for name in walk(release.path / IMAGES):
        if name not in known:
            added.add(f"{IMAGES}/{name}")


def _check_image(release: Release, entry: _Entry) -> Fault | None:
    """Tell what is wrong with one file below ``images/``."""
    try:
        path = release.image_path(entry)
    except WrongImageError:
        return (
            "changed" if os.path.lexists(release.path.joinpath(IMAGES, *entry.name.split("/"))) else "missing"
        )
    return _check_file(path, entry.file)


def _check_file(path: Path, digest: str) -> Fault | None:
    try:
        status = os.lstat(path)
        # never open a pipe or device: reading it could wait for ever
        if not stat.S_ISREG(status.st_mode):
            return "changed"
        return None if sha256_file(path) == digest else "changed"
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "changed"


def _check_certificate(release: Release, faults: dict[Fault, FileProblems]) -> set[str]:
    """Check the files below ``certificate/`` and return the names of those that cannot be used."""
    folder = release.path / "certificate"
    bad: set[str] = set()
    for name, digest in sorted(release.statement.subjects.items()):
        fault = _check_file(folder / name, digest)
        if fault is not None:
            bad.add(name)
            faults[fault].add(f"certificate/{name}")
    for name in walk(folder):
        # other grants beside the owner's are signed by themselves
        if name != STATEMENT and name not in release.statement.subjects and not name.startswith("grants/"):
            faults["added"].add(f"certificate/{name}")
    for entry in sorted(os.scandir(release.path), key=lambda entry: entry.name):
        if entry.name not in (IMAGES, "certificate"):
            faults["added"].add(entry.name)
    return bad


def walk(folder: Path) -> Iterator[str]:
    """Yield the relative names of everything below a folder that is no folder; links are not followed."""
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        try:
            with os.scandir(folder / prefix) as entries:
                for entry in entries:
                    name = f"{prefix}{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(f"{name}/")
                    else:
                        yield name
        except OSError:
            continue  # what cannot be listed has no readable file; signed ones in it are reported missing
