"""How far a run or release is, told from outside: nothing is changed, verified, or opened that is sealed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from medlocker.certificates import MAX_SHARD_BYTES, parse_shard
from medlocker.errors import InputError
from medlocker.files import read_limited
from medlocker.release._journal import (
    FOLDER,
    STATEMENT,
    has_lost_journal,
    is_held,
    is_unfinished,
    lines_path,
    unproved_head,
)
from medlocker.release._journalindex import Done
from medlocker.release._startmarker import is_starting
from medlocker.store import read_unproved


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
        damaged: Whether its journal holds lines of another form: what lies behind does not count.
        lost: Whether its journal, or the journal's beginning, is missing: no run can go on.
    """

    images: int | None
    marked: int
    skipped: int
    failed: int
    since: datetime
    latest: datetime | None
    running: bool
    starting: bool = False
    damaged: bool = False
    lost: bool = False


def status_of(release: Path) -> RunStatus | None:
    """Look at a folder that a run may be writing to.

    Returns:
        None if it holds no unfinished run, nor one that is about to start.

    Raises:
        InputError: If the system does not let it be read.
    """
    if not is_unfinished(release):
        return _starting(release)
    head, path = unproved_head(release) or {}, lines_path(release)
    facts = head.get("run")
    images = facts.get("images") if isinstance(facts, dict) else None
    images = images if type(images) is int and 0 <= images < 2**31 else None
    latest: dict[int, str] = {}
    damaged = images is None
    try:
        changed = _time(path)
        since = _begun(head) or changed
        lines = read_unproved(path)
        try:
            next(lines, None)
            for line in lines:
                if line.keys() == {"dropped"}:
                    latest.pop(line["dropped"], None)
                elif "donors" not in line:
                    done = Done.from_json(line, images=images or 0)
                    latest[done.outcome.index] = done.outcome.status
        except (ValueError, TypeError):
            damaged = True
    except FileNotFoundError:  # the run has just come to its end
        return None
    except OSError as error:
        raise InputError(
            f"{release.name}: {(error.strerror or 'cannot be read').lower()}", subject=release.name
        ) from error
    counts = Counter(latest.values())
    return RunStatus(
        images=images,
        marked=counts["marked"],
        skipped=counts["skipped"],
        failed=counts["failed"],
        since=since,
        latest=changed if latest else None,
        running=is_held(release) or is_starting(release),
        damaged=damaged,
        lost=images is None,
    )


def _begun(head: Mapping[str, object]) -> datetime | None:
    try:
        return datetime.strptime(str(head.get("begun")), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _starting(release: Path) -> RunStatus | None:
    # what a run makes is a folder, and until it has begun no more than that and its sign
    folder, run = release / FOLDER, lines_path(release)
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
    if has_lost_journal(release):
        return RunStatus(None, 0, 0, 0, since=since, latest=None, running=running, damaged=True, lost=True)
    return RunStatus(None, 0, 0, 0, since=since, latest=None, running=running, starting=True)


def count_existing(release: Path) -> int:
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
