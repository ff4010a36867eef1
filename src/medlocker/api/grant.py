"""`ml.grant`: make somebody able to restore."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import partial
from pathlib import Path

from medlocker.api.listener import Listener
from medlocker.arguments import checked_arguments
from medlocker.certificates import (
    Grant,
    Ledger,
    Release,
    ledger_path,
    load_owner,
    load_recipient,
    open_release,
    open_secret,
    refuse_inside_release,
    write_grant,
)
from medlocker.errors import InputError
from medlocker.files import read_limited
from medlocker.review import refuse_unreviewed

_MAX_LIST_BYTES = 64 * 1024 * 1024
_Path = str | os.PathLike[str]


@dataclass(frozen=True)
class Granted:
    """What was granted.

    Args:
        grant: What the folder says, signed.
        images: How many images the release has.
    """

    grant: Grant
    images: int


@checked_arguments
def grant(
    release: _Path,
    *,
    owner: _Path,
    to: _Path | Sequence[_Path],
    out: _Path,
    images: str | None = None,
    until: str | None = None,
    purpose: str = "",
    progress: Listener | None = None,
) -> Granted:
    """Make somebody able to restore a release, or some of its images and no others.

    Args:
        release: Its folder; it is not changed.
        owner: NAME of the owner's keys.
        to: Public keys of the recipients, age or ssh-ed25519.
        out: New folder to give to them.
        images: Only these: a pattern (``*`` crosses folders), or the path of a file with a name a line.
        until: Last day, ``2027-01-31``, or UTC time, ``2027-01-31T12:00:00Z``. It is signed, but only binds
            people: who has opened a grant can keep what it opens.
        purpose: What it is given for; anybody can read it.
        progress: Is told what is worth knowing of the keys.

    Raises:
        InputError: If a key or a name cannot be used, or images are not approved that need to be.
        CertificateError: If the release is not the owner's.
        OutputExistsError: If the output is in the way.
    """
    listener = progress or Listener()
    last = None if until is None else parse_until(until, now=datetime.now(UTC))
    refuse_inside_release(Path(out))
    keys = load_owner(Path(owner))
    given = (to,) if isinstance(to, str | os.PathLike) else to
    recipients = [load_recipient(Path(path)) for path in given]
    identity = keys.identity()
    for text in (*keys.signing.notes, *identity.notes):
        listener.warn(text)
    opened = open_release(Path(release), keys.signing.public)
    chosen = None if images is None else choose(opened, images)
    refuse_unreviewed(opened, chosen, memory=partial(Ledger, ledger_path(keys.paths), keys.signing))
    granted = write_grant(
        opened,
        Path(out),
        secret=open_secret(opened, identity),
        signing=keys.signing,
        recipients=recipients,
        images=chosen,
        until=last,
        purpose=purpose,
    )
    return Granted(granted, opened.statement.images)


def parse_until(text: str, *, now: datetime) -> datetime:
    """Return the last moment of a grant: the end of a day in UTC, or a UTC time.

    Raises:
        InputError: If it is neither, or lies in the past.
    """
    try:
        if len(text) == 10:
            moment = datetime.combine(datetime.strptime(text, "%Y-%m-%d").date(), time(23, 59, 59), UTC)
        else:
            moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise InputError(f"--until: expected a date like 2027-01-31, got {text!r:.40}") from None
    if moment < now:
        raise InputError(f"--until: expected a date to come, got {text}")
    return moment


def choose(release: Release, images: str, *, option: str = "--images") -> list[int]:
    """Return the numbers of the images that a list file names or a pattern matches, ascending.

    Args:
        release: Its index is searched.
        images: An existing file with one name a line, else a pattern: ``*`` matches across folders.
        option: What messages call it.

    Raises:
        InputError: If nothing matches, or a listed name is not in the release.
    """
    path = Path(images)
    if path.is_file():
        return _listed(release, path)
    chosen = [line.entry.index for line in release.lines() if fnmatch.fnmatchcase(line.entry.name, images)]
    if not chosen:
        raise InputError(
            f"{option}: expected a list file or a pattern that matches names, got {images!r:.80}"
        )
    return chosen


def _listed(release: Release, path: Path) -> list[int]:
    try:
        text = read_limited(path, max_bytes=_MAX_LIST_BYTES, what="list").decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"list {path.name}: expected UTF-8 text", subject=path.name) from None
    wanted = {line.strip() for line in text.splitlines() if line.strip()}
    chosen = []
    for line in release.lines():
        if line.entry.name in wanted:
            wanted.discard(line.entry.name)
            chosen.append(line.entry.index)
    if wanted:
        raise InputError(
            f"list {path.name}: {len(wanted)} names are not in the release, first {min(wanted)!r:.80}",
            subject=path.name,
        )
    if not chosen:
        raise InputError(f"list {path.name}: expected one name a line", subject=path.name)
    return chosen
