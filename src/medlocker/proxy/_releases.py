"""The releases that are restored from: which image or companion of which a file of the store is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medlocker.certificates import Access, CompanionLine, IndexLine, Release
from medlocker.errors import InputError
from medlocker.logo import Logo
from medlocker.proxy._digests import DigestTable
from medlocker.proxy._members import Member
from medlocker.restore import restore_image


@dataclass(frozen=True, eq=False)
class ServedRelease:
    """One release, its statement checked.

    Args:
        logo: That was put on.
        table: Of its marked files.
        companions: Those with a sealed original, by the SHA-256 of the file that travels.
    """

    release: Release
    logo: Logo
    table: DigestTable
    companions: Mapping[str, CompanionLine]

    @property
    def name(self) -> str:
        """Id of the release."""
        return self.release.statement.release

    def find(self, digest: str) -> IndexLine | CompanionLine | None:
        """Return the line of a marked file or companion by its SHA-256, None if it is not of this release.

        Raises:
            CertificateError: If the index is not the signed one any more.
        """
        for number in self.table.numbers(digest):
            line = self.release.line(number)
            if line.entry.file == digest:
                return line
        return self.companions.get(digest)

    def member(self, line: IndexLine | CompanionLine) -> Member:
        """Return how a line is known to callers and to the log."""
        if isinstance(line, CompanionLine):
            return Member(self.name, line.number, is_companion=True)
        return Member(self.name, line.entry.index)

    def restored(self, data: bytes, line: IndexLine | CompanionLine, access: Access) -> bytes:
        """Return the original of a file.

        Args:
            data: The file; its digest is that of the line.
            access: Opens it.

        Raises:
            CertificateError: If what is sealed is not the signed one.
            RestoreError: If the original does not come back.
        """
        if isinstance(line, CompanionLine):
            return access.open_companion(line).original
        return restore_image(data, access.open(line), logo=self.logo).data


class ServedReleases:
    """All of them.

    Args:
        releases: With their statements checked; each is read once.

    Raises:
        InputError: If one is given twice.
        CertificateError: If an index, a list of companions or a logo is not the signed one.
    """

    def __init__(self, releases: Sequence[Release]) -> None:
        names = [release.statement.release for release in releases]
        if len(set(names)) < len(names):
            raise InputError("expected each release once, got one twice")
        self.served = tuple(
            ServedRelease(
                one,
                one.logo(),
                DigestTable(line.entry for line in one.lines()),
                {line.entry.file: line for line in one.companions() if line.seal is not None},
            )
            for one in releases
        )

    @property
    def images(self) -> int:
        """How many images they have together."""
        return sum(len(one.table) for one in self.served)

    def find(self, digest: str) -> tuple[ServedRelease, IndexLine | CompanionLine] | None:
        """Return where a file belongs, None if to no release.

        Raises:
            CertificateError: See :meth:`ServedRelease.find`.
        """
        for one in self.served:
            line = one.find(digest)
            if line is not None:
                return one, line
        return None
