"""What the decoys of a run are made like, kept until it is finished.

Images that changed or vanished since an interruption must not change the decoys of the others: an image
whose marked file is made again needs the same mark, since two different ones give the original back.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from medlocker.certificates import ReleaseSecret, seal, unseal
from medlocker.errors import MalformedError
from medlocker.files import read_limited, write_atomic
from medlocker.protect import Donors
from medlocker.release._journal import FOLDER

_FILE = "donors.age"
_MAX_BYTES = 1 << 28


def kept_donors(release: Path, secret: ReleaseSecret, find: Callable[[], Donors | None]) -> Donors | None:
    """Return the donors that a run began with; those of a new run are found, sealed and written first.

    Args:
        release: The release's folder; its run is held.
        secret: Of the release. Donors are regions of images, which nobody else may read.
        find: Reads images to find them.

    Raises:
        CertificateError: If what was written cannot be opened.
        WriteError: If the system refuses.
    """
    path = release / FOLDER / _FILE
    if path.exists():
        blob = read_limited(path, max_bytes=_MAX_BYTES, what="donors")
        return _read(unseal(blob, [secret.identity()], what="donors"))
    found = find()
    sets = None if found is None else found.sets
    write_atomic(path, seal(json.dumps(sets).encode("ascii"), [secret.whole_recipient], what="donors"))
    return found


def _read(data: bytes) -> Donors | None:
    try:
        sets = json.loads(data)
        if sets is None:
            return None
        return Donors(tuple(tuple((int(x), int(y), int(w), int(h)) for x, y, w, h in one) for one in sets))
    except (ValueError, TypeError, RecursionError):
        raise MalformedError("donors: expected lists of boxes") from None
