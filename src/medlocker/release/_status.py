"""How far an unfinished run is, told from outside: nothing is changed, nothing is opened that is sealed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from medlocker.errors import InputError
from medlocker.release._journal import is_held, is_unfinished, lines_path, read_facts, read_lines, run_path


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    Args:
        images: How many it began with; None if that cannot be read.
        marked: Done.
        skipped: Done, on purpose without a mark.
        failed: Tried in vain; they are tried again when the run is resumed.
        since: When it began, UTC.
        latest: When an image was last finished, UTC; None if none was.
        running: Whether a process is at it now.
    """

    images: int | None
    marked: int
    skipped: int
    failed: int
    since: datetime
    latest: datetime | None
    running: bool


def status_of(release: Path) -> RunStatus | None:
    """Look at a folder that a run may be writing to.

    Returns:
        None if it holds no unfinished run.

    Raises:
        InputError: If the system does not let it be read.
    """
    if not is_unfinished(release):
        return None
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
        raise InputError(f"{release.name}: {(error.strerror or 'cannot be read').lower()}") from error
    counts = Counter(latest.values())
    return RunStatus(
        images=images if type(images) is int else None,
        marked=counts["marked"],
        skipped=counts["skipped"],
        failed=counts["failed"],
        since=since,
        latest=changed,
        running=is_held(release),
    )


def _time(path: Path) -> datetime:
    return datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
