"""How the proxy answers: parts, JSON, and each failure as one sentence with its status."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from medlocker.dicomweb import NotFoundError, SilentServerError
from medlocker.errors import (
    CertificateError,
    InputError,
    MedlockerError,
    RestoreError,
    TransferError,
    WriteError,
)
from medlocker.proxy._accept import JSON
from medlocker.proxy._instances import BusyError

_PIECE = 1 << 18
_STATUSES: tuple[tuple[type[MedlockerError], int], ...] = (
    (NotFoundError, 404),
    (SilentServerError, 504),
    (BusyError, 503),
    (WriteError, 503),
    (CertificateError, 403),
    (RestoreError, 403),
    (TransferError, 502),
)
"""The first that fits counts."""


class BadRequestError(InputError):
    """The request is none that DICOMweb knows."""


class NotAcceptableError(InputError):
    """The client takes only what cannot be had."""


def refusal(request: Request, error: Exception) -> Response:
    """Answer with one sentence."""
    if isinstance(error, MemoryError) or not isinstance(error, MedlockerError):
        status = 503 if isinstance(error, MemoryError) else 500
        words = "not enough memory" if isinstance(error, MemoryError) else "something went wrong"
        return JSONResponse({"error": words, "code": "memory" if status == 503 else "system"}, status)
    told = {"error": str(error), "code": str(error.code), **({"hint": error.hint} if error.hint else {})}
    return JSONResponse(told, status_of(error))


def status_of(error: MedlockerError) -> int:
    """Return the HTTP status of an error; what the store is to blame for is a bad gateway."""
    if isinstance(error, BadRequestError):
        return 400
    if isinstance(error, NotAcceptableError):
        return 406
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 502)


def warning_of(refused: Sequence[MedlockerError]) -> dict[str, str]:
    """Return the header that tells that instances are left out; none if nothing is."""
    if not refused:
        return {}
    words = f"{len(refused)} instances are left out, the first because: {refused[0]}"
    plain = words.encode("ascii", "replace").decode("ascii").replace('"', "'").replace("\\", "/")
    return {"warning": f'299 medlocker "{plain:.500}"'}


def json_list(parts: Iterable[bytes], headers: dict[str, str]) -> Response:
    """Answer with a list of what is JSON already."""
    return Response(b"[" + b",".join(parts) + b"]", media_type=JSON, headers=headers)


def in_parts(
    parts: Iterator[tuple[str, bytes]], *, kind: str, status: int = 200, headers: dict[str, str]
) -> Response:
    """Answer with ``multipart/related``, part by part.

    Args:
        parts: Media type of each, perhaps with a transfer syntax, and its content; made as they are sent.
        kind: Media type of all.
    """
    first = list(islice(parts, 1))  # what fails before anything is sent gets a status of its own
    boundary = f"medlocker-{secrets.token_hex(16)}"

    def pieces() -> Iterator[bytes]:
        for media, data in chain(first, parts):
            yield f"--{boundary}\r\nContent-Type: {media}\r\nContent-Length: {len(data)}\r\n\r\n".encode(
                "ascii"
            )
            view = memoryview(data)
            for start in range(0, len(view), _PIECE):
                yield bytes(view[start : start + _PIECE])
            yield b"\r\n"
        yield f"--{boundary}--\r\n".encode("ascii")

    media = f'multipart/related; type="{kind}"; boundary={boundary}'
    return StreamingResponse(pieces(), status, headers, media_type=media)
