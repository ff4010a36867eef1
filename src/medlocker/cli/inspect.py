"""`medlocker inspect`: what a file, a release, or a model holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medlocker.cli._console import print_facts, print_json, warn
from medlocker.cli._options import AsJson


def inspect(
    path: Annotated[Path, typer.Argument(metavar="FILE|RELEASE|MODEL", help="What to look at.")],
    json: AsJson = False,
) -> None:
    """Show what an image, a release, or a model contains, without changing or trusting it.

    For images: size, depth, kind, and whether metadata such as GPS positions travel with them (never their
    values). For releases: what the statement says, unverified; use `verify` to check it.
    """
    from medlocker.api.inspect import inspect as inspected

    facts = inspected(path)
    if json:
        print_json(facts)
        return
    print_facts(facts)
    if facts.get("gps"):
        warn("this file carries a GPS position in its metadata; marking keeps it")
