"""Is a release, or one file, what its owner signed?"""

from __future__ import annotations

import hashlib
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from medlocker.api.listener import Listener
from medlocker.api.trust import verify
from medlocker.api.whose import made_of
from medlocker.certificates import load_verify_key, open_release
from medlocker.errors import InputError, MedlockerError, WrongImageError
from medlocker.web._shared import read_form, shared, show

_SHOWN = 50


async def ask(request: Request) -> Response:
    """Show the form."""
    found = shared(request)
    keys = await found.work(lambda: found.roots.find(".sign.pub"))
    return show(request, "verify.html", at=request.query_params.get("at", ""), keys=keys, result=None)


async def check(request: Request) -> Response:
    """Check a whole release, or whether an uploaded file belongs to it."""
    form, found = await read_form(request), shared(request)
    release, key = found.roots.folder(form.text("at")), found.roots.file(form.text("owner"))
    data = form.uploads.get("file")
    try:
        if data is not None:
            result = await found.work(lambda: _file(release, key, data))
        else:
            result = await found.work(lambda: _release(release, key))
    except MedlockerError as error:
        if isinstance(error, InputError):
            raise
        result = {"valid": False, "sentence": str(error), "hint": error.hint, "faults": []}
    keys = await found.work(lambda: found.roots.find(".sign.pub"))
    return show(request, "verify.html", at=form.text("at"), keys=keys, result=result)


def _release(release: Any, key: Any) -> dict[str, Any]:
    done = verify(release, owner=key)
    report, statement = done.report, done.release.statement
    pairs = (("missing", report.missing), ("changed", report.changed), ("not signed", report.added))
    faults = [(what, name) for what, some in pairs for name in some.names[:_SHOWN]]
    return {
        "valid": done.valid,
        "sentence": f"{report.intact} of {report.images} images are as signed"
        + (f", {report.companions_intact} of {report.companions} other files" if report.companions else ""),
        "hint": "",
        "faults": faults,
        "facts": {
            "release": statement.release,
            "made": f"{statement.created}, {statement.tool}, preset {statement.preset}",
            "owner": done.release.owner.key_id,
            "regions": statement.regions,
            "promise": statement.promise,
        },
    }


def _file(release: Any, key: Any, data: bytes) -> dict[str, Any]:
    opened = open_release(release, load_verify_key(key))
    try:
        digest = hashlib.sha256(data).hexdigest()
        beside = opened.find_companion(digest)
        if beside is not None:
            sentence = f"the file is a {beside.entry.kind} in the release, {beside.entry.name}"
        else:
            entry = opened.find_file(digest).entry
            sentence = f"the file is image {entry.index} of the release, {entry.name}"
    except WrongImageError:
        known = made_of(data, opened, name="file", listener=Listener())
        if known is None:
            raise
        raise WrongImageError(
            f"the file was made of image {known.index}, {known.name}, and changed since"
        ) from None
    return {
        "valid": True,
        "sentence": sentence,
        "hint": "",
        "faults": [],
        "facts": {"release": opened.statement.release, "made": opened.statement.created},
    }


ROUTES = [Route("/verify", ask), Route("/verify", check, methods=["POST"])]
