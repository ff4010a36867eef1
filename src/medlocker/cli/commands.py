"""The list of commands. Each lives in a file of its own, which is imported only when it is called.

What a command needs (models, image libraries) takes a second to import: the others, ``--help`` and
``--version`` do without.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

from medlocker.cli._interrupts import interruptible_imports
from medlocker.cli._panels import epilog
from medlocker.cli._renamed import with_new_names


class _Command(NamedTuple):
    attribute: str
    """Of the module ``medlocker.cli.NAME``: a function, or a Typer of further commands."""
    summary: str
    """The first paragraph of the command's help; a test compares them."""


COMMANDS = {
    "demo": _Command(
        "demo",
        "Show the whole story on synthetic images and a built-in model; needs no data, no model, no network.",
    ),
    "prepare": _Command(
        "prepare_logo",
        "Find out once, on a sample of a data set, how it is best marked, for `protect --logo LOGO_DIR`.",
    ),
    "protect": _Command(
        "protect",
        "Lay your logo over every image: people still read it, models read little of it.",
    ),
    "push": _Command(
        "push",
        "Send the marked DICOM files of a release to a DICOM server (STOW-RS); the certificate stays here.",
    ),
    "status": _Command(
        "status",
        "Show how far a release is: how many images are done, whether a run is working on it, what to do.",
    ),
    "verify": _Command(
        "verify",
        "Check who signed a release, and that no file is missing, changed, or added. Exit code 3 if not so.",
    ),
    "review": _Command(
        "review",
        "Look at every marked image, worst first: approve, reject with a reason, or ask for another mark.",
    ),
    "whose": _Command(
        "whose",
        "Find the marked image that a picture was made of, whether cropped, resized, compressed or printed.",
    ),
    "audit": _Command(
        "audit",
        "Tell whether a model was trained on the marked files of a release: is it surer with their marks?",
    ),
    "serve": _Command(
        "serve",
        "Mark, review, verify, grant and restore on pages in a browser; only on this machine.",
    ),
    "proxy": _Command(
        "proxy",
        "Show marked images of a DICOM server to viewers, restored where a grant opens them (DICOMweb).",
    ),
    "restore": _Command("restore", "Get the originals back, bit for bit, of all images that KEY opens."),
    "evaluate": _Command(
        "evaluate",
        "Measure how well a release protects: models asked about originals, a control, and marked files.",
    ),
    "inspect": _Command(
        "inspect", "Show what an image, a release, or a model contains, without changing or trusting it."
    ),
    "key": _Command("app", "Make keys."),
    "train": _Command("app", "Train models to search against, and lesion segmenters."),
    "grant": _Command(
        "app", "Make somebody able to restore: `grant RELEASE --owner NAME --to KEY.pub --out GRANT_DIR`."
    ),
}


class LazyGroup(TyperGroup):
    """Lists commands by their summaries, and imports the one that is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command that the first argument names."""
        name, command, rest = super().resolve_command(ctx, args)
        return (name, command, rest) if name is None else (name, load(name), with_new_names(name, rest))


def register(app: typer.Typer) -> None:
    """Add every command to an application of the class :class:`LazyGroup`."""
    for name, command in COMMANDS.items():
        app.command(name, help=command.summary)(_listed)


def _listed() -> None:
    """Stand for a command where commands are listed."""


def load(name: str) -> Any:
    """Import a command and return it as click knows it."""
    with interruptible_imports():
        module = importlib.import_module(f"medlocker.cli.{name}")
    found = getattr(module, COMMANDS[name].attribute)
    alone = typer.Typer(rich_markup_mode="rich")
    if isinstance(found, typer.Typer):
        alone.add_typer(found, name=name)
    else:
        alone.command(name, epilog=epilog(getattr(module, "EXAMPLES", "")))(found)
    return typer.main.get_group(alone).commands[name]
