"""What the decoys of a run are made like, kept until it is finished.

Images that changed or vanished since an interruption must not change the decoys of the others: an image
whose marked file is made again needs the same mark, since two different ones give the original back.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from medlocker.certificates import ReleaseSecret, seal, unseal
from medlocker.errors import MalformedError
from medlocker.protect import DecoySource
from medlocker.release._journal import Journal


def kept_donors(
    journal: Journal, secret: ReleaseSecret, find: Callable[[], DecoySource | None]
) -> DecoySource | None:
    """Return the donors that a run began with; those of a new run are found, sealed and written first.

    Args:
        journal: Of the run.
        secret: Of the release. Donors are regions of images, which nobody else may read.
        find: Reads images to find them.

    Raises:
        CertificateError: If what was written cannot be opened.
        WriteError: If the system refuses.
    """
    blob = journal.donors()
    if blob is not None:
        return _read(unseal(blob, [secret.identity()], what="donors"))
    found = find()
    sets = None if found is None else found.sets
    journal.keep_donors(seal(json.dumps(sets).encode("ascii"), [secret.whole_recipient], what="donors"))
    return found


def _read(data: bytes) -> DecoySource | None:
    try:
        sets = json.loads(data)
        if sets is None:
            return None
        return DecoySource(
            tuple(tuple((int(x), int(y), int(w), int(h)) for x, y, w, h in one) for one in sets)
        )
    except (ValueError, TypeError, RecursionError):
        raise MalformedError("donors: expected lists of boxes") from None
