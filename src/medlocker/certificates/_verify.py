"""Checking a whole release against its statement: what is missing, changed, or added; in constant memory."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from medlocker.certificates._index import IndexEntry, index_name, sha256_file
from medlocker.certificates._names import NameSet
from medlocker.certificates._release import IMAGES, Release
from medlocker.certificates._statement import STATEMENT
from medlocker.errors import MalformedError, WrongImageError

MAX_EXAMPLES = 1000
_MAX_WORKERS = 8
Fault = Literal["missing", "changed", "added"]


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
    """

    images: int
    intact: int
    missing: FileProblems
    changed: FileProblems
    added: FileProblems

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
    bad_shards = _check_certificate(release, faults)
    intact = 0

    def names() -> Iterator[str]:
        nonlocal intact
        count = workers or min(os.cpu_count() or 1, _MAX_WORKERS)
        with ThreadPoolExecutor(count, thread_name_prefix="verify") as pool:
            pending: deque[tuple[str, Future[Fault | None]]] = deque()
            for entry in _entries(release, bad_shards):
                pending.append((entry.name, pool.submit(_check_image, release, entry)))
                yield entry.name
                if len(pending) > 4 * count:
                    intact += _settle(pending, faults)
                    progress()
            while pending:
                intact += _settle(pending, faults)
                progress()

    known = NameSet(names())
    if known.has_repeats:
        raise MalformedError("index: expected every file name once")
    if not bad_shards and len(known) != release.statement.images:
        raise MalformedError(f"index: expected {release.statement.images} images, got {len(known)}")
    if not bad_shards:  # else the files of a lost shard would all look added
        for name in walk(release.path / IMAGES):
            if name not in known:
                faults["added"].add(f"{IMAGES}/{name}")
    faults["added"].names.sort()  # folders are listed in any order
    return VerifyReport(
        release.statement.images, intact, faults["missing"], faults["changed"], faults["added"]
    )


def _settle(pending: deque[tuple[str, Future[Fault | None]]], faults: dict[Fault, FileProblems]) -> int:
    name, future = pending.popleft()
    fault = future.result()
    if fault is not None:
        faults[fault].add(f"{IMAGES}/{name}")
    return int(fault is None)


def _entries(release: Release, bad_shards: set[int]) -> Iterator[IndexEntry]:
    for shard in release.statement.shards:
        if shard not in bad_shards:
            for line in release.shard_lines(shard):
                yield line.entry


def _check_image(release: Release, entry: IndexEntry) -> Fault | None:
    """Tell what is wrong with one marked file."""
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


def _check_certificate(release: Release, faults: dict[Fault, FileProblems]) -> set[int]:
    """Check the files below ``certificate/`` and return the shards whose index cannot be used."""
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
    return {shard for shard in release.statement.shards if index_name(shard) in bad}


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
