"""Fetching a study into the staging folder: WADO-RS, DICOM PS3.18 section 10.4, instance by instance.

Files are the bytes that the server stores (``transfer-syntax=*``), whole or not at all. What is there is not
fetched again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medlocker.dicomweb._http import NotFoundError, Server
from medlocker.dicomweb._parallel import run_parallel
from medlocker.dicomweb._plan import PlannedInstance, has_pixels, name_instances
from medlocker.dicomweb._pushlog import PRIVATE
from medlocker.dicomweb._qido import find_instances
from medlocker.dicomweb._retrieve import retrieved
from medlocker.dicomweb._staging import Staging
from medlocker.errors import Failure, InputError, MedlockerError, TransferError
from medlocker.files import make_folder, write_atomic
from medlocker.formats.dicom import companion_word
from medlocker.images import LIMITS

_MAX_BYTES = LIMITS.max_file_bytes
_AGAIN = "the same command fetches the rest"


@dataclass(frozen=True)
class FetchPlan:
    """What is to be fetched.

    Args:
        planned: The instances that may be pictures, and those that may travel with them.
        passed_over: How many reports, presentation states and the like are left where they are.
        closed: Whether an earlier run has ended fetching.
    """

    planned: tuple[PlannedInstance, ...]
    passed_over: int
    closed: bool = False


@dataclass(frozen=True)
class Pulled:
    """What was fetched.

    Args:
        instances: How many the plan has.
        present: How many of them are in the staging folder now.
        fetched: How many of those came in this run.
        passed_over: How many reports and the like are left where they are.
        failed: Why the others are not.
    """

    instances: int
    present: int
    fetched: int
    passed_over: int
    failed: tuple[Failure, ...]


def plan_pull(server: Server, staging: Staging, *, companions: bool = True) -> FetchPlan:
    """Decide what is fetched, or go on with what an earlier run decided.

    Args:
        server: That has the study.
        staging: Where the files go.
        companions: Whether objects that may be about the pictures are fetched too.

    Raises:
        InputError: If the server has no such study, or none with pictures, or refuses.
        TransferError: If it cannot be asked.
    """
    address = server.address
    if os.path.lexists(staging.folder):
        staging.make()  # checks that it is private
    known = staging.read_plan(source=address.text)
    if known is not None:
        return FetchPlan(tuple(known[0]), known[1], known[2])
    try:
        found = find_instances(server, address.study, address.series)
    except NotFoundError as error:
        raise InputError(str(error), hint=error.hint, subject=error.subject) from error
    planned = name_instances(one for one in found if has_pixels(one.kind))
    if not planned:
        raise InputError("expected a study or series with images, got one without")
    if companions:
        series = len({one.series for one in planned})
        planned += name_instances(
            (one for one in found if not has_pixels(one.kind) and companion_word(one.kind)), series=series
        )
    passed_over = len(found) - len(planned)
    staging.make()
    staging.write_plan(planned, source=address.text, passed_over=passed_over)
    return FetchPlan(tuple(planned), passed_over)


def pull(
    server: Server,
    plan: FetchPlan,
    staging: Staging,
    *,
    progress: Callable[[str, Failure | None], None] = lambda name, failure: None,
) -> Pulled:
    """Fetch what is planned and not there yet.

    Args:
        plan: From :func:`plan_pull`.
        staging: Where the files go.
        progress: Called with each name and, if it failed, why.

    Raises:
        MedlockerError: If the server is gone, refuses, or the disk is full. What is there stays.
    """
    missing: list[PlannedInstance] = []
    for one in plan.planned:
        if os.path.lexists(_path(staging, one)):
            progress(one.name, None)
        else:
            missing.append(one)
    present = len(plan.planned) - len(missing)
    if plan.closed:
        missing = []
    for folder in sorted({_path(staging, one).parent for one in missing}):
        make_folder(folder)
    fetched = 0
    failed: list[Failure] = []
    try:
        for one, result in run_parallel(missing, lambda one: _fetch(server, staging, one)):
            failure = Failure.of(result, one.name) if isinstance(result, MedlockerError) else None
            if failure is not None:
                failed.append(failure)
            else:
                fetched += 1
            progress(one.name, failure)
    except MedlockerError as error:
        if not present + fetched:
            raise
        raise TransferError(
            f"{present + fetched} of {len(plan.planned)} instances fetched, then: {error}",
            hint="; ".join(text for text in (error.hint, _AGAIN) if text),
        ) from error
    return Pulled(len(plan.planned), present + fetched, fetched, plan.passed_over, tuple(failed))


def check_whole(pulled: Pulled) -> None:
    """Refuse to go on with a part of a study.

    Raises:
        TransferError: If instances are missing.
    """
    if pulled.present < pulled.instances:
        raise TransferError(
            f"{pulled.present} of {pulled.instances} instances fetched: nothing is marked yet",
            hint=f"{_AGAIN}; with --allow-partial the run continues without it",
        )


def _path(staging: Staging, one: PlannedInstance) -> Path:
    return staging.instances.joinpath(*one.name.split("/"))


def _fetch(server: Server, staging: Staging, one: PlannedInstance) -> None:
    with retrieved(server, server.address.study, one.series, one.uid, max_bytes=_MAX_BYTES) as pieces:
        write_atomic(_path(staging, one), pieces, overwrite=True, mode=PRIVATE)
