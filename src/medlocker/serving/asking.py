"""Which requests a server of this machine answers: by the name that was asked for, and the page that asks.

A page of another site can make a browser send requests here (cross-site), even under another name that was
made to lead here (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Container

from starlette.datastructures import Headers

OTHER_NAME = "this server has another name"
OTHER_SITE = "requests of other sites are refused"
SAFE_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
"""Of every answer: nothing is kept by browsers, nothing is taken for another kind than it is."""


def is_known_host(headers: Headers, hosts: Container[str]) -> bool:
    """Tell whether a request asks for this server by one of its names."""
    return len(headers.getlist("host")) == 1 and headers["host"] in hosts


def is_other_site(headers: Headers) -> bool:
    """Tell whether a browser says that a page of another site asks."""
    return headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
