"""Asking what a server has: QIDO-RS, DICOM PS3.18 section 10.6; answers in the JSON of its annex F."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from medlocker.dicomweb._address import is_uid
from medlocker.dicomweb._http import NotFoundError, Server, not_dicom
from medlocker.errors import TransferError

JSON_MEDIA = ("application/dicom+json", "application/json")
_SOP_CLASS, _SOP_INSTANCE, _SERIES, _NUMBER = "00080016", "00080018", "0020000E", "00200013"
_PAGE = 1000
_MAX_PAGE_BYTES = 64 << 20
_MAX_INSTANCES = 1_000_000


@dataclass(frozen=True)
class Instance:
    """One object of a study.

    Args:
        series: Series Instance UID.
        number: Instance Number, or None where it has none.
        uid: SOP Instance UID.
        kind: SOP Class UID, or empty where it is not told.
    """

    series: str
    number: int | None
    uid: str
    kind: str


def find_instances(server: Server, study: str, series: str = "") -> list[Instance]:
    """List the instances of a study or series, in no certain order.

    Raises:
        NotFoundError: If the server has none.
        TransferError: If it does not keep to the protocol, or has over a million.
        InputError: See :meth:`~medlocker.dicomweb._http.Server.request`.
    """
    path = f"/studies/{study}" + (f"/series/{series}" if series else "") + "/instances"
    found: dict[str, Instance] = {}
    while True:
        before = len(found)
        page = _page(server, path, offset=before)
        found.update((one.uid, one) for one in _instances(page, series))
        # servers that know no offset repeat themselves; those with smaller pages are asked again
        if len(found) == before:
            break
        if len(found) > _MAX_INSTANCES:
            raise TransferError(f"expected at most {_MAX_INSTANCES} instances in a study")
    if not found:
        raise NotFoundError("the server has no such study or series")
    return list(found.values())


def search(server: Server, path: str, query: Sequence[tuple[str, str]]) -> list[Any]:
    """Return what a server lists, in DICOM JSON; whatever it says is a stranger's.

    Args:
        path: What follows the address: ``/studies``, ``/studies/UID/series``, ...
        query: Names and values of the question, as DICOM has them.

    Raises:
        NotFoundError: If the server has no such study or series.
        TransferError: If it does not keep to the protocol.
        InputError: See :meth:`~medlocker.dicomweb._http.Server.request`.
    """
    with server.request("GET", path, accept=", ".join(JSON_MEDIA), query=query) as answer:
        if answer.status == 204:
            return []
        if answer.status in (404, 410):
            raise NotFoundError("the server has no such study or series, or no DICOMweb at this address")
        if answer.status != 200:
            raise TransferError(f"the server does not list instances, status {answer.status}")
        if answer.media not in JSON_MEDIA:
            not_dicom(answer, wanted="a list of instances")
        page = read_json(answer.read(max_bytes=_MAX_PAGE_BYTES) or b"[]")
    if not isinstance(page, list):
        raise TransferError("expected a list of instances from the server, got something else")
    return page


def read_json(data: bytes) -> Any:
    """Return what JSON from a server says.

    Raises:
        TransferError: If it is none.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise TransferError("expected DICOM JSON from the server, got something else") from None


def first_value(item: Any, tag: str) -> Any:
    """Return the first value of an attribute in DICOM JSON, or None."""
    try:
        return item[tag]["Value"][0]
    except (KeyError, IndexError, TypeError):
        return None


def _page(server: Server, path: str, *, offset: int) -> list[Any]:
    query = {"includefield": f"{_SERIES},{_NUMBER}", "limit": str(_PAGE), "offset": str(offset)}
    try:
        return search(server, path, tuple(query.items()))
    except NotFoundError:
        if offset:
            return []
        raise


def _instances(page: list[Any], series: str) -> Iterator[Instance]:
    for item in page:
        uid, of = first_value(item, _SOP_INSTANCE), first_value(item, _SERIES) or series
        # they go into addresses: nothing but digits and dots may
        if not is_uid(uid) or not is_uid(of):
            raise TransferError("expected instances with UIDs in the server's list")
        kind = first_value(item, _SOP_CLASS)
        yield Instance(of, _number(first_value(item, _NUMBER)), uid, kind if is_uid(kind) else "")


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None
