"""Files, headers, frames and long values of instances: WADO-RS, PS3.18 section 10.4."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from medlocker.certificates import trust_failed
from medlocker.errors import InputError, MedlockerError, UnsupportedImageError
from medlocker.proxy._accept import ANY, DICOM, JSON, OCTETS, Wanted, takes
from medlocker.proxy._answers import (
    BadRequestError,
    NotAcceptableError,
    in_parts,
    json_list,
    warning_of,
)
from medlocker.proxy._asked import Asked, address_of, asked
from medlocker.proxy._described import bulk_value, describe
from medlocker.proxy._frames import PLAIN, Frames, as_plain_file, kind_of
from medlocker.proxy._instances import REFUSED, Item, Shown
from medlocker.proxy._known import Place
from medlocker.proxy._log import Seen

_FRAMES = re.compile(r"[0-9]{1,6}(,[0-9]{1,6})*")
_MOST_FRAMES = 1000
_PLACE = re.compile(r"[0-9A-Fa-f]{8}(\.[0-9]{1,6}\.[0-9A-Fa-f]{8})*")


def instance(request: Request) -> Response:
    """Send the file of one instance."""
    of = asked(request)
    shown = show(of, "instance")
    wanted = _syntax_for(of.wanted, shown.item.syntax)
    data = _in_syntax(shown, wanted)
    of.served.log.write(of.caller.name, "instance", [shown.item.seen])
    headers = {"medlocker-shown": shown.item.state}
    media = f"{DICOM}; transfer-syntax={wanted}"
    if _is_single(of.wanted):
        return Response(data, headers=headers, media_type=media)
    return in_parts(iter([(media, data)]), kind=DICOM, headers=headers)


def instances(request: Request) -> Response:
    """Send the files of a study or series, one after the other."""
    of = asked(request)
    if _is_single(of.wanted):
        raise NotAcceptableError(f'several files are sent as multipart/related; type="{DICOM}"')
    found = of.served.instances.items(of.caller, of.study, of.series)
    refuse_logged(of, "instance", found.refused)
    syntaxes = {item.syntax: _syntax_for(of.wanted, item.syntax) for item, _ in found.found}

    def parts() -> Iterator[tuple[str, bytes]]:
        for item, _ in found.found:
            shown = of.served.instances.load(of.caller, item.place)
            wanted = syntaxes.get(shown.item.syntax, shown.item.syntax)
            data = _in_syntax(shown, wanted)
            of.served.log.write(of.caller.name, "instance", [shown.item.seen])
            yield f"{DICOM}; transfer-syntax={wanted}", data

    status = 206 if found.refused else 200
    return in_parts(parts(), kind=DICOM, status=status, headers=warning_of(found.refused))


def metadata(request: Request) -> Response:
    """Send the headers of an instance, a series or a study."""
    of = asked(request)
    check_json(of)
    known = of.served.instances
    places = [show(of, "metadata").item.place] if of.uid else known.places(of.study, of.series)
    found = known.each(of.caller, places, lambda place: described(of, place))
    refuse_logged(of, "metadata", found.refused)
    if of.uid and found.refused:
        raise found.refused[0]
    of.served.log.write(of.caller.name, "metadata", [item.seen for item, _ in found.found])
    return json_list((text for _, text in found.found), warning_of(found.refused))


def frames(request: Request) -> Response:
    """Send frames of an instance."""
    of = asked(request)
    text = request.path_params["frames"]
    numbers = [int(number) for number in text.split(",")] if _FRAMES.fullmatch(text) else []
    if not 0 < len(numbers) <= _MOST_FRAMES:
        raise BadRequestError(f"expected numbers of frames, at most {_MOST_FRAMES}: frames/1,2,3")
    shown = show(of, "frames")
    try:
        found = Frames(shown.data)
        media, syntax = _frame_kind(of.wanted, found)
        read = found.stored if syntax == found.syntax else found.plain
        first = read(numbers[0])
        if max(numbers) > found.count or min(numbers) < 1:
            raise InputError(f"the instance has {found.count} frames")
    except UnsupportedImageError as error:
        raise NotAcceptableError(str(error)) from error
    except InputError as error:
        if isinstance(error, NotAcceptableError):
            raise
        raise BadRequestError(str(error)) from error
    of.served.log.write(of.caller.name, "frames", [shown.item.seen])

    def parts() -> Iterator[tuple[str, bytes]]:
        told = f"{media}; transfer-syntax={syntax}"
        yield told, first
        for number in numbers[1:]:
            yield told, read(number)

    headers = {"medlocker-shown": shown.item.state}
    if len(numbers) == 1 and _is_bare(of.wanted, media):
        return Response(first, headers=headers, media_type=f"{media}; transfer-syntax={syntax}")
    return in_parts(parts(), kind=media, headers=headers)


def bulkdata(request: Request) -> Response:
    """Send a long value that a header points to."""
    of = asked(request)
    place = request.path_params["place"]
    if not _PLACE.fullmatch(place):
        raise BadRequestError("expected the address of a value as headers tell it")
    shown = show(of, "bulkdata")
    try:
        value = bulk_value(shown.data, place)
    except InputError as error:
        raise BadRequestError(str(error)) from error
    if not any(takes(one, OCTETS) for one in of.wanted):
        raise NotAcceptableError(f"long values are sent as {OCTETS}")
    of.served.log.write(of.caller.name, "bulkdata", [shown.item.seen])
    headers = {"medlocker-shown": shown.item.state}
    if _is_bare(of.wanted, OCTETS):
        return Response(value, headers=headers, media_type=OCTETS)
    return in_parts(iter([(OCTETS, value)]), kind=OCTETS, headers=headers)


def rendered(request: Request) -> Response:
    """Refuse pictures: those of the store would be of marked images."""
    return Response(
        b'{"error": "pictures are not rendered here: ask for frames"}', 501, media_type="application/json"
    )


def show(of: Asked, what: str) -> Shown:
    """Return the one instance that is asked for; that it is refused is written down.

    Raises:
        MedlockerError: See :meth:`Instances.show`.
    """
    try:
        return of.served.instances.show(of.caller, of.place)
    except MedlockerError as error:
        refuse_logged(of, what, [error])
        if of.caller.ended and not error.hint:
            error.hint = "a grant of yours has ended: what it opened is shown marked, under other UIDs"
        raise


def refuse_logged(of: Asked, what: str, errors: Iterable[MedlockerError]) -> None:
    """Write down what is refused for want of trust."""
    refused = [one for one in errors if trust_failed(one)]
    of.served.log.write(of.caller.name, what, [Seen(REFUSED, code=str(one.code)) for one in refused])


def described(of: Asked, place: Place) -> tuple[Item, bytes]:
    """Return the header of an instance of the store in JSON, with addresses of this service."""

    def make(shown: Shown) -> bytes:
        bulk = f"{address_of(of.base, place, shown.item.uid)}/bulkdata"
        return describe(shown.data, bulk=bulk)

    return of.served.instances.describe(of.caller, place, make, of.base)


def _syntax_for(wanted: list[Wanted], syntax: str) -> str:
    """Return the transfer syntax in which a file is sent: as it is, or uncompressed where only that is taken.

    Raises:
        NotAcceptableError: If neither is.
    """
    told = [one.syntax for one in wanted if takes(one, DICOM)]
    if not told:
        raise NotAcceptableError(f"files are sent as {DICOM}")
    for one in told:
        if one in ("", ANY, syntax):
            return syntax
        if one == PLAIN:
            return PLAIN
    raise NotAcceptableError("files are sent as they are, or in Explicit VR Little Endian")


def _in_syntax(shown: Shown, wanted: str) -> bytes:
    try:
        return shown.data if wanted == shown.item.syntax else as_plain_file(shown.data)
    except UnsupportedImageError as error:
        raise NotAcceptableError("the file cannot be sent uncompressed: take it as it is") from error


def _frame_kind(wanted: list[Wanted], found: Frames) -> tuple[str, str]:
    """Return media type and transfer syntax in which frames are sent.

    Raises:
        NotAcceptableError: If the client takes none that can be had.
    """
    own = kind_of(found.syntax)
    for one in wanted:
        if one.media == OCTETS and one.syntax in (ANY, found.syntax):
            return OCTETS, found.syntax
        if (
            takes(one, own)
            and one.syntax in ("", ANY, found.syntax)
            and (own != OCTETS or one.media != OCTETS)
        ):
            return own, found.syntax
        if takes(one, OCTETS) and one.syntax in ("", PLAIN):
            return OCTETS, PLAIN
    raise NotAcceptableError("frames are sent as they are stored, or uncompressed")


def _is_single(wanted: list[Wanted]) -> bool:
    """Tell whether a file is taken without parts around it, and before it is with."""
    return next((one.is_multipart is False for one in wanted if takes(one, DICOM)), False)


def _is_bare(wanted: list[Wanted], media: str) -> bool:
    return next((one.is_multipart is False for one in wanted if takes(one, media)), False)


def check_json(of: Asked) -> None:
    """Refuse clients that take no JSON.

    Raises:
        NotAcceptableError: If so.
    """
    if not any(takes(one, JSON) or takes(one, "application/json") for one in of.wanted):
        raise NotAcceptableError(f"headers are sent as {JSON}")


_STUDY = "/studies/{study}"
_SERIES = _STUDY + "/series/{series}"
_INSTANCE = _SERIES + "/instances/{uid}"
ROUTES = [
    *(Route(path, instances) for path in (_STUDY, _SERIES)),
    Route(_INSTANCE, instance),
    *(Route(f"{path}/metadata", metadata) for path in (_STUDY, _SERIES, _INSTANCE)),
    Route(_INSTANCE + "/frames/{frames}", frames),
    Route(_INSTANCE + "/bulkdata/{place}", bulkdata),
    *(
        Route(f"{path}/{kind}", rendered)
        for path in (_STUDY, _SERIES, _INSTANCE, _INSTANCE + "/frames/{frames}")
        for kind in ("rendered", "thumbnail")
    ),
]
