"""Starting a run, watching it, stopping it, going on."""

from __future__ import annotations

import heapq
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from medlocker.certificates import unproved_names
from medlocker.errors import InputError, MedlockerError
from medlocker.release import RunStatus, status_of
from medlocker.web._home import STATEMENT_PARTS
from medlocker.web._shared import Shared, address, go, read_form, shared, show
from medlocker.web._started import Asked, messages_of, read_asked, result_of

_NEWEST = 12
_MOST_LOOKED_AT = 20_000


async def ask(request: Request) -> Response:
    """Show the form of a new run."""
    found = shared(request)
    keys = await found.work(lambda: found.roots.find(".sign.key"))
    return show(request, "run_new.html", keys=keys, images=request.query_params.get("at", ""))


async def start(request: Request) -> Response:
    """Begin a run, or go on with one."""
    form, found = await read_form(request), shared(request)
    if form.text("again"):
        asked = read_asked(found.roots.path(form.text("again")))
        if asked is None:
            raise InputError("this run was not started here: repeat its command where it was started")
    else:
        out = found.roots.new_folder(form.text("folder"), form.text("name"))
        asked = Asked(
            images=form.text("images"),
            owner=form.text("owner"),
            out=found.roots.place(out),
            preset=form.text("preset"),  # type: ignore[arg-type]  # checked with the command
            labels=form.text("labels"),
            regions=form.text("regions"),
            logo=form.text("logo"),
            model=form.text("model"),
            needs_review=form.checked("needs_review"),
            keep_original=form.checked("keep_original"),
            anatomy=form.checked("anatomy"),
            redo=form.text("redo"),
            missing_regions=form.text("missing_regions"),
        )
    await found.work(lambda: found.runs.start(asked))
    return go("/run", at=asked.out)


async def stop(request: Request) -> Response:
    """Interrupt a run."""
    form, found = await read_form(request), shared(request)
    found.runs.stop(found.roots.path(form.text("at")))
    return go("/run", at=form.text("at"))


async def watch(request: Request) -> Response:
    """Show how far a run is."""
    found, at = shared(request), request.query_params.get("at", "")
    release = found.roots.path(at)
    facts = await found.work(lambda: _facts(found, release, at))
    return show(request, "run.html", at=at, name=release.name, **facts)


async def told(request: Request) -> Response:
    """Answer the same as JSON, for the page's script."""
    found, at = shared(request), request.query_params.get("at", "")
    release = found.roots.path(at)
    return JSONResponse(await found.work(lambda: _facts(found, release, at)))


def _facts(found: Shared, release: Path, at: str) -> dict[str, Any]:
    status = status_of(release)
    runs_here = found.runs.is_running(release)
    try:
        can_repeat = read_asked(release) is not None
    except MedlockerError:
        can_repeat = False
    state = _state(release, status, runs_here=runs_here)
    images, marked, skipped, failed = _counts(release, status)
    return {
        "state": state,
        "images": images,
        "done": marked + skipped + failed,
        "marked": marked,
        "skipped": skipped,
        "failed": failed,
        "can_stop": runs_here,
        "can_repeat": can_repeat and state in ("interrupted", "nothing"),
        "messages": messages_of(release),
        "pictures": [] if status is None and state != "finished" else _newest(release, at),
    }


def _counts(release: Path, status: RunStatus | None) -> tuple[int | None, int, int, int]:
    """Return how many images there are, and how many are marked, skipped and failed."""
    if status is not None:
        return status.images, status.marked, status.skipped, status.failed
    told = result_of(release)  # of a run that has ended
    given = (told.get(name) for name in ("images", "marked", "skipped", "failed"))
    numbers = [len(one) if isinstance(one, list) else one for one in given]
    if not all(type(one) is int for one in numbers):
        return None, 0, 0, 0
    images, marked, skipped, failed = map(int, numbers)  # type: ignore[arg-type]
    return images, marked, skipped, failed


def _state(release: Path, status: RunStatus | None, *, runs_here: bool) -> str:
    if not runs_here and release.joinpath(*STATEMENT_PARTS).is_file():
        return "finished"
    if runs_here or (status is not None and status.running):
        return "starting" if status is None or status.starting else "running"
    return "nothing" if status is None else "interrupted"


def _newest(release: Path, at: str) -> list[str]:
    """Return addresses of the pictures that were marked last."""
    folder, found = release / "images", []
    beside = {os.path.join(folder, name) for name in unproved_names(release)}
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            with suppress(OSError):
                status = os.lstat(path)
                if not name.startswith(".") and path not in beside and stat.S_ISREG(status.st_mode):
                    found.append((status.st_mtime_ns, path))
        if len(found) > _MOST_LOOKED_AT:
            break
    names = [Path(path).relative_to(folder).as_posix() for _, path in heapq.nlargest(_NEWEST, found)]
    return [address("/picture", at=f"{at}/images/{name}", side=240) for name in names]


ROUTES = [
    Route("/run/new", ask),
    Route("/run/start", start, methods=["POST"]),
    Route("/run/stop", stop, methods=["POST"]),
    Route("/run/status", told),
    Route("/run", watch),
]
