"""Who may ask: checked before anything is looked at."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medlocker.proxy._callers import Callers
from medlocker.serving.asking import OTHER_NAME, OTHER_SITE, SAFE_HEADERS, is_known_host, is_other_site

CALLER = "medlocker.caller"
"""Where a request's scope names who asks."""
_METHODS = ("GET", "HEAD")
_ALLOWED = {"allow": "GET, HEAD, OPTIONS"}


class Guard:
    """Lets requests pass that ask for this server by its name, only read, and prove who sends them.

    Args:
        app: What is guarded.
        hosts: ``127.0.0.1:8043`` and other names of this server.
        callers: Who may ask.
        origins: Other sites whose pages may ask: ``https://viewer.example``.
        scheme: ``http`` or ``https``.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Iterable[str], callers: Callers, origins: Iterable[str], scheme: str
    ) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._callers = callers
        self._origins = frozenset(origins)
        self._scheme = scheme

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no web sockets here
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = MutableHeaders(scope=message)
                added.update({**SAFE_HEADERS, "cache-control": "no-store, private", "vary": "Origin"})
                if origin in self._origins:
                    added["access-control-allow-origin"] = origin
                    added["access-control-expose-headers"] = "Warning, Medlocker-Shown"
            await send(message)

        refused = self._refusal(scope, headers, origin)
        await (refused or self._app)(scope, receive, sent)

    def _refusal(self, scope: Scope, headers: Headers, origin: str) -> Response | None:
        is_allowed = origin in self._origins
        foreign = self._foreign(headers, is_allowed=is_allowed)
        if foreign is not None:
            return foreign
        if scope["method"] == "OPTIONS" and is_allowed:
            return Response(status_code=204, headers=_preflight(headers))
        if scope["method"] not in _METHODS:
            return _told("nothing is stored or changed through this proxy", 405, headers=_ALLOWED)
        caller = self._callers.find(headers.get("authorization", ""))
        if caller is None:
            # Bearer alone: a browser that is asked for Basic keeps the token and sends it unasked
            return _told(
                "a token is needed: Authorization: Bearer TOKEN", 401, headers={"www-authenticate": "Bearer"}
            )
        scope[CALLER] = caller
        return None

    def _foreign(self, headers: Headers, *, is_allowed: bool) -> Response | None:
        """Refuse another name for this server, and pages of another site."""
        if not is_known_host(headers, self._hosts):
            return _told(OTHER_NAME, 421, hint="give each name that it is asked by with --name")
        own = f"{self._scheme}://{headers['host']}"
        if not is_allowed and (headers.get("origin", own) != own or is_other_site(headers)):
            return _told(OTHER_SITE, 403, hint="a viewer on another origin is let in with --allow-origin")
        return None


def _preflight(headers: Headers) -> dict[str, str]:
    allowed = {
        "access-control-allow-methods": "GET, HEAD",
        "access-control-allow-headers": "Authorization, Accept",
        "access-control-max-age": "600",
    }
    if headers.get("access-control-request-private-network") == "true":
        allowed["access-control-allow-private-network"] = "true"
    return allowed


def _told(
    message: str, status: int, *, hint: str = "", headers: dict[str, str] | None = None
) -> JSONResponse:
    return JSONResponse({"error": message, **({"hint": hint} if hint else {})}, status, headers)
