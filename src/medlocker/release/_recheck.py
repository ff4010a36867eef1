"""What of an interrupted run still counts when it is continued.

- A marked file that is missing or has another digest is made again.
- An input that changed after it was marked, or was skipped, is done again: the release shows the inputs as
  they are when it is finished. Size and time of change tell; where these differ, the content decides.
- A series keeps its marks, whichever of its images are done again.
- An input that vanished after it was marked stays in the release.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from functools import partial
from pathlib import Path

from medlocker.certificates import IndexEntry
from medlocker.errors import CertificateError
from medlocker.files import sha256_of
from medlocker.release._inputs import Input
from medlocker.release._journal import Journal
from medlocker.release._journalindex import Done
from medlocker.search import file_threads

_AT_ONCE = 1024


def file_stamp(path: Path) -> str:
    """Return what differs after a file was changed: its size and time of change; nothing if it is missing."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_size} {found.st_mtime_ns}"


def revalidate(
    journal: Journal,
    items: Sequence[Input],
    *,
    images: Path,
    original_of: Callable[[Done], str],
    workers: int,
    progress: Callable[[int], None] = lambda count: None,
) -> None:
    """Take out of a journal what no longer counts, and remove its marked files.

    A series keeps its marks even so: what is done again gets those of the other images.

    Args:
        journal: Of the interrupted run; changed.
        images: Folder of the marked files.
        original_of: From a marked image to the SHA-256 of the file that was marked.
        workers: Threads that read.
        progress: Called after each image with the number of all.
    """
    if not journal.done:
        return
    expected = {item.output_name for item in items}

    def look(done: Done) -> tuple[bool, bool]:
        item = items[done.outcome.index]
        is_there = done.entry is None or _is_there(done.entry, images, item, expected)
        return is_there, _is_unchanged(done, item.path, partial(original_of, done))

    known = list(journal.done)
    with file_threads(workers) as threads:
        for start in range(0, len(known), _AT_ONCE):
            some = [journal.done[index] for index in known[start : start + _AT_ONCE]]
            for done, (is_there, is_unchanged) in zip(some, threads.map(look, some), strict=True):
                progress(len(known))
                if is_there and is_unchanged:
                    continue
                journal.drop(done.outcome.index)
                if done.entry is not None:
                    with suppress(OSError):
                        _target(done.entry, images).unlink()


def _target(entry: IndexEntry, images: Path) -> Path:
    return images.joinpath(*entry.name.split("/"))


def _is_there(entry: IndexEntry, images: Path, item: Input, expected: Set[str]) -> bool:
    name = entry.name
    # a JPEG file that became another one, or vanished, leaves its place to others
    if name != item.output_name and (file_stamp(item.path) or name in expected):
        return False
    try:
        target = _target(entry, images)
        # of a link only its target would be looked at, and that is not what the release will hold
        return not target.is_symlink() and target.is_file() and sha256_of(target) == entry.file
    except OSError:
        return False


def _is_unchanged(done: Done, source: Path, original: Callable[[], str]) -> bool:
    stamp = file_stamp(source)
    if stamp in ("", done.stamp):
        return True
    if done.entry is None:
        return False
    try:
        return sha256_of(source) == original()
    except (OSError, CertificateError):
        return False
