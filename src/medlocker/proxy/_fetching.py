"""One instance from the store into memory: bounded in size and in time."""

from __future__ import annotations

import time

from medlocker.dicomweb import Server, SilentServerError, retrieved
from medlocker.errors import TransferError

MOST_BYTES = 1 << 30
"""Of one instance."""
MOST_SECONDS = 300.0
"""For one instance: a store that sends a byte now and then is as good as silent."""


def fetch(server: Server, study: str, series: str, uid: str) -> bytes:
    """Return the bytes that the store has.

    Raises:
        NotFoundError: If it does not have it.
        TransferError: If it cannot be asked, is too slow, or answers with something else.
        InputError: If it refuses the proxy's credentials.
    """
    end = time.monotonic() + MOST_SECONDS
    data = bytearray()
    with retrieved(server, study, series, uid, max_bytes=MOST_BYTES) as pieces:
        for piece in pieces:
            data += piece
            if time.monotonic() > end:
                raise SilentServerError("the server sends too slowly")
    if not data:
        raise TransferError("the server sent an empty file")
    return bytes(data)
