"""What a file says of where it comes from, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medlocker.certificates import CREDENTIALS_ENDING, find_content_credentials
from medlocker.errors import MissingExtraError
from medlocker.files import read_limited
from medlocker.formats import told_by
from medlocker.images import Image

_MAX_BYTES = 1 << 24
_NOT_CHECKED = "not checked: that needs the extra c2pa"


def provenance_facts(image: Image, path: Path) -> dict[str, Any]:
    """Return what a file says of having been marked, unproved, and what its content credentials prove.

    Args:
        image: As it was read.
        path: Where from; credentials may lie beside it.

    Raises:
        InputError: If what lies there cannot be read.
    """
    facts: dict[str, Any] = {}
    told = told_by(image)
    if told is not None:
        facts["says of itself"] = f"{told.description}, marked by {told.program}"
    beside = path.with_name(path.name + CREDENTIALS_ENDING)
    kept = (
        read_limited(beside, max_bytes=_MAX_BYTES, what="content credentials") if beside.is_file() else None
    )
    try:
        found = find_content_credentials(image.source, kind=image.format, beside=kept)
    except MissingExtraError:
        return facts | {"content credentials": _NOT_CHECKED}
    if found is None:
        return facts
    state = "unchanged since it was signed" if found.valid else "changed since it was signed, or damaged"
    signer = f", by the key {found.key_id}" if found.key_id else ""
    return facts | {"content credentials": f"{state}{signer}, with {found.program}"}
