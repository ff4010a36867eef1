"""`medlocker restore`: take the marks off again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medlocker.cli._console import print_json, shown, stdout
from medlocker.cli._options import AsJson
from medlocker.cli._progress import Telling

if TYPE_CHECKING:
    from medlocker.api.restore import Restored
    from medlocker.restore import RestoreReport

_SHOWN = 20


def restore(
    release: Annotated[Path, typer.Argument(metavar="RELEASE", help="Folder of the release.")],
    owner: Annotated[
        Path, typer.Option(metavar="NAME.sign.pub", help="The owner's key, got from the owner.")
    ],
    identity: Annotated[
        Path, typer.Option(metavar="KEY", help="Your private key: NAME.age.key or OpenSSH ed25519.")
    ],
    out: Annotated[Path, typer.Option(help="New or empty folder for the originals.")],
    grant: Annotated[
        Path | None,
        typer.Option(metavar="GRANT_DIR", help="What the owner granted you; the owner needs none."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files in a folder that is not empty.")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads that decode and encode.")] = None,
    json: AsJson = False,
) -> None:
    """Get the originals back, bit for bit, of all images that KEY opens.

    Everything is checked before it is written: the owner's signature, each file's digest, the sealed record,
    and the digest of the restored pixels. Exit code 3 if any of these fails; the other images are restored
    all the same.
    """
    from medlocker.api import restore as api

    done = api.restore(
        release,
        owner=owner,
        identity=identity,
        out=out,
        grant=grant,
        overwrite=overwrite,
        workers=workers,
        progress=Telling(),
    )
    if json:
        print_json(_to_json(done))
    else:
        _print(done.report, out)
    if done.report.exit_code:
        raise typer.Exit(done.report.exit_code)


def _to_json(restored: Restored) -> dict[str, object]:
    report, seconds = restored.report, restored.seconds
    done = report.restored + report.failed
    return {
        "release": restored.release,
        "owner": restored.owner,
        "restored": report.restored,
        "identical": report.identical,
        "failed": report.failed,
        "not_granted": report.not_granted,
        "companions": report.companions,
        "companions_failed": report.companions_failed,
        "companions_not_granted": report.companions_not_granted,
        "failures": [
            {"index": one.index, **one.failure.to_json("name"), "trust": one.trust}
            for one in report.failures
            if one.failure is not None
        ],
        "seconds": seconds,
        "images_per_second": done / seconds if seconds else 0.0,
    }


def _print(report: RestoreReport, out: Path) -> None:
    done = report.restored + report.failed
    stdout.print(f"restored {report.restored} of {done} images into {out}", markup=False)
    if report.restored:
        stdout.print(
            "every pixel is the original's, checked by its digest; "
            + (
                "all files are the originals byte for byte"
                if report.identical == report.restored
                else f"{report.identical} files are so byte for byte (with protect --keep-original all are)"
            ),
            markup=False,
        )
    if report.companions:
        count = f"{report.companions} file{'s' * (report.companions > 1)}"
        stdout.print(f"and {count} beside them, byte for byte", markup=False)
    if report.companions_not_granted:
        stdout.print(f"not granted beside them: {report.companions_not_granted}", markup=False)
    if report.not_granted:
        stdout.print(f"not granted: {report.not_granted}", markup=False)
    failed = report.failed + report.companions_failed
    if failed:
        stdout.print(f"failed {failed}:", markup=False)
        for one in report.failures[:_SHOWN]:
            stdout.print(f"  {shown(str(one.failure))}", markup=False)
        if failed > _SHOWN:
            stdout.print(f"  ... and {failed - _SHOWN} more, see --json", markup=False)
