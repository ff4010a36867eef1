"""The list of commands. Each lives in a file of its own and is imported when the command line starts.

Command files import heavy libraries (torch) inside their functions, so that ``--help`` is quick.
"""

from __future__ import annotations

import typer

from medlocker.cli import grant, key, train
from medlocker.cli.demo import demo
from medlocker.cli.evaluate import evaluate
from medlocker.cli.inspect import inspect
from medlocker.cli.prepare import prepare_logo
from medlocker.cli.protect import protect
from medlocker.cli.push import push
from medlocker.cli.restore import restore
from medlocker.cli.status import status
from medlocker.cli.verify import verify


def register(app: typer.Typer) -> None:
    """Add every command to the application."""
    app.command()(demo)
    app.add_typer(key.app, name="key")
    app.add_typer(train.app, name="train")
    app.command("prepare")(prepare_logo)
    app.command()(protect)
    app.command()(push)
    app.command()(status)
    app.command()(verify)
    app.add_typer(grant.app, name="grant")
    app.command()(restore)
    app.command()(evaluate)
    app.command()(inspect)
