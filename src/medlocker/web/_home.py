"""The first page, and folders."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from medlocker.release import status_of
from medlocker.web._shared import shared, show

STATEMENT_PARTS = ("certificate", "statement.dsse.json")


def _page(request: Request) -> Response:
    """Show the roots, or what lies in a folder."""
    roots = shared(request).roots
    at = request.query_params.get("at", "")
    if not at:
        folders = [(str(number), folder.name or str(folder)) for number, folder in enumerate(roots.folders)]
        return show(request, "home.html", folders=folders, at="", entries=None, more=False, state="")
    entries, more = roots.entries(at)
    folder = roots.folder(at)
    state = "release" if folder.joinpath(*STATEMENT_PARTS).is_file() else "run" if status_of(folder) else ""
    if (folder / "report.html").is_file():
        state = "report"
    parents = [at.rsplit("/", n)[0] for n in range(at.count("/"), 0, -1)]
    shown: dict[str, Any] = {"entries": entries, "more": more, "state": state, "parents": parents}
    return show(request, "home.html", folders=None, at=at, **shown)


def _icon(request: Request) -> Response:
    return Response(status_code=204)


ROUTES = [Route("/", _page), Route("/favicon.ico", _icon)]
