"""The proxy put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount
from starlette.types import ASGIApp

from medlocker.errors import MedlockerError
from medlocker.proxy import _retrieving, _searching
from medlocker.proxy._answers import refusal
from medlocker.proxy._asked import ROOT, Served
from medlocker.proxy._callers import Callers
from medlocker.proxy._guard import Guard
from medlocker.proxy._instances import Instances
from medlocker.proxy._log import AccessLog


def make_app(
    instances: Instances,
    log: AccessLog,
    callers: Callers,
    *,
    hosts: Iterable[str],
    origins: Iterable[str] = (),
    scheme: str = "http",
) -> ASGIApp:
    """Return the proxy as an ASGI application.

    Args:
        instances: What there is to show.
        log: Where it is written down.
        callers: Who may ask.
        hosts: Names and port by which it is asked for.
        origins: Other sites whose pages may ask.
        scheme: ``http`` or ``https``.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        instances.close()

    app = Starlette(
        routes=[Mount(ROOT, routes=[*_searching.ROUTES, *_retrieving.ROUTES])],
        exception_handlers={
            MedlockerError: refusal,
            MemoryError: refusal,
            404: _missing,
            405: _missing,
            Exception: refusal,
        },
        lifespan=lifespan,
    )
    app.state.served = Served(instances, log)
    return Guard(app, hosts=hosts, callers=callers, origins=origins, scheme=scheme)


def _missing(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"there is nothing here: DICOMweb answers below {ROOT}/studies"}, 404)
