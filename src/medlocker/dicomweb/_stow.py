"""Sending one instance to a server: STOW-RS, DICOM PS3.18 section 10.5, and reading what became of it."""

from __future__ import annotations

import secrets
from typing import Any, NoReturn

from medlocker.dicomweb._http import HttpAnswer, Server, not_dicom
from medlocker.dicomweb._multipart import DICOM
from medlocker.dicomweb._qido import JSON_MEDIA, first_value, read_json
from medlocker.errors import TransferError

_FAILED, _REASON = "00081198", "00081197"
_STORED, _WARNING, _INSTANCE = "00081199", "00081196", "00081155"
_MAX_ANSWER_BYTES = 1 << 20
_REASONS = {
    0x0110: "it could not process it",
    0x0117: "it takes the instance for invalid",
    0x0122: "it does not take this kind of object",
    0x0124: "this user may not",
}
"""Failure reasons by number, PS3.18 table I.2-2; those below go by their first digit or two."""
_STATUSES = {
    400: "it takes the request for malformed",
    404: "it takes no uploads at this address",
    405: "it takes no uploads at this address",
    411: "it wants another kind of upload",
    413: "the instance is too large for it",
    415: "it does not take this kind of file",
}


def store(server: Server, data: bytes) -> bool:
    """Send a DICOM file, byte for byte as it is.

    Returns:
        Whether the server stored it unchanged; if not, its digest there is no longer the signed one.

    Raises:
        TransferError: If the server did not store it, or does not say so.
        InputError: See :meth:`~medlocker.dicomweb._http.Server.request`.
    """
    # 128 random bits: no file has this line in it
    boundary = f"medlocker-{secrets.token_hex(16)}"
    head = f"--{boundary}\r\nContent-Type: {DICOM}\r\n\r\n".encode("ascii")
    body = b"".join((head, data, f"\r\n--{boundary}--\r\n".encode("ascii")))
    content = f'multipart/related; type="{DICOM}"; boundary={boundary}'
    with server.request("POST", "/studies", accept=JSON_MEDIA[0], body=body, content=content) as answer:
        return _read(answer)


def _read(answer: HttpAnswer) -> bool:
    if answer.media in ("text/html", "application/xhtml+xml"):
        not_dicom(answer, wanted="a report of what was stored")
    if answer.status not in (200, 202, 409):
        refused(_STATUSES.get(answer.status, f"status {answer.status}"))
    report: Any = {}
    if answer.media in JSON_MEDIA:
        report = read_json(answer.read(max_bytes=_MAX_ANSWER_BYTES) or b"{}")
        if isinstance(report, list):  # some send the one data set in an array
            report = report[0] if report else {}
    failure = first_value(report, _FAILED)
    if failure is not None or answer.status == 409:
        refused(_reason(first_value(failure, _REASON)))
    stored = first_value(report, _STORED)
    # PS3.18 wants the instance named whatever the status; without that a proxy's "200" would count as stored
    if first_value(stored, _INSTANCE) is None:
        raise TransferError("the server does not say whether it stored it")
    return first_value(stored, _WARNING) in (None, 0)


def refused(reason: str) -> NoReturn:
    """Raise that the server did not take an instance.

    Raises:
        TransferError: Always.
    """
    raise TransferError(f"the server refused it: {reason}")


def _reason(number: Any) -> str:
    if not isinstance(number, int):
        return "it does not say why"
    if number in _REASONS:
        return _REASONS[number]
    if number >> 8 == 0xA7:
        return "it is out of room"
    if number >> 8 == 0xA9:
        return "the data set does not match its kind of object"
    if number >> 12 == 0xC:
        return "it cannot understand the data set"
    return f"failure reason {number:04X}" if 0 <= number <= 0xFFFF else "it does not say why"
