"""Grants: making one more person able to open a release, or some of its images, without touching the data.

A grant is a folder of two files: ``identities.age``, sealed to the recipients, and ``grant.dsse.json``, in
which the owner signs who may open what, until when, and for what purpose. Date and purpose bind people and
this program; once somebody has opened the identities, no date can close them again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from medlocker.certificates._access import Access
from medlocker.certificates._age import Identity, Recipient, seal, unseal
from medlocker.certificates._canonical import Fields
from medlocker.certificates._companions import covered_numbers
from medlocker.certificates._dsse import MAX_STATEMENT_BYTES, check_statement, sign_statement
from medlocker.certificates._grantfile import MAX_IDENTITIES_BYTES, GrantedIdentities
from medlocker.certificates._ranges import Ranges, read_ranges, to_ranges
from medlocker.certificates._release import Release
from medlocker.certificates._secret import RELEASE_ID_BYTES, ReleaseSecret
from medlocker.certificates._signing import SigningKey, VerifyKey
from medlocker.certificates._statement import read_time, utc_now
from medlocker.errors import (
    CertificateError,
    InputError,
    MalformedError,
    OutputExistsError,
    WrongImageError,
)
from medlocker.files import make_folder, read_limited, write_atomic
from medlocker.version import __version__

GRANT_STATEMENT, IDENTITIES = "grant.dsse.json", "identities.age"
GRANT_TYPE = "urn:medlocker:grant:v1"
NOTICE = (
    "Date and purpose are conditions between people. Whoever has opened this grant can keep what it opens; "
    "only the scope is enforced by cryptography."
)
_FIELDS = (
    "tool",
    "created",
    "release",
    "owner",
    "scope",
    "images",
    "recipients",
    "until",
    "purpose",
    "notice",
)
_MAX_RECIPIENTS = 256
_MAX_RANGES = 1_000_000
_TIME_FORM = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Grant:
    """What the owner signed about a grant.

    Args:
        release: Release id.
        scope: ``whole`` or ``images``.
        images: For ``images``: ascending [first, last] pairs, both included.
        until: UTC of the last moment, or None.
        purpose: The owner's words, or empty.
        identities: SHA-256 of ``identities.age``.
    """

    created: str
    release: str
    scope: Literal["whole", "images"]
    images: Ranges
    recipients: tuple[str, ...]
    until: str | None
    purpose: str
    identities: str

    @property
    def image_count(self) -> int:
        """How many images are listed; 0 for a whole grant."""
        return sum(last - first + 1 for first, last in self.images)

    def expired(self, now: datetime) -> bool:
        """Tell whether the last moment has passed."""
        return self.until is not None and now > datetime.strptime(self.until, _TIME_FORM).replace(tzinfo=UTC)


def write_grant(
    release: Release,
    out: Path,
    *,
    secret: ReleaseSecret,
    signing: SigningKey,
    recipients: Sequence[Recipient],
    images: Sequence[int] | None = None,
    until: datetime | None = None,
    purpose: str = "",
) -> Grant:
    """Write a grant.

    Args:
        out: New or empty folder.
        signing: The owner's key, the one that signed the release.
        recipients: Who may open; at least one.
        images: Ascending numbers of images, or None for the whole release.
        until: Last moment, UTC, or None.

    Raises:
        OutputExistsError: If ``out`` holds something.
        InputError: If there is nobody or nothing to grant.
        MalformedError: If a value breaks the format: what is written can always be read.
    """
    if images is not None and not images:
        raise InputError("grant: expected at least one image")
    if os.path.lexists(out) and (not out.is_dir() or any(out.iterdir())):
        raise OutputExistsError(f"the output folder {out.name} is not empty", hint="choose another output")
    if images is None:
        granted = GrantedIdentities(secret.release, secret.whole_identity)
    else:
        numbers = covered_numbers(release.companions(), set(images))
        granted = GrantedIdentities(
            secret.release,
            None,
            {index: secret.image_identity(index) for index in images},
            {number: secret.companion_identity(number) for number in numbers},
        )
    blob = seal(granted.to_bytes(), recipients, what="grant")
    predicate: dict[str, Any] = {
        "tool": f"medlocker {__version__}",
        "created": utc_now(),
        "release": release.statement.release,
        "owner": signing.public.key_id,
        "scope": "whole" if images is None else "images",
        "images": [] if images is None else to_ranges(images),
        "recipients": sorted({recipient.key_id for recipient in recipients}),
        "until": until.astimezone(UTC).strftime(_TIME_FORM) if until else None,
        "purpose": purpose,
        "notice": NOTICE,
    }
    subjects = {IDENTITIES: hashlib.sha256(blob).hexdigest()}
    statement = sign_statement(GRANT_TYPE, predicate, subjects=subjects, key=signing)
    grant = _parse(statement, owner=signing.public)
    make_folder(out)
    write_atomic(out / IDENTITIES, blob)
    write_atomic(out / GRANT_STATEMENT, statement)
    return grant


def read_grant(folder: Path, *, owner: VerifyKey) -> Grant:
    """Check and read what the owner signed about a grant, without opening it.

    Raises:
        SignatureError: If it is not signed by the pinned owner.
        MalformedError: If it breaks the format.
        InputError: If there is no grant.
    """
    path = folder / GRANT_STATEMENT
    return _parse(read_limited(path, max_bytes=MAX_STATEMENT_BYTES, what="grant"), owner=owner)


def open_grant(release: Release, folder: Path, *, identity: Identity, now: datetime | None = None) -> Access:
    """Open a grant with a recipient's private key.

    Args:
        release: The release that it must be for.
        identity: Of one of its recipients.
        now: Default the system's time.

    Raises:
        SignatureError: If it is not signed by the release's owner.
        WrongImageError: If it is for another release, or its identities are not the signed ones.
        CertificateError: If it has expired.
        NoMatchingKeyError: If it is for somebody else.
        MalformedError: If it breaks the format.
    """
    grant = read_grant(folder, owner=release.owner)
    if grant.release != release.statement.release:
        raise WrongImageError(f"grant {folder.name}: it is for another release", subject=folder.name)
    if grant.expired(now or datetime.now(UTC)):
        raise CertificateError(
            f"grant {folder.name}: it ended at {grant.until}",
            subject=folder.name,
            hint="ask the owner for a new one",
        )
    try:
        blob = read_limited(folder / IDENTITIES, max_bytes=MAX_IDENTITIES_BYTES, what="grant")
    except InputError as error:
        raise WrongImageError(str(error)) from error
    if hashlib.sha256(blob).hexdigest() != grant.identities:
        raise WrongImageError(f"grant {folder.name}: {IDENTITIES} is not the signed one", subject=folder.name)
    what = f"grant {folder.name}"
    granted = GrantedIdentities.from_bytes(unseal(blob, [identity], what=what), what=what)
    scope = "images" if granted.whole is None else "whole"
    ranges = tuple((first, last) for first, last in to_ranges(granted.images))
    if (granted.release, scope, ranges) != (grant.release, grant.scope, grant.images):
        raise WrongImageError(f"{what}: its identities are not those that it states", subject=what)
    covered = [] if granted.whole else covered_numbers(release.companions(), granted.images.keys())
    if sorted(granted.companions) != covered:
        raise WrongImageError(f"{what}: it opens other companions than those of its images", subject=what)
    whole = None if granted.whole is None else Identity.from_secrets([granted.whole], what=what)
    return Access(release, whole=whole, images=granted.images, companions=granted.companions)


def _parse(data: bytes, *, owner: VerifyKey) -> Grant:
    what = GRANT_STATEMENT
    predicate, subjects = check_statement(data, GRANT_TYPE, owner=owner, what=what)
    reader = Fields(predicate, _FIELDS, what=what)
    reader.text("tool", max_length=100)
    reader.text("notice", max_length=4096)
    if reader.digest("owner") != owner.key_id:
        raise MalformedError(f"{what}: the owner that is named is not the one that signed", subject=what)
    if set(subjects) != {IDENTITIES}:
        raise MalformedError(f"{what}: expected the subject {IDENTITIES} alone", subject=what)
    scope: Literal["whole", "images"] = "whole" if reader.raw("scope") == "whole" else "images"
    images = read_ranges(reader, "images", max_items=_MAX_RANGES)
    if reader.raw("scope") != scope or bool(images) != (scope == "images"):
        raise reader.refuse("scope", "whole, or images with a list of them")
    recipients = [str(value) for value in reader.items("recipients", max_items=_MAX_RECIPIENTS)]
    for recipient in recipients:
        Fields({"key id": recipient}, ["key id"], what=f"{what}: recipient").digest("key id")
    return Grant(
        created=read_time(reader, "created"),
        release=reader.hexadecimal("release", RELEASE_ID_BYTES).hex(),
        scope=scope,
        images=images,
        recipients=tuple(recipients),
        until=None if reader.raw("until") is None else read_time(reader, "until"),
        purpose=reader.text("purpose"),
        identities=subjects[IDENTITIES],
    )
