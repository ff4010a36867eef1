"""Originals back, with a key that is read from a file of this machine."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from medlocker.api.restore import restore
from medlocker.errors import InputError, MedlockerError
from medlocker.web._shared import read_form, shared, show

_SHOWN = 50


async def ask(request: Request) -> Response:
    """Show the form."""
    found, at = shared(request), request.query_params.get("at", "")
    find = found.roots.find
    owners = await found.work(lambda: find(".sign.pub"))
    identities = await found.work(lambda: find(".age.key"))
    grants = await found.work(lambda: [place.rsplit("/", 1)[0] for place in find("grant.dsse.json")])
    return show(
        request,
        "restore.html",
        at=at,
        owners=owners,
        identities=identities,
        grants=grants,
        result=None,
        out="",
    )


async def back(request: Request) -> Response:
    """Restore into a new folder below the roots."""
    form, found = await read_form(request), shared(request)
    roots = found.roots
    out = roots.new_folder(form.text("folder"), form.text("name"))
    release, owner = roots.folder(form.text("at")), roots.file(form.text("owner"))
    identity = roots.file(form.text("identity"))
    grant = roots.folder(form.text("grant")) if form.text("grant") else None
    try:
        done = await found.work(
            partial(restore, release, owner=owner, identity=identity, out=out, grant=grant)
        )
    except MedlockerError as error:
        if isinstance(error, InputError):
            raise
        result = {"failed": True, "sentence": str(error), "hint": error.hint, "failures": []}
    else:
        report = done.report
        result = {
            "failed": bool(report.failed or report.companions_failed),
            "sentence": f"restored {report.restored} images, {report.identical} of them byte for byte; "
            f"{report.failed} failed, {report.not_granted} are not opened by this key"
            + (f"; {report.companions} files beside them came back" if report.companions else ""),
            "hint": "",
            "failures": [str(one.failure) for one in report.failures[:_SHOWN]],
        }
    return show(request, "restored.html", result=result, out=roots.place(out))


ROUTES = [Route("/restore", ask), Route("/restore", back, methods=["POST"])]
