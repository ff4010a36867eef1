"""What a request is about: who asks, which study, series and instance, and by which address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from medlocker.dicomweb import is_uid
from medlocker.proxy._accept import Wanted, read_accept
from medlocker.proxy._answers import BadRequestError
from medlocker.proxy._callers import Caller
from medlocker.proxy._guard import CALLER
from medlocker.proxy._instances import Instances
from medlocker.proxy._known import Place
from medlocker.proxy._log import AccessLog

ROOT = "/dicom-web"


@dataclass(frozen=True)
class Served:
    """What all requests share."""

    instances: Instances
    log: AccessLog


@dataclass(frozen=True)
class Asked:
    """One request.

    Args:
        served: What all share.
        caller: Who asks.
        study, series, uid: As in the address; empty where it has none.
        base: Address of this service as the caller knows it.
        wanted: What the caller takes, the best first.
    """

    served: Served
    caller: Caller
    study: str
    series: str
    uid: str
    base: str
    wanted: list[Wanted]

    @property
    def place(self) -> Place:
        """What is asked for."""
        return Place(self.study, self.series, self.uid)


def asked(request: Request) -> Asked:
    """Read a request's address.

    Raises:
        BadRequestError: If what should be a UID is none.
    """
    names = [request.path_params.get(name, "") for name in ("study", "series", "uid")]
    if not all(name == "" or is_uid(name) for name in names):
        raise BadRequestError("expected UIDs in the address: digits and dots, at most 64 characters")
    texts = request.query_params.getlist("accept") or request.headers.getlist("accept")
    return Asked(
        cast(Served, request.app.state.served),
        cast(Caller, request.scope[CALLER]),
        names[0],
        names[1],
        names[2],
        _base(request),
        read_accept(texts),
    )


def _base(request: Request) -> str:
    host = request.headers["host"]  # the guard knows it
    server = request.scope.get("server")
    if server is not None and not re.search(r":[0-9]+$", host):  # some clients leave the port out
        host = f"{host}:{server[1]}"
    return f"{request.scope['scheme']}://{host}{ROOT}"


def address_of(base: str, place: Place, uid: str) -> str:
    """Return where an instance is asked for."""
    return f"{base}/studies/{place.study}/series/{place.series}/instances/{uid}"
