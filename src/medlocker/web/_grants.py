"""Who may open what: the grants that lie below the roots, and giving one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from medlocker.api.grant import grant
from medlocker.certificates import load_verify_key, read_grant
from medlocker.errors import InputError, MedlockerError
from medlocker.web._shared import Shared, go, read_form, shared, show
from medlocker.web._started import owner_name

_STATEMENT = "grant.dsse.json"
_LONGEST = 200
_SIGNING = (".sign.key", ".sign.pub")
_RECIPIENTS = (".age.pub", "ed25519.pub")


async def listed(request: Request) -> Response:
    """Show the form of a new grant, and with an owner's key the grants that there are."""
    found, at = shared(request), request.query_params.get("at", "")
    key = request.query_params.get("owner", "")
    keys = await found.work(lambda: found.roots.find(*_SIGNING, *_RECIPIENTS))
    given = await found.work(lambda: _given(found, key) if key else [])
    return show(
        request,
        "grants.html",
        at=at,
        owner=key,
        given=given,
        signing=[place for place in keys if place.endswith(_SIGNING[0])],
        checking=[place for place in keys if place.endswith(_SIGNING[1])],
        recipients=[place for place in keys if place.endswith(_RECIPIENTS)],
    )


async def give(request: Request) -> Response:
    """Write a grant."""
    form, found = await read_form(request), shared(request)
    roots = found.roots
    release, owner = roots.folder(form.text("at")), owner_name(roots.file(form.text("owner")))
    to, out = roots.file(form.text("to")), roots.new_folder(form.text("folder"), form.text("name"))
    images = form.text("images")
    if len(images) > _LONGEST or Path(images or "*").is_file():
        raise InputError("images: expected a pattern such as left/*")

    def write() -> None:
        grant(
            release,
            owner=owner,
            to=to,
            out=out,
            images=images or None,
            until=form.text("until") or None,
            purpose=form.text("purpose"),
        )

    await found.work(write)
    return go("/grants", at=form.text("at"), owner=roots.place(owner.with_name(f"{owner.name}.sign.pub")))


def _given(found: Shared, key: str) -> list[dict[str, Any]]:
    owner = load_verify_key(found.roots.file(key))
    shown: list[dict[str, Any]] = []
    for place in found.roots.find(_STATEMENT):
        folder = found.roots.file(place).parent
        try:
            one = read_grant(folder, owner=owner)
        except MedlockerError as error:
            shown.append({"name": folder.name, "fault": str(error)})
            continue
        scope = "the whole release" if one.scope == "whole" else f"{one.image_count} images"
        shown.append(
            {
                "name": folder.name,
                "fault": "",
                "release": one.release,
                "scope": scope,
                "recipients": one.recipients,
                "until": one.until or "no date",
                "expired": one.expired(datetime.now(UTC)),
                "purpose": one.purpose or "-",
            }
        )
    return shown


ROUTES = [Route("/grants", listed), Route("/grants", give, methods=["POST"])]
