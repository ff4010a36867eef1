"""`medlocker push`: send the marked DICOM files of a release to a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medlocker.cli._dicomweb import CaOption, connect, run_push
from medlocker.cli._options import AsJson


def push(
    release: Annotated[Path, typer.Argument(metavar="RELEASE", help="A finished release.")],
    target: Annotated[
        str, typer.Argument(metavar="dicomweb:URL", help="For instance dicomweb:https://host/dicom-web.")
    ],
    owner: Annotated[
        Path,
        typer.Option(metavar="NAME.sign.pub", help="The owner's key: only what it signed is sent."),
    ],
    auth: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with `user:password` or `Bearer TOKEN` for the server; or set MEDLOCKER_PUSH_AUTH.",
        ),
    ] = None,
    ca: CaOption = None,
    json: AsJson = False,
) -> None:
    """Send the marked DICOM files of a release to a DICOM server (STOW-RS); the certificate stays here.

    What the server has is not sent again; the same command finishes an interrupted push.
    """
    from medlocker.certificates import load_verify_key
    from medlocker.dicomweb import PUSH_VARIABLE, Staging, parse_store

    address = parse_store(target)
    key = load_verify_key(owner)
    server = connect(address, auth, variable=PUSH_VARIABLE, ca=ca)
    run_push(release, key, server, Staging(release), as_json=json)
