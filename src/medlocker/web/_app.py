"""The server's pages put together."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from medlocker.errors import MedlockerError
from medlocker.web import _grants, _home, _pictures, _reports, _restoring, _reviews, _runs, _verifying
from medlocker.web._guard import TOO_LARGE, Guard
from medlocker.web._roots import Roots
from medlocker.web._shared import Shared, show

_FAMILIES = (_home, _runs, _reviews, _verifying, _grants, _restoring, _reports, _pictures)


def make_app(roots: Roots, *, hosts: Iterable[str], token: str) -> ASGIApp:
    """Return the whole server as an ASGI application.

    Args:
        roots: Files are read and written below these alone.
        hosts: Names and port that a browser may know it by.
        token: Of this start.
    """
    app = Starlette(
        routes=[route for family in _FAMILIES for route in family.ROUTES],
        exception_handlers={
            MedlockerError: _told,
            404: _missing,
            405: _missing,
            413: _too_large,
            Exception: _broken,
        },
    )
    app.state.shared = Shared(roots)
    return Guard(app, hosts=hosts, token=token)


def _told(request: Request, error: Exception) -> Response:
    """Show one clear sentence."""
    hint = error.hint if isinstance(error, MedlockerError) else ""
    return show(request, "error.html", status=400, message=str(error), hint=hint)


def _missing(request: Request, error: Exception) -> Response:
    return show(request, "error.html", status=404, message="there is no such page", hint="")


def _too_large(request: Request, error: Exception) -> Response:
    return show(request, "error.html", status=413, message=TOO_LARGE, hint="")


def _broken(request: Request, error: Exception) -> Response:
    return show(request, "error.html", status=500, message="something went wrong", hint="nothing was changed")
