"""`medlocker restore`: take the marks off again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medlocker.cli._console import print_json, stdout
from medlocker.cli._progress import image_progress

if TYPE_CHECKING:
    from medlocker.certificates import Release
    from medlocker.restore import ImageResult, RestoreReport

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
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Get the originals back, bit for bit, of all images that KEY opens.

    Everything is checked before it is written: the owner's signature, each file's digest, the sealed record,
    and the digest of the restored pixels. Exit code 3 if any of these fails; the other images are restored
    all the same.
    """
    from medlocker.certificates import load_verify_key, open_release
    from medlocker.cli.verify import load_access
    from medlocker.restore import check_output, restore_release

    started = time.perf_counter()
    opened = open_release(release, load_verify_key(owner))
    access = load_access(opened, identity, grant)
    check_output(out, release, overwrite=overwrite)
    total = opened.statement.images if access.whole is not None else len(access.images)
    with image_progress("restoring", total) as bar:

        def progress(result: ImageResult) -> None:
            if result.failure is not None:
                bar.say(f"failed: {result.failure}")
            bar.advance()

        report = restore_release(access, out, overwrite=overwrite, workers=workers, progress=progress)
    if json:
        print_json(_to_json(report, opened, time.perf_counter() - started))
    else:
        _print(report, out)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def _to_json(report: RestoreReport, release: Release, seconds: float) -> dict[str, object]:
    done = report.restored + report.failed
    return {
        "release": release.statement.release,
        "owner": release.owner.key_id,
        "restored": report.restored,
        "identical": report.identical,
        "failed": report.failed,
        "not_granted": report.not_granted,
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
    if report.not_granted:
        stdout.print(f"not granted: {report.not_granted}", markup=False)
    if report.failed:
        stdout.print(f"failed {report.failed}:", markup=False)
        for one in report.failures[:_SHOWN]:
            stdout.print(f"  {one.failure}", markup=False)
        if report.failed > _SHOWN:
            stdout.print(f"  ... and {report.failed - _SHOWN} more, see --json", markup=False)
