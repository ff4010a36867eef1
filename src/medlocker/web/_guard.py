"""Who may ask, and for what: checked before any page is looked at."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medlocker.serving.asking import OTHER_NAME, OTHER_SITE, SAFE_HEADERS, is_known_host, is_other_site

MOST_BODY_BYTES = 65 << 20
"""One marked file that is to be verified, or a form."""
TOO_LARGE = "the upload is too large"
_COOKIE = "medlocker"
_HEADERS = {
    **SAFE_HEADERS,
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}


class Guard:
    """Lets requests pass that come from this machine's browser, with the token of this start.

    A page of another site can make a browser send requests here (cross-site), even under another name that
    was made to lead here (DNS rebinding). So the name that was asked for must be ours, whatever changes
    something must come from our own pages, and everybody must know the token.

    Args:
        app: What is guarded.
        hosts: ``127.0.0.1:8765`` and other names of this server.
        token: Of this start; comes once in the address, then as a cookie.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], token: str) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._token = token
        # a cookie of its own: the token in an address may be seen in the list of processes
        self._session = secrets.token_urlsafe(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no web sockets here
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        refused = self._refusal(scope)
        if refused is not None:
            await refused(scope, receive, sent)
            return
        await self._app(scope, _limited(receive), sent)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not is_known_host(headers, self._hosts):
            return PlainTextResponse(OTHER_NAME, 421)
        if _is_foreign(scope, headers):
            return PlainTextResponse(OTHER_SITE, 403)
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or len(length) > 12 or int(length) > MOST_BODY_BYTES:
            return PlainTextResponse(TOO_LARGE, 413)
        return None if self._knows(_cookie(headers)) else self._enter(scope)

    def _knows(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._session.encode("ascii"))

    def _enter(self, scope: Scope) -> Response:
        """Exchange the token in the address for a cookie."""
        query = parse_qs(scope["query_string"].decode("latin-1"))
        given = query.pop("token", [""])[0]
        is_right = hmac.compare_digest(given.encode("utf-8"), self._token.encode("ascii"))
        if scope["method"] != "GET" or not is_right:
            return PlainTextResponse(
                "open the address that `medlocker serve` printed: it holds the token of this start", 403
            )
        rest = urlencode(query, doseq=True)
        answer = RedirectResponse(scope["path"] + (f"?{rest}" if rest else ""), 303)
        answer.set_cookie(_COOKIE, self._session, httponly=True, samesite="strict", path="/")
        return answer


def _is_foreign(scope: Scope, headers: Headers) -> bool:
    """Tell whether another site's page asks, or may be asking for a change."""
    if scope["method"] not in ("GET", "HEAD"):
        return scope["method"] != "POST" or headers.get("origin") != f"http://{headers['host']}"
    # a link in a terminal or a mail may lead to the address that was printed
    is_opened = b"token=" in scope["query_string"]
    return is_other_site(headers) and not is_opened


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value


def _limited(receive: Receive) -> Receive:
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MOST_BODY_BYTES:
            raise HTTPException(413, TOO_LARGE)
        return message

    return limited
