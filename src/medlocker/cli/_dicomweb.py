"""DICOM servers on the command line: where `protect` fetches from, where it and `push` send to."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medlocker.api.releasefacts import STATEMENT
from medlocker.cli._console import note, shown, stdout, warn
from medlocker.cli._panels import INPUT, RUN
from medlocker.cli._progress import image_progress
from medlocker.errors import Failure, InputError, MedlockerError

if TYPE_CHECKING:
    from medlocker.certificates import VerifyKey
    from medlocker.dicomweb import Address, Pulled, Pushed, Server, Staging

PREFIX = "dicomweb:"
_SHOWN = 20
_AUTH = "File with `user:password` or `Bearer TOKEN` for"

AuthOption = Annotated[
    Path | None,
    typer.Option(
        "--auth",
        metavar="FILE",
        help=f"{_AUTH} the server of INPUT; or set MEDLOCKER_PULL_AUTH.",
        rich_help_panel=INPUT,
    ),
]
PushAuthOption = Annotated[
    Path | None,
    typer.Option(
        "--push-auth",
        metavar="FILE",
        help=f"{_AUTH} the server of --push; or set MEDLOCKER_PUSH_AUTH.",
        rich_help_panel=RUN,
    ),
]
CaOption = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        metavar="FILE",
        help="PEM file of certificate authorities for https; default the system's.",
        rich_help_panel=INPUT,
    ),
]
PushOption = Annotated[
    str | None,
    typer.Option(
        "--push",
        metavar="dicomweb:URL",
        help="Send the marked DICOM files to this server too.",
        rich_help_panel=RUN,
    ),
]
PartialOption = Annotated[
    bool,
    typer.Option(
        "--allow-partial",
        help="Continue if a server does not deliver every instance.",
        rich_help_panel=INPUT,
    ),
]


class Transfers:
    """What one `protect` does with servers: nothing if neither input nor target is one.

    Args:
        push: Where to send what was marked, or None.
        auth: File with credentials for the source.
        push_auth: File with credentials for the target.
        partial: Go on with a part of the study.
        companions: Fetch objects that may be about the images too.

    Raises:
        InputError: If an address, a file or their combination is wrong.
        MissingExtraError: If the extra is needed and missing.
    """

    def __init__(
        self,
        source: str,
        out: Path,
        *,
        push: str | None,
        auth: Path | None,
        push_auth: Path | None,
        ca: Path | None,
        partial: bool,
        companions: bool = True,
    ) -> None:
        self._companions = companions
        self._out = out
        self._partial = partial
        self._source: Server | None = None
        self._target: Server | None = None
        self._pulled: Pulled | None = None
        self._pushed: Pushed | None = None
        self._error: MedlockerError | None = None
        self._local = Path(source)
        self._key = os.path.abspath(source)
        remote = source.lower().startswith(PREFIX)
        _check_options(remote, push, auth=auth, push_auth=push_auth, ca=ca, partial=partial)
        if not remote and push is None:
            return
        from medlocker.dicomweb import PULL_VARIABLE, PUSH_VARIABLE, Staging, parse_source, parse_store

        self._staging: Staging = Staging(out)
        if remote:
            address = parse_source(source)
            self._key = address.text
            self._source = connect(address, auth, variable=PULL_VARIABLE, ca=ca)
        if push is not None:
            store = parse_store(push)
            if self._source is not None and store.base == self._source.address.base:
                raise InputError(
                    "expected another server for --push: this one stores the originals, in the same series"
                )
            self._target = connect(store, push_auth, variable=PUSH_VARIABLE, ca=ca)

    def resume_push(self, key: VerifyKey, *, as_json: bool) -> bool:
        """Push the rest if an earlier run of the same command has finished the release.

        Returns:
            Whether that was so, and all is done now.
        """
        if self._target is None or not (self._out / STATEMENT).is_file():
            return False
        if not self._staging.has_job(self._key, self._target.address.text):
            return False
        self._staging.discard_patient_data()
        note("the release is finished: pushing what the server does not have yet")
        run_push(self._out, key, self._target, self._staging, as_json=as_json)
        return True

    def fetch(self) -> Path:
        """Return the file or folder to protect, fetched before if it lies on a server.

        Raises:
            InputError: If the server has no such study, or refuses.
            TransferError: If not everything could be fetched.
        """
        if self._source is None:
            return self._local
        if (self._out / STATEMENT).is_file():
            self._staging.discard_patient_data()  # a run was killed between its last two steps
        from medlocker.release import Inputs, check_target  # late: `push` does without models

        check_target(self._out, Inputs((), (), (), self._staging.instances, walked=True))
        self._pulled = _fetch(self._source, self._staging, partial=self._partial, companions=self._companions)
        return self._staging.instances

    def finish(self, key: VerifyKey, facts: dict[str, Any]) -> None:
        """Remove what was fetched and push what was marked; an error waits for :meth:`close`.

        Args:
            facts: The run's, to which those of the transfers are added.
        """
        if self._source is not None:
            self._staging.discard_patient_data()
        if self._pulled is not None:
            facts["fetched"] = _pulled_json(self._pulled)
        if self._target is None or not (self._out / STATEMENT).is_file():  # nothing was marked
            return
        try:
            self._staging.make()
            self._staging.write_job(self._key, self._target.address.text)
            self._pushed = push_release(self._out, key, self._target, self._staging)
            facts["pushed"] = pushed_json(self._pushed)
        except MedlockerError as error:
            self._error = error
            facts["pushed"] = {"error": str(error), "code": error.code}
            facts |= facts["pushed"]

    def close(self, exit_code: int, *, as_json: bool) -> None:
        """Tell how pushing ended, and leave with an exit code if anything failed.

        Raises:
            MedlockerError: That ended pushing.
            typer.Exit: If the run, fetching or pushing failed for some instance.
        """
        if self._error is not None:
            raise self._error
        if self._pushed is not None:
            if not as_json:
                say_pushed(self._pushed)
            exit_code = max(exit_code, self._pushed.exit_code)
        if self._pulled is not None and self._pulled.present < self._pulled.instances:
            exit_code = max(exit_code, 1)
        if exit_code:
            raise typer.Exit(exit_code)


def connect(address: Address, auth: Path | None, *, variable: str, ca: Path | None) -> Server:
    """Return a server, and warn of what is unsafe about it; nothing is sent yet.

    Raises:
        InputError: If credentials or authorities cannot be read.
    """
    from medlocker.dicomweb import Server, read_credentials

    server = Server(address, read_credentials(auth, variable=variable), ca=ca)
    for text in server.notes:
        warn(text)
    return server


def push_release(release: Path, key: VerifyKey, server: Server, staging: Staging) -> Pushed:
    """Push a release under a progress bar.

    Raises:
        CertificateError: If the release is not the owner's.
        InputError: If it has no DICOM file, or the server refuses all.
        TransferError: If the server is gone.
    """
    from medlocker.certificates import open_release
    from medlocker.dicomweb import PushLog, find_marked, push
    from medlocker.review import refuse_unreviewed

    opened = open_release(release, key)
    refuse_unreviewed(opened)
    marked = find_marked(opened)
    if not marked.entries:
        raise InputError(f"{release.name}: expected DICOM files to push, found none", subject=release.name)
    if marked.other:
        note(f"{marked.other} files are no DICOM files and are not pushed")
    staging.make()
    target = server.address.text
    log = PushLog(staging.log_path(target), release=opened.statement.release)
    with closing(log), image_progress("pushing", len(marked.entries), unit="instance") as bar:

        def progress(name: str, failure: Failure | None) -> None:
            if failure is not None:
                bar.say(f"failed: {failure}")
            bar.advance()

        pushed = push(opened, marked, server, log, progress=progress)
    if pushed.changed:
        warn(f"the server changed {pushed.changed} instances: its copies are no longer what the owner signed")
    if not pushed.exit_code:
        staging.discard_job(target)
    return pushed


def run_push(release: Path, key: VerifyKey, server: Server, staging: Staging, *, as_json: bool) -> None:
    """Push a release and print how it ended.

    Raises:
        typer.Exit: If some instance failed.
    """
    from medlocker.cli._console import print_json

    started = time.perf_counter()
    try:
        pushed = push_release(release, key, server, staging)
    except MedlockerError as error:
        if as_json:
            told = {"error": str(error), "code": error.code}
            print_json({**told, "pushed": told})
        raise
    if as_json:
        print_json({"pushed": pushed_json(pushed), "seconds": round(time.perf_counter() - started, 3)})
    else:
        say_pushed(pushed)
    if pushed.exit_code:
        raise typer.Exit(pushed.exit_code)


def say_pushed(pushed: Pushed) -> None:
    """Print how pushing ended."""
    line = f"pushed {pushed.sent} of {pushed.instances} instances"
    if pushed.already:
        line += f", {pushed.already} were there already"
    stdout.print(line, markup=False)
    if pushed.failed:
        stdout.print(f"not pushed {len(pushed.failed)}:", markup=False)
        for failure in pushed.failed[:_SHOWN]:
            stdout.print(f"  {shown(str(failure))}", markup=False)
        if len(pushed.failed) > _SHOWN:
            stdout.print(f"  ... and {len(pushed.failed) - _SHOWN} more, see --json", markup=False)
        note("repeat the command to push the rest")


def pushed_json(pushed: Pushed) -> dict[str, Any]:
    """Return the object ``pushed`` that is printed."""
    return {
        "instances": pushed.instances,
        "sent": pushed.sent,
        "already": pushed.already,
        "changed": pushed.changed,
        "failed": [failure.to_json() for failure in pushed.failed],
    }


def _pulled_json(pulled: Pulled) -> dict[str, Any]:
    return {
        "instances": pulled.instances,
        "present": pulled.present,
        "fetched": pulled.fetched,
        "passed_over": pulled.passed_over,
        "missing": [failure.to_json() for failure in pulled.failed],
    }


def _check_options(
    remote: bool,
    push: str | None,
    *,
    auth: Path | None,
    push_auth: Path | None,
    ca: Path | None,
    partial: bool,
) -> None:
    if not remote and (auth is not None or partial):
        raise InputError(f"--auth and --allow-partial require an INPUT that begins with {PREFIX}")
    if push is None and push_auth is not None:
        raise InputError("--push-auth requires --push")
    if not remote and push is None and ca is not None:
        raise InputError(f"expected --ca with an INPUT or --push that begins with {PREFIX}")


def _fetch(server: Server, staging: Staging, *, partial: bool, companions: bool) -> Pulled:
    from medlocker.dicomweb import check_whole, plan_pull, pull

    plan = plan_pull(server, staging, companions=companions)
    if plan.passed_over:
        note(f"{plan.passed_over} reports, presentation states and the like stay on the server")
    with image_progress("fetching", len(plan.planned), unit="instance") as bar:

        def progress(name: str, failure: Failure | None) -> None:
            if failure is not None:
                bar.say(f"failed: {failure}")
            bar.advance()

        try:
            pulled = pull(server, plan, staging, progress=progress)
        except KeyboardInterrupt:
            bar.say("interrupted: repeat the command to continue")
            raise typer.Exit(130) from None
        finally:
            bar.say(
                f"downloaded files are kept in {staging.folder.name} beside the release until the run ends"
            )
    if not partial:
        check_whole(pulled)
    staging.close_plan()
    return pulled
