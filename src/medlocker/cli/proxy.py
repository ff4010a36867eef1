"""`medlocker proxy`: marked images on a DICOM server, restored as they are looked at."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from medlocker.cli._console import say_address
from medlocker.cli._dicomweb import CaOption
from medlocker.cli._interrupts import interruptible_imports
from medlocker.cli._progress import Telling

EXAMPLES = """
[bold]Examples[/bold]

medlocker proxy --server dicomweb:https://pacs/dicom-web --release release --owner hospital.sign.pub \\
  --identity me.age.key --grant grant --allow-origin http://localhost:3000
medlocker proxy ... --listen 0.0.0.0:8043 --name reading.example --tls-cert tls.pem --tls-key tls.key \\
  --token-file tokens
"""


def proxy(
    server: Annotated[
        str,
        typer.Option(metavar="dicomweb:URL", help="The store: for instance dicomweb:https://host/dicom-web."),
    ],
    release: Annotated[
        list[Path],
        typer.Option("--release", metavar="RELEASE", help="A release whose marked files it has. Repeatable."),
    ],
    owner: Annotated[
        Path, typer.Option(metavar="NAME.sign.pub", help="The owner's key, got from the owner.")
    ],
    identity: Annotated[
        Path, typer.Option(metavar="KEY", help="Your private key: NAME.age.key or OpenSSH ed25519.")
    ],
    grant: Annotated[
        list[Path] | None,
        typer.Option(
            "--grant",
            metavar="GRANT_DIR",
            help="What the owner granted you; the owner needs none. Repeatable.",
        ),
    ] = None,
    listen: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS:PORT", help="Where to listen; beyond this machine only with TLS and tokens."
        ),
    ] = "127.0.0.1:8043",
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name", metavar="HOST", help="A name by which callers ask for this machine. Repeatable."
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Who may ask: NAME SHA256-OF-TOKEN and grants, or none, on each line."
        ),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="Certificate for https, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key, PEM.")] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin", metavar="ORIGIN", help="Site of a viewer whose pages may ask. Repeatable."
        ),
    ] = None,
    only_restored: Annotated[
        bool, typer.Option("--only-restored", help="Leave out what is not restored for who asks.")
    ] = False,
    cache: Annotated[
        int,
        typer.Option(min=0, metavar="MB", help="Memory for what was asked for last; nothing is on a disk."),
    ] = 256,
    log: Annotated[
        Path, typer.Option(metavar="FILE", help="Who saw what, one JSON object a line; appended.")
    ] = Path("medlocker-proxy.jsonl"),
    auth: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with `user:password` or `Bearer TOKEN` for the store; or set MEDLOCKER_PULL_AUTH.",
        ),
    ] = None,
    ca: CaOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print the address as one JSON object.")] = False,
) -> None:
    """Show marked images of a DICOM server to viewers, restored where a grant opens them (DICOMweb).

    Nothing is stored or changed, here or there. What the grant does not open is shown as the store has it,
    marked. Each image that somebody sees is written down first. End it with Ctrl-C.
    """
    with interruptible_imports():
        from medlocker.api import proxy as api

    api.proxy(
        server,
        release,
        owner=owner,
        identity=identity,
        grants=grant or (),
        log=log,
        listen=listen,
        names=name or (),
        token_file=token_file,
        tls_cert=tls_cert,
        tls_key=tls_key,
        allow_origins=allow_origin or (),
        only_restored=only_restored,
        cache_mb=cache,
        auth=auth,
        ca=ca,
        say=partial(say_address, as_json=json),
        progress=Telling(),
    )
