"""The releases whose images are restored: to which image of which a marked file belongs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medlocker.certificates import IndexLine, Release
from medlocker.errors import InputError
from medlocker.logo import Logo
from medlocker.proxy._digests import DigestTable


@dataclass(frozen=True, eq=False)
class ServedRelease:
    """One release, its statement checked.

    Args:
        logo: That was put on.
        table: Of its marked files.
    """

    release: Release
    logo: Logo
    table: DigestTable

    @property
    def name(self) -> str:
        """Id of the release."""
        return self.release.statement.release

    def find(self, digest: str) -> IndexLine | None:
        """Return the index line of a marked file by its SHA-256, None if it is not of this release.

        Raises:
            CertificateError: If the index is not the signed one any more.
        """
        for number in self.table.numbers(digest):
            line = self.release.line(number)
            if line.entry.file == digest:
                return line
        return None


class ServedReleases:
    """All of them.

    Args:
        releases: With their statements checked; each is read once.

    Raises:
        InputError: If one is given twice.
        CertificateError: If an index or a logo is not the signed one.
    """

    def __init__(self, releases: Sequence[Release]) -> None:
        names = [release.statement.release for release in releases]
        if len(set(names)) < len(names):
            raise InputError("expected each release once, got one twice")
        self.served = tuple(
            ServedRelease(one, one.logo(), DigestTable(line.entry for line in one.lines()))
            for one in releases
        )

    @property
    def images(self) -> int:
        """How many images they have together."""
        return sum(len(one.table) for one in self.served)

    def find(self, digest: str) -> tuple[ServedRelease, IndexLine] | None:
        """Return where a marked file belongs, None if to no release.

        Raises:
            CertificateError: See :meth:`ServedRelease.find`.
        """
        for one in self.served:
            line = one.find(digest)
            if line is not None:
                return one, line
        return None
