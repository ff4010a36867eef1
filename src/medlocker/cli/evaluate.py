"""`medlocker evaluate`: how well does a release protect?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medlocker.cli._console import print_json
from medlocker.cli._interrupts import interruptible_imports
from medlocker.cli._options import AsJson, Batch, ImageColumn, LabelColumn
from medlocker.cli._panels import CONTROL, INPUT, REMOVAL, RUN
from medlocker.cli._progress import Telling
from medlocker.options import DEFAULT_LIMIT, DEFAULT_MINUTES, DEFAULT_OPACITY, RemovalName

EXAMPLES = """
[bold]Examples[/bold]

medlocker evaluate --clean fundus/ --release release --labels labels.csv --target other.onnx --out report
medlocker evaluate ... --target dr.onnx --target other.onnx --removal standard --out report

[bold]How to read the result[/bold]: low kappa and low "information left" mean good protection: the answers no
longer depend on the image. Accuracy alone is not enough: of two classes, always wrong tells as much as always
right.

"information left": how much better than guessing one can tell the class from the model's answers, in points.
"balanced": the same with equal weight for every class. "left": share of right answers that stay right.

"white box": models that the marks were optimised on. Controls: "random", plain logos at random places;
"panel", a grey area that changes the same pixels as much. Signatures are not checked: use `verify`.
"""


def evaluate(
    clean: Annotated[Path, typer.Option(help="Folder of the originals, as given to `protect`.")],
    release: Annotated[
        list[Path], typer.Option("--release", help="A release, or a folder of marked images. Repeatable.")
    ],
    labels: Annotated[Path, typer.Option(help="CSV `image,<label>` of the right answers.")],
    target: Annotated[
        list[Path],
        typer.Option(
            "--target",
            help="Classifier to test: .onnx, torch weights, or a folder from `train`; or your own, "
            "package.module:Class. Repeatable.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the report; new or empty.")],
    removal: Annotated[
        RemovalName,
        typer.Option(
            help="Let attackers try to remove the marks first: standard takes seconds an image; full also "
            "trains them."
        ),
    ] = "none",
    attack: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="An attack of your own, also without --removal: package.module:Class, or an entry point "
            "medlocker.attacks. Repeatable.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier report.")] = False,
    label_column: LabelColumn = None,
    image_column: ImageColumn = None,
    regions: Annotated[
        Path | None,
        typer.Option(
            help="Keep-out regions, as for `protect`: changed pixels inside are counted.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Use only the first images by name, at most this many; may be no fair sample.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    logo: Annotated[
        Path | None,
        typer.Option(
            help="Logo, if the release does not contain it; default a padlock. Attackers know it then too.",
            rich_help_panel=CONTROL,
        ),
    ] = None,
    size: Annotated[
        float | None,
        typer.Option(
            help="Logo's longer side / image's shorter side; default as large as the marks, or 0.25.",
            rich_help_panel=CONTROL,
        ),
    ] = None,
    opacity: Annotated[
        float, typer.Option(help="Opacity of the control's logo.", rich_help_panel=CONTROL)
    ] = DEFAULT_OPACITY,
    removal_limit: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Attack at most this many images, evenly spread over all.",
            rich_help_panel=REMOVAL,
        ),
    ] = DEFAULT_LIMIT,
    removal_minutes: Annotated[
        float,
        typer.Option(
            metavar="N",
            min=0.1,
            help="Time limit for training one network with --removal full.",
            rich_help_panel=REMOVAL,
        ),
    ] = DEFAULT_MINUTES,
    seed: Annotated[
        int, typer.Option(help="Seed of the control's places and of the attacks.", rich_help_panel=RUN)
    ] = 0,
    workers: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Threads that read files and run attacks.", rich_help_panel=RUN
        ),
    ] = 2,
    batch: Batch = None,
    json: AsJson = False,
) -> None:
    """Measure how well a release protects: models asked about originals, a control, and marked files."""
    with interruptible_imports():
        from medlocker.api import evaluate as api
        from medlocker.cli._evaluated import print_evaluation

    done = api.evaluate(
        clean,
        release,
        labels=labels,
        target=target,
        out=out,
        label_column=label_column,
        image_column=image_column,
        regions=regions,
        logo=logo,
        size=size,
        opacity=opacity,
        seed=seed,
        limit=limit,
        removal=removal,
        removal_limit=removal_limit,
        removal_minutes=removal_minutes,
        attacks=attack or (),
        workers=workers,
        batch=batch,
        overwrite=overwrite,
        progress=Telling(),
    )
    if json:
        print_json(done.facts)
    else:
        print_evaluation(done.facts, done.numbers, done.removal, out)
    if done.facts["failed"]:
        raise typer.Exit(1)
