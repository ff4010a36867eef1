"""What marked files say of themselves, in words and terms that every format's own standard carries.

It names the program, and the release that the statement names too; nothing of originals, marks or people.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from medlocker.errors import InputError
from medlocker.version import __version__

PROGRAM = "medlocker"
NOTICE = "visible mark that misleads AI: not for diagnosis by AI"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/composite"
"""Of the IPTC's terms: a picture composed of several elements, here of a picture and a logo."""
_URN = "urn:medlocker:release:"
_RELEASE = re.compile(r"[0-9a-f]{32}")
_VERSION = re.compile(r"[0-9A-Za-z.+!-]{1,64}")


@dataclass(frozen=True)
class Provenance:
    """Where a marked file comes from.

    There is no time in it: a run that is resumed writes the same bytes.

    Args:
        release: Id of the release, 32 lower-case hex digits.
        version: Of the program.

    Raises:
        InputError: If one of them has another form.
    """

    release: str
    version: str = __version__

    def __post_init__(self) -> None:
        if not _RELEASE.fullmatch(self.release):
            raise InputError(f"expected a release id of 32 hex digits, got {self.release!r:.80}")
        if not _VERSION.fullmatch(self.version):
            raise InputError(f"expected a version, got {self.version!r:.80}")

    @property
    def program(self) -> str:
        """Name and version."""
        return f"{PROGRAM} {self.version}"

    @property
    def urn(self) -> str:
        """The release as one name."""
        return _URN + self.release

    @property
    def description(self) -> str:
        """One sentence for people; ASCII, at most 128 characters."""
        return f"{NOTICE}; release {self.release}"
