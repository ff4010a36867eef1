"""From grants and a private key to what may be opened of which release."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from medlocker.certificates import Identity, Release, open_grant, owner_access, read_grant
from medlocker.errors import InputError, NoMatchingKeyError
from medlocker.proxy._callers import Opening


def open_grants(
    releases: Sequence[Release],
    grants: Sequence[Path] | None,
    identity: Identity,
    *,
    note: Callable[[str], None] = lambda text: None,
) -> Mapping[str, Sequence[Opening]]:
    """Open all that a private key opens, by release id.

    Args:
        releases: All that are served, at least one, of one owner, with their statements checked.
        grants: Folders; None: the key is the owner's own, which needs none. Releases without a grant are
            shown as they are.
        identity: A private key.
        note: Told what the user should know.

    Raises:
        InputError: If a grant is for none of the releases.
        CertificateError: If a grant cannot be opened, or the key is not the owner's.
    """
    found: dict[str, list[Opening]] = {}
    for folder in grants or ():
        release = _release_of(folder, releases)
        access = open_grant(release, folder, identity=identity)
        until = read_grant(folder, owner=release.owner).until
        moment = None if until is None else datetime.fromisoformat(until).astimezone(UTC)
        found.setdefault(release.statement.release, []).append(Opening(access, moment))
        if until is not None:
            note(f"the grant {folder.name} ends at {until}: from then on its images are shown marked")
    if grants is not None:
        return found
    for release in releases:
        try:
            found[release.statement.release] = [Opening(owner_access(release, identity))]
        except NoMatchingKeyError as error:
            raise NoMatchingKeyError(str(error), hint=error.hint) from error
    return found


def _release_of(folder: Path, releases: Sequence[Release]) -> Release:
    wanted = read_grant(folder, owner=releases[0].owner).release
    for release in releases:
        if release.statement.release == wanted:
            return release
    raise InputError(
        f"grant {folder.name}: it is for none of the given releases",
        subject=folder.name,
        hint="give its release with --release",
    )
