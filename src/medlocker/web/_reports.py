"""Reports of `evaluate` that lie below the roots; anybody may have written them, so they are shown caged."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from medlocker.files import read_limited
from medlocker.web._shared import shared, show

_MOST_BYTES = 256 << 20
_CAGE = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


async def listed(request: Request) -> Response:
    """List them."""
    found = shared(request)
    places = await found.work(lambda: found.roots.find("report.html"))
    return show(request, "reports.html", places=[place.rsplit("/", 1)[0] for place in places])


async def one(request: Request) -> Response:
    """Show one in an origin of its own, which can ask nothing of this server."""
    found = shared(request)
    path = found.roots.file(f"{request.query_params.get('at', '')}/report.html")
    data = await found.work(lambda: read_limited(path, max_bytes=_MOST_BYTES, what="report"))
    return Response(data, media_type="text/html", headers={"content-security-policy": _CAGE})


ROUTES = [Route("/reports", listed), Route("/report", one)]
