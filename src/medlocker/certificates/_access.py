"""What a person can open of a release: everything, some images, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from medlocker.certificates._age import Identity
from medlocker.certificates._companionrecord import CompanionRecord, open_companion
from medlocker.certificates._companions import CompanionLine
from medlocker.certificates._index import IndexLine
from medlocker.certificates._ownergrant import MAX_OWNER_GRANT_BYTES, open_owner_grant
from medlocker.certificates._record import SealedRecord, open_record
from medlocker.certificates._release import Release, check_binding, check_companion
from medlocker.certificates._secret import ReleaseSecret
from medlocker.certificates._statement import OWNER_AGE
from medlocker.errors import NoMatchingKeyError, WrongImageError


@dataclass(frozen=True, eq=False)
class Access:
    """Identities for one release.

    Args:
        whole: Opens every record, or None.
        images: Else by index of the image, ``AGE-SECRET-KEY-1...``.
        companions: And by number of the companion.
    """

    release: Release
    whole: Identity | None = field(default=None, repr=False)
    images: Mapping[int, str] = field(default_factory=dict, repr=False)
    companions: Mapping[int, str] = field(default_factory=dict, repr=False)

    def covers(self, index: int) -> bool:
        """Tell whether there is an identity for an image."""
        return self.whole is not None or index in self.images

    def open(self, line: IndexLine) -> SealedRecord:
        """Open the sealed record of one image: digest, decryption, format, inner binding.

        Raises:
            NoMatchingKeyError: If the image is not covered.
            WrongImageError: If the sealed record is not the signed one or belongs to another image.
            MalformedError: If it breaks the format.
        """
        index = line.entry.index
        what = f"sealed record {index}"
        identity = self._identity(self.images, index, what=what)
        record = open_record(self.release.read_seal(line), [identity], what=what)
        check_binding(record, line, self.release)
        return record

    def covers_companion(self, number: int) -> bool:
        """Tell whether there is an identity for the original of a companion."""
        return self.whole is not None or number in self.companions

    def open_companion(self, line: CompanionLine) -> CompanionRecord:
        """Open the sealed original of one companion: digest, decryption, format, inner binding.

        Raises:
            NoMatchingKeyError: If the companion is not covered.
            WrongImageError: If what is sealed is not the signed one or belongs to another file.
            MalformedError: If it breaks the format.
        """
        what = f"sealed companion {line.number}"
        identity = self._identity(self.companions, line.number, what=what)
        record = open_companion(self.release.read_companion(line), [identity], what=what)
        check_companion(record, line, self.release)
        return record

    def _identity(self, granted: Mapping[int, str], number: int, *, what: str) -> Identity:
        if self.whole is not None:
            return self.whole
        if number not in granted:
            raise NoMatchingKeyError(f"{what}: none of the given identities opens it", subject=what)
        return Identity.from_secrets([granted[number]], what=what)


def open_secret(release: Release, identity: Identity) -> ReleaseSecret:
    """Open a finished release's secret with the owner's private age key.

    Raises:
        NoMatchingKeyError: If the identity is not the owner's.
        WrongImageError: If ``owner.age`` is not the signed one or belongs to another release.
    """
    blob = release.read(OWNER_AGE, max_bytes=MAX_OWNER_GRANT_BYTES)
    try:
        secret = open_owner_grant(blob, identity, owner=release.owner)
    except NoMatchingKeyError as error:
        raise NoMatchingKeyError(
            str(error), hint="only the owner can open a release without a grant: use --grant GRANT_DIR"
        ) from None
    if secret.release != release.statement.release:
        raise WrongImageError("owner's grant: it belongs to another release")
    return secret


def owner_access(release: Release, identity: Identity) -> Access:
    """Return the owner's access to everything.

    Raises:
        CertificateError: See :func:`open_secret`.
    """
    return Access(release, whole=open_secret(release, identity).identity())
