"""What there is: QIDO-RS, PS3.18 section 10.6. The store searches; what is restored answers for itself."""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from medlocker.dicomweb import first_value, is_uid, search
from medlocker.errors import TransferError
from medlocker.proxy._answers import BadRequestError, json_list, warning_of
from medlocker.proxy._asked import Asked, address_of, asked
from medlocker.proxy._known import Place
from medlocker.proxy._log import Seen
from medlocker.proxy._retrieving import check_json, described, refuse_logged

_STUDY, _SERIES, _INSTANCE, _RETRIEVE = "0020000D", "0020000E", "00080018", "00081190"
_UID_NAMES = ("SOPInstanceUID", _INSTANCE)
_COMPUTED = frozenset({"00080005", "00080056", "00080061", "00080062", *(f"0020120{n}" for n in range(10))})
"""What servers count and say of themselves; no header has it."""
_NAME = re.compile(r"[A-Za-z0-9.]{1,200}")
_MOST_QUESTIONS = 100
_MOST_VALUE = 4096
_MOST_EVERYWHERE = 200
"""Instances of one answer over all studies: each is fetched and restored."""


def studies(request: Request) -> Response:
    """List studies, or the series of one."""
    of = asked(request)
    check_json(of)
    level = "series" if request.url.path.endswith("/series") else "studies"
    path = f"/studies/{of.study}/series" if of.study else f"/{level}"
    found = search(of.served.instances.server, path, _questions(request))
    of.served.log.write(of.caller.name, "search", [Seen("list")])
    return json_list((json.dumps(_linked(of, item)).encode("ascii") for item in found), {})


def instances(request: Request) -> Response:
    """List instances as the caller sees them."""
    of = asked(request)
    check_json(of)
    questions = _questions(request)
    warning: dict[str, str] = {}
    path = "/instances"
    if of.study:
        path = f"/studies/{of.study}" + (f"/series/{of.series}" if of.series else "") + path
    else:
        questions = _with_limit(questions)
        warning = {
            "warning": f'299 medlocker "at most {_MOST_EVERYWHERE} are listed at once: ask with offset"'
        }
    found = search(of.served.instances.server, path, _with_marked_uids(of, questions))
    items = {_place(of, item): item for item in found}
    listing = of.served.instances.each(of.caller, list(items), lambda place: described(of, place))
    refuse_logged(of, "search", listing.refused)
    of.served.log.write(of.caller.name, "search", [item.seen for item, _ in listing.found] or [Seen("list")])
    parts = []
    for item, text in listing.found:
        told = _as_seen(items[item.place], json.loads(text))
        told[_RETRIEVE] = {"vr": "UR", "Value": [address_of(of.base, item.place, item.uid)]}
        parts.append(json.dumps(told).encode("ascii"))
    return json_list(parts, warning | warning_of(listing.refused))


def _as_seen(listed: dict[str, Any], header: dict[str, Any]) -> dict[str, Any]:
    """Return what a server listed, each value as the header has it that the caller sees."""
    told = {tag: header.get(tag, value if tag in _COMPUTED else None) for tag, value in listed.items()}
    return {tag: value for tag, value in told.items() if value is not None}


def _linked(of: Asked, item: Any) -> dict[str, Any]:
    """Return a study or series with the address of this service, not of the store."""
    if not isinstance(item, dict):
        raise TransferError("expected DICOM JSON from the server, got something else")
    told = {tag: value for tag, value in item.items() if tag != _RETRIEVE and not _leads_away(value)}
    study, series = first_value(item, _STUDY) or of.study, first_value(item, _SERIES)
    if is_uid(study):
        address = f"{of.base}/studies/{study}" + (f"/series/{series}" if is_uid(series) else "")
        told[_RETRIEVE] = {"vr": "UR", "Value": [address]}
    return told


def _leads_away(value: Any) -> bool:
    return isinstance(value, dict) and "BulkDataURI" in value


def _place(of: Asked, item: Any) -> Place:
    study, series = of.study or first_value(item, _STUDY), of.series or first_value(item, _SERIES)
    uid = first_value(item, _INSTANCE)
    if not (is_uid(study) and is_uid(series) and is_uid(uid)):
        raise TransferError("expected instances with UIDs in the server's list")
    return Place(study, series, uid)


def _questions(request: Request) -> list[tuple[str, str]]:
    """Return what is asked for; values are the store's to understand.

    Raises:
        BadRequestError: If it is too much, or a name is none.
    """
    found = [(name, value) for name, value in request.query_params.multi_items() if name != "accept"]
    if len(found) > _MOST_QUESTIONS or any(len(value) > _MOST_VALUE for _, value in found):
        raise BadRequestError("expected fewer and shorter conditions")
    if not all(_NAME.fullmatch(name) for name, _ in found):
        raise BadRequestError("expected names or tags of attributes")
    return found


def _with_limit(questions: list[tuple[str, str]]) -> list[tuple[str, str]]:
    told = [value for name, value in questions if name == "limit"]
    limit = int(told[0]) if told and re.fullmatch(r"[0-9]{1,6}", told[0]) else _MOST_EVERYWHERE
    rest = [(name, value) for name, value in questions if name != "limit"]
    return [*rest, ("limit", str(min(limit, _MOST_EVERYWHERE)))]


def _with_marked_uids(of: Asked, questions: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Ask the store by the UIDs that it knows, for originals that are asked for by theirs."""
    if not of.series or not any(name in _UID_NAMES for name, _ in questions):
        return questions
    of.served.instances.items(of.caller, of.study, of.series)

    def marked(value: str) -> str:
        uids = re.split(r"[,\\]", value)
        known = (of.served.instances.marked_uid(of.caller, of.study, of.series, uid) for uid in uids)
        return ",".join(found or uid for found, uid in zip(known, uids, strict=True))

    return [(name, marked(value) if name in _UID_NAMES else value) for name, value in questions]


ROUTES = [
    Route("/studies", studies),
    Route("/series", studies),
    Route("/studies/{study}/series", studies),
    Route("/instances", instances),
    Route("/studies/{study}/instances", instances),
    Route("/studies/{study}/series/{series}/instances", instances),
]
