"""What all pages share: folders, templates, open reviews, runs; and how a page is answered."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

from anyio import CapacityLimiter, to_thread
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from medlocker.api.review import review as open_review
from medlocker.errors import InputError
from medlocker.pages import environment, frame
from medlocker.review import Review
from medlocker.web._roots import Roots
from medlocker.web._started import StartedRuns

R = TypeVar("R")
_TEMPLATES = Path(__file__).parent / "templates"
_MOST_REVIEWS = 4
_MOST_FIELDS = 100
_BAD_REQUEST = 400
_AT_ONCE = 2
"""Pictures or files that are worked on at the same time."""


class Shared:
    """What lives as long as the server.

    Args:
        roots: Folders below which it works.
    """

    def __init__(self, roots: Roots) -> None:
        self.roots = roots
        self.runs = StartedRuns(roots)
        self.form_token = secrets.token_urlsafe(32)
        script = (_TEMPLATES / "serve.js").read_text("utf-8")
        self.frame = frame(images="'self'", forms="'self'", connections="'self'", more_script=script)
        self.templates = environment([_TEMPLATES])
        self.templates.globals["address"] = address
        self._reviews: OrderedDict[Path, Review] = OrderedDict()
        self._lock = threading.Lock()
        self._limiter: CapacityLimiter | None = None

    def open_review(self, release: Path, owner: Path) -> Review:
        """Open the review of a release with the owner's keys, and keep it open.

        Raises:
            MedlockerError: See :func:`medlocker.review`.
        """
        found = open_review(release, owner=owner)
        with self._lock:
            self._reviews[release] = found
            while len(self._reviews) > _MOST_REVIEWS:
                self._reviews.popitem(last=False)
        return found

    def review(self, release: Path) -> Review | None:
        """Return an open review; None if it is not open."""
        with self._lock:
            found = self._reviews.get(release)
            if found is not None:
                self._reviews.move_to_end(release)
        return found

    async def work(self, call: Callable[[], R]) -> R:
        """Do what takes long in a thread, with few others at the same time."""
        if self._limiter is None:
            self._limiter = CapacityLimiter(_AT_ONCE)
        return await to_thread.run_sync(call, limiter=self._limiter)


def shared(request: Request) -> Shared:
    """Return what all pages share."""
    return cast(Shared, request.app.state.shared)


def address(path: str, **values: object) -> str:
    """Return the address of a page with its values."""
    given = {name: value for name, value in values.items() if value is not None and value != ""}
    return path + (f"?{urlencode(given)}" if given else "")


def show(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """Answer with a page."""
    found = shared(request)
    text = found.templates.get_template(template).render(
        **found.frame, form_token=found.form_token, here=request.url.path, **values
    )
    page = HTMLResponse(text.encode("utf-8", "backslashreplace"), status)
    page.headers["content-security-policy"] = f"{found.frame['policy']}; frame-ancestors 'none'"
    return page


def go(path: str, **values: object) -> Response:
    """Answer a form with the page to look at next."""
    return RedirectResponse(address(path, **values), 303)


class Form:
    """What a browser sent with a form of ours.

    Args:
        fields: Text by name.
        uploads: Contents of files by name; of a file that was not chosen there is none.
    """

    def __init__(self, fields: Mapping[str, str], uploads: Mapping[str, bytes]) -> None:
        self._fields = fields
        self.uploads = uploads

    def text(self, name: str) -> str:
        """Return a field without blanks around it; empty if it was not filled in."""
        return self._fields.get(name, "").strip()

    def number(self, name: str) -> float | None:
        """Return a number, None if it was not filled in.

        Raises:
            InputError: If it is none.
        """
        text = self.text(name)
        try:
            return float(text) if text else None
        except ValueError:
            raise InputError(f"{name}: expected a number, got {text!r:.40}") from None

    def checked(self, name: str) -> bool:
        """Tell whether a box was ticked."""
        return bool(self.text(name))


async def read_form(request: Request) -> Form:
    """Read a form that one of our own pages sent.

    Raises:
        InputError: If it is none.
    """
    try:
        data: FormData = await request.form(max_fields=_MOST_FIELDS, max_files=1)
    except HTTPException as error:
        if error.status_code != _BAD_REQUEST:
            raise
        raise InputError("expected a form of this server") from error
    fields = {name: value for name, value in data.items() if isinstance(value, str)}
    files = {name: value for name, value in data.items() if isinstance(value, UploadFile)}
    try:
        uploads = {name: await file.read() for name, file in files.items() if file.filename}
    finally:
        await data.close()
    if not secrets.compare_digest(fields.get("form_token", "").encode(), shared(request).form_token.encode()):
        raise InputError("expected a form of this start of the server", hint="load the page again")
    return Form(fields, uploads)
