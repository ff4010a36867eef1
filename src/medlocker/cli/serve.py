"""`medlocker serve`: the same on pages in the browser of this machine."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from medlocker.cli._console import say_address
from medlocker.cli._interrupts import interruptible_imports

EXAMPLES = """
[bold]Examples[/bold]

medlocker serve --root ~/study
medlocker serve --root /data/fundus --root /data/releases --port 8765 --no-browser
"""


def serve(
    root: Annotated[
        list[Path] | None,
        typer.Option(
            "--root",
            metavar="DIR",
            help="Folder below which files are read and written; default the current one. Repeatable.",
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; default a free one.")] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the browser of this machine.")
    ] = True,
    json: Annotated[bool, typer.Option("--json", help="Print the address as one JSON object.")] = False,
) -> None:
    """Mark, review, verify, grant and restore on pages in a browser; only on this machine.

    Whoever has the address that is printed can use the server: it holds a token of this start. Nothing is
    sent anywhere else. End it with Ctrl-C: runs that were started go on.
    """
    with interruptible_imports():
        from medlocker.web import load_server

    say = partial(say_address, as_json=json)
    load_server().run_server(root or [Path()], port=port, opens_browser=browser, say=say)
