"""`medlocker audit`: was this model trained on the marked files of this release?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medlocker.cli._console import print_json, shown, stdout
from medlocker.cli._interrupts import interruptible_imports
from medlocker.cli._options import AsJson, Batch, ImageColumn, LabelColumn
from medlocker.cli._panels import INPUT, RUN
from medlocker.cli._progress import Telling
from medlocker.options import AUDITED_IMAGES, MOST_OTHERS, OTHER_MARKS, SIGNIFICANCE

if TYPE_CHECKING:
    from medlocker.api.audit import Audited

EXAMPLES = """
[bold]Examples[/bold]

medlocker audit theirs.onnx --release release --owner hospital --labels labels.csv
medlocker audit theirs.onnx --release release --owner hospital.sign.pub --identity me.age.key --grant grant

[bold]How to read the result[/bold]: the p-value says how often a model that never saw the marked files looks
as suspicious as this one. No evidence does not mean that the model was not trained on them.
"""


def audit(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="Classifier to ask: .onnx, torch weights, a folder from `train`, or package.module:Class.",
        ),
    ],
    release: Annotated[Path, typer.Option(metavar="RELEASE", help="Folder of the release.")],
    owner: Annotated[
        Path,
        typer.Option(
            metavar="NAME|NAME.sign.pub",
            help="The owner's keys; with --identity the public key is enough.",
        ),
    ],
    identity: Annotated[
        Path | None,
        typer.Option(metavar="KEY", help="Private key that opens the sealed records, if not the owner's."),
    ] = None,
    grant: Annotated[
        Path | None, typer.Option(metavar="GRANT_DIR", help="What the owner granted to that key.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="CSV `image,<label>` of the right answers: finds more than the model's own answers."
        ),
    ] = None,
    label_column: LabelColumn = None,
    image_column: ImageColumn = None,
    images: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Ask about at most this many images, drawn at random; more find more.",
            rich_help_panel=INPUT,
        ),
    ] = AUDITED_IMAGES,
    others: Annotated[
        int,
        typer.Option(
            metavar="K",
            min=1,
            max=MOST_OTHERS,
            help="Compare each image's own mark with this many others.",
            rich_help_panel=RUN,
        ),
    ] = OTHER_MARKS,
    alpha: Annotated[
        float, typer.Option(help="Largest p-value that counts as evidence.", rich_help_panel=RUN)
    ] = SIGNIFICANCE,
    seed: Annotated[
        int,
        typer.Option(min=0, help="Seed of the sample and of the other marks.", rich_help_panel=RUN),
    ] = 0,
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, help="Threads that mark.", rich_help_panel=RUN)
    ] = 2,
    batch: Batch = None,
    json: AsJson = False,
) -> None:
    """Tell whether a model was trained on the marked files of a release: is it surer with their marks?

    Exit code 0: evidence was found; 1: none was found, or only signs, as models may have chosen the marks.
    """
    with interruptible_imports():
        from medlocker.api import audit as api

    done = api.audit(
        str(model),
        release=release,
        owner=owner,
        identity=identity,
        grant=grant,
        labels=labels,
        label_column=label_column,
        image_column=image_column,
        images=images,
        others=others,
        alpha=alpha,
        seed=seed,
        workers=workers,
        batch=batch,
        progress=Telling(),
    )
    if json:
        print_json(done.facts)
    else:
        _show(done)
    if not done.found:
        raise typer.Exit(1)


def _show(done: Audited) -> None:
    compared = done.comparison
    low, high = compared.interval
    what = f"{shown(done.model)} was trained on marked files of this release"
    if done.found:
        first = f"evidence: {what}"
    elif compared.p_value < done.alpha:
        first = f"signs, but no evidence, that {what}"
    else:
        first = f"no evidence that {what}"
    level = f"evidence is below {done.alpha:g}" if done.exact else "not exact: alone it proves nothing"
    lines = [
        first,
        f"p-value  {compared.p_value:.5f}; {level}",
        f"surer with the own mark than with another in {compared.surer:.1%} of comparisons "
        f"(95 % interval {low:.1%} to {high:.1%}); chance gives 50 %",
        f"asked    {done.images} images, each with its own mark and {done.others} others of the same kind",
    ]
    if compared.p_value >= done.alpha:
        lines.append("a model that learned little by heart, or saw few of the images, is not found")
    for line in lines:
        stdout.print(line, markup=False)
