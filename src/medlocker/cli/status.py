"""`medlocker status`: how far a release is."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medlocker.api.releasefacts import STATEMENT, release_facts
from medlocker.cli._console import print_json, shown, stdout
from medlocker.cli._options import AsJson
from medlocker.errors import InputError, MalformedError

if TYPE_CHECKING:
    from medlocker.release import RunStatus

_GO_ON = "repeat the same `protect` command: it continues from here"
_WAIT = "wait for it, or interrupt it: the same command then continues"
_PUT_BACK = "put back the journal that was there, or choose another output: no run can go on without it"
_BEGIN = "repeat the `protect` command: nothing was done yet"
_CHECK = "check it with `medlocker verify`"
_LOST = "`medlocker verify` names them; take them from a copy, a release is never changed"


def status(
    release: Annotated[Path, typer.Argument(metavar="RELEASE", help="Folder that `protect` writes to.")],
    json: AsJson = False,
) -> None:
    """Show how far a release is: how many images are done, whether a run is working on it, what to do.

    Looks only, and may be asked while a run is at work. What a finished release says is not verified here;
    its marked files are only counted.
    """
    from medlocker.release import status_of

    # in this order: a run that ends between the two looks leaves a finished release
    unfinished = status_of(release)
    facts = _finished(release) if unfinished is None else _unfinished(unfinished)
    if json:
        print_json(facts)
    elif unfinished is None:
        _print_finished(facts)
    else:
        _print_unfinished(unfinished, facts)


def _finished(release: Path) -> dict[str, Any]:
    if not (release / STATEMENT).is_file():
        raise InputError(
            f"{os.path.basename(os.path.abspath(release))}: expected a release, or a run that makes one",
            hint="a run shows itself here a moment after its command, once its inputs are listed",
        )
    said = release_facts(release)
    counts, created = said.get("counts"), said.get("created")
    counts = counts if isinstance(counts, dict) else {}
    numbers: list[Any] = [said.get("images"), *(counts.get(name) for name in ("inputs", "skipped", "failed"))]
    if any(type(number) is not int for number in numbers) or not isinstance(created, str):
        raise MalformedError(
            f"{STATEMENT.name}: expected numbers of images and a time", subject=STATEMENT.name
        )
    from medlocker.release import count_existing

    marked, images, skipped, failed = numbers
    there = count_existing(release)
    return {
        "state": "finished",
        "images": images,
        "marked": marked,
        "skipped": skipped,
        "failed": failed,
        "created": created,
        "there": there,
        "missing": max(marked - there, 0),
        "verified": False,
        "next": _LOST if there < marked else _CHECK,
    }


def _unfinished(found: RunStatus) -> dict[str, Any]:
    return {
        "state": "starting" if found.starting else "unfinished",
        "images": found.images,
        "marked": found.marked,
        "skipped": found.skipped,
        "failed": found.failed,
        "since": _utc(found.since),
        "latest": None if found.latest is None else _utc(found.latest),
        "running": found.running,
        "damaged": found.damaged,
        "next": _next(found),
    }


def _next(found: RunStatus) -> str:
    if found.running:
        return _WAIT
    if found.lost:
        return _PUT_BACK
    return _BEGIN if found.starting else _GO_ON


def _utc(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _print_finished(facts: dict[str, Any]) -> None:
    stdout.print(
        f"finished {shown(facts['created'])}: marked {facts['marked']} of {facts['images']} images, "
        f"{facts['skipped']} skipped, {facts['failed']} failed",
        markup=False,
    )
    if facts["missing"]:
        found = f"{facts['missing']} of the {facts['marked']} marked files are missing"
    else:
        found = "all marked files are there, the signature was not checked"
    stdout.print(f"{found}: {facts['next']}", markup=False)


def _print_unfinished(found: RunStatus, facts: dict[str, Any]) -> None:
    if found.starting:
        how = "a run is starting, and opens its models" if found.running else "a run ended before it began"
        stdout.print(f"{how}: {facts['next']}", markup=False)
        return
    total = "?" if found.images is None else found.images
    failed = f"{found.failed} failed (they are tried again)" if found.failed else "0 failed"
    stdout.print(
        f"unfinished, begun {facts['since']}: marked {found.marked} of {total} images, "
        f"{found.skipped} skipped, {failed}",
        markup=False,
    )
    if found.lost:
        stdout.print("its journal is missing, or is damaged at its beginning", markup=False)
    elif found.damaged:
        stdout.print(
            "its journal is damaged: what lies behind does not count, and is made again", markup=False
        )
    if found.latest is not None:
        stdout.print(f"the latest image was finished {facts['latest']}", markup=False)
    stdout.print(
        f"{'a run is' if found.running else 'no run is'} writing to it now: {facts['next']}", markup=False
    )
