"""How far a run or release is, told from outside: nothing is changed, verified, or opened that is sealed."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from medlocker.certificates import MAX_SHARD_BYTES, parse_shard
from medlocker.errors import InputError
from medlocker.files import read_limited
from medlocker.release._accounts import read_lines
from medlocker.release._journal import (
    FOLDER,
    STATEMENT,
    is_held,
    is_unfinished,
    lines_path,
    read_facts,
    run_path,
)
from medlocker.release._starting import is_starting


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    Args:
        images: How many it began with; None if that cannot be read.
        skipped: Done, on purpose without a mark.
        failed: Tried in vain; they are tried again when the run is resumed.
        since: When it began, UTC.
        latest: When an image was last finished, UTC; None if none was.
        running: Whether a process is at it now.
        starting: Whether it has not begun to write.
    """

    images: int | None
    marked: int
    skipped: int
    failed: int
    since: datetime
    latest: datetime | None
    running: bool
    starting: bool = False


def status_of(release: Path) -> RunStatus | None:
    """Look at a folder that a run may be writing to.

    Returns:
        None if it holds no unfinished run, nor one that is about to start.

    Raises:
        InputError: If the system does not let it be read.
    """
    if not is_unfinished(release):
        return _starting(release)
    facts = read_facts(release)
    images = facts.get("images") if isinstance(facts, dict) else None
    latest: dict[int, str] = {}
    lines = lines_path(release)
    try:
        since = _time(run_path(release))
        if lines.exists():
            for _, done in read_lines(lines):
                latest[done.outcome.index] = done.outcome.status
        changed = _time(lines) if latest else None
    except FileNotFoundError:  # the run has just come to its end
        return None
    except OSError as error:
        raise InputError(
            f"{release.name}: {(error.strerror or 'cannot be read').lower()}", subject=release.name
        ) from error
    counts = Counter(latest.values())
    return RunStatus(
        images=images if type(images) is int else None,
        marked=counts["marked"],
        skipped=counts["skipped"],
        failed=counts["failed"],
        since=since,
        latest=changed,
        running=is_held(release) or is_starting(release),
    )


def _starting(release: Path) -> RunStatus | None:
    # what a run makes is a folder, and until it has begun no more than that and its sign
    folder, run = release / FOLDER, run_path(release)
    if not folder.is_dir() or folder.is_symlink() or (os.path.lexists(run) and not run.is_file()):
        return None
    running = is_starting(release)
    try:
        since = _time(release / FOLDER)
    except OSError:
        return None
    # what a complete release keeps of its run is a leftover
    if (release / STATEMENT).exists():
        return None
    return RunStatus(None, 0, 0, 0, since=since, latest=None, running=running, starting=True)


def count_there(release: Path) -> int:
    """Count the marked files of a finished release that its index names and that are there.

    Raises:
        InputError: If the system does not let it be read.
        MalformedError: If its index breaks the format.
    """
    count = 0
    try:
        for path in sorted((release / "certificate" / "index").glob("*.jsonl")):
            if path.stem.isascii() and path.stem.isdigit():
                data = read_limited(path, max_bytes=MAX_SHARD_BYTES, what="index")
                names = (line.entry.name for line in parse_shard(data, shard=int(path.stem)))
                count += sum(os.path.isfile(release / "images" / name) for name in names)
    except OSError as error:
        raise InputError(
            f"{release.name}: {(error.strerror or 'cannot be read').lower()}", subject=release.name
        ) from error
    return count


def _time(path: Path) -> datetime:
    return datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
