"""Getting one instance: WADO-RS, DICOM PS3.18 section 10.4; the bytes that the server stores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from medlocker.dicomweb._http import NotFoundError, Server
from medlocker.dicomweb._multipart import DICOM, dicom_file
from medlocker.errors import TransferError
from medlocker.images import LIMITS

_ACCEPT = f'multipart/related; type="{DICOM}"; transfer-syntax=*'


@contextmanager
def retrieved(
    server: Server, study: str, series: str, uid: str, *, max_bytes: int = LIMITS.max_file_bytes
) -> Iterator[Iterator[bytes]]:
    """Yield the pieces of a stored file (``transfer-syntax=*``); they are read within the block.

    Args:
        study, series, uid: UIDs, checked by the caller.
        max_bytes: How long it may be.

    Raises:
        NotFoundError: If the server does not have it.
        TransferError: If it does not hand it out, or not a whole DICOM file.
        InputError: See :meth:`~medlocker.dicomweb._http.Server.request`.
    """
    path = f"/studies/{study}/series/{series}/instances/{uid}"
    with server.request("GET", path, accept=_ACCEPT) as answer:
        if answer.status in (404, 410):
            raise NotFoundError("the server does not have it any more")
        if answer.status != 200:
            raise TransferError(f"the server does not hand it out, status {answer.status}")
        yield dicom_file(answer, max_bytes=max_bytes)
