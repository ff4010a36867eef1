"""Content credentials on marked files: the last thing that is done to them, where the owner's key is."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from medlocker.certificates import ContentCredentials, Owner
from medlocker.errors import UnsupportedImageError
from medlocker.files import read_limited, write_atomic
from medlocker.formats import glance_image, layer_between, read_image
from medlocker.images import LIMITS, content_digest
from medlocker.protect import Marked, Settings
from medlocker.provenance import Provenance


class CredentialsWriter:
    """Puts credentials on files that are marked but not yet in their place.

    Args:
        credentials: Signs.
    """

    def __init__(self, credentials: ContentCredentials) -> None:
        self.credentials = credentials
        self.holding: set[str] = set()
        """Digests of the files that got some."""

    def add(self, marked: Marked) -> Marked:
        """Return the same with credentials around the file, or as it was if there is no place for them.

        Those without get credentials beside the file, at the end of the run.

        The file is read again: it must hold the marked pixels, and come off to the byte.

        Raises:
            WriteError: If the system refuses.
        """
        name = marked.job.output_name
        data = read_limited(marked.temporary, max_bytes=LIMITS.max_file_bytes, what="marked image")
        kind = glance_image(data, name=name).format
        signed = self.credentials.embed(data, kind=kind)
        layer = None if signed is None else layer_between(data, signed)
        if signed is None or layer is None or not _holds(signed, marked):
            return marked
        write_atomic(marked.temporary, signed, overwrite=True)
        sha256 = hashlib.sha256(signed).hexdigest()
        self.holding.add(sha256)
        return replace(marked, sha256=sha256, layers=(*marked.layers, layer))


def credentials_writer(
    settings: Settings, owner: Owner, provenance: Provenance | None
) -> CredentialsWriter | None:
    """Return what signs the files of a run, None if that was not asked for.

    Raises:
        MissingExtraError: If the library is not installed.
    """
    if provenance is None or settings.provenance != "c2pa":
        return None
    return CredentialsWriter(ContentCredentials(owner.signing, provenance))


def _holds(signed: bytes, marked: Marked) -> bool:
    try:
        return content_digest(read_image(signed, name=marked.job.output_name)) == marked.marked_pixels
    except UnsupportedImageError:
        return False
