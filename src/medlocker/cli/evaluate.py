"""`medlocker evaluate`: how well does a release protect?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from medlocker.api import evaluate as api
from medlocker.cli._console import print_json
from medlocker.cli._evaluated import print_evaluation
from medlocker.cli._labels import LabelColumn
from medlocker.cli._progress import Telling
from medlocker.evaluate import DEFAULT_LIMIT, DEFAULT_MINUTES, DEFAULT_OPACITY

Removal = Literal["none", "standard", "full"]

_EXAMPLES = """
[bold]Examples[/bold]

  medlocker evaluate --clean fundus/ --release release --labels labels.csv --target other.onnx --out report
  medlocker evaluate --clean fundus/ --release paper --release strong --labels labels.csv \\
      --target dr.onnx --target other.onnx --regions lesions.csv --out report --json

[bold]How to read it[/bold]: marks protect where kappa and "information left" are near 0: then an answer
does not depend on the image. Information left is what a table or a regression, learned from the answers on
half of the images, gets right on the other half above the most frequent class, in points. "balanced" is the
same with every class as heavy as each other: look at it where one class is far more frequent. "left" is the
share of a model's right answers that survive the mark. Low is good, but with two classes a model that is
always wrong tells as much as one that is always right. "white box" models are those that the marks were
searched on. Controls: "random", plain logos at random free places; "panel", an even grey over the marked
pixels that changes them as much. Signatures are not checked: see `verify`.
"""


def evaluate(
    clean: Annotated[Path, typer.Option(help="The originals: folder, as given to `protect`.")],
    release: Annotated[
        list[Path], typer.Option("--release", help="A release, or a folder of marked images. Repeatable.")
    ],
    labels: Annotated[Path, typer.Option(help="CSV `image,<label>`: the truth.")],
    target: Annotated[
        list[Path],
        typer.Option(
            "--target", help="Model to judge on: .onnx, torch weights, or a folder of `train`. Repeatable."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the report; new or empty.")],
    label_column: LabelColumn = None,
    regions: Annotated[
        Path | None, typer.Option(help="Keep-out regions, as for `protect`; counts touched pixels.")
    ] = None,
    logo: Annotated[
        Path | None,
        typer.Option(
            help="Logo of the control, if the release holds none; default a padlock. "
            "Attackers know it only if it is given here or held there."
        ),
    ] = None,
    size: Annotated[
        float | None,
        typer.Option(
            help="Longer side of the control's logos as a share of the image's shorter side; default as "
            "large as the marks that are found, a quarter where they cover the image."
        ),
    ] = None,
    opacity: Annotated[float, typer.Option(help="Opacity of the control's logo.")] = DEFAULT_OPACITY,
    seed: Annotated[int, typer.Option(help="Of the control's places and of the attacks.")] = 0,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Judge at most this many images: of those with a label and a marked version the first by "
            "name, which may not be a fair sample; default all.",
        ),
    ] = None,
    removal: Annotated[
        Removal,
        typer.Option(
            help="Attacks that try to remove the marks of the first release before a model is asked; full "
            "also trains a removal network and the models themselves. Seconds an image; can be interrupted."
        ),
    ] = "none",
    removal_limit: Annotated[
        int,
        typer.Option(
            min=1, help="Attack at most this many of the images that are judged, evenly spread over them."
        ),
    ] = DEFAULT_LIMIT,
    removal_minutes: Annotated[
        float,
        typer.Option(
            min=0.1,
            help="Of --removal full: train one network at most this long; what was stopped so is said.",
        ),
    ] = DEFAULT_MINUTES,
    workers: Annotated[int, typer.Option(min=1, help="Threads that read files, and that attack.")] = 2,
    batch: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Pictures in one call of a model; default what suits it."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier report.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure how well a release protects: models asked about originals, a control, and marked files."""
    done = api.evaluate(
        clean,
        release,
        labels=labels,
        target=target,
        out=out,
        label_column=label_column,
        regions=regions,
        logo=logo,
        size=size,
        opacity=opacity,
        seed=seed,
        limit=limit,
        removal=removal,
        removal_limit=removal_limit,
        removal_minutes=removal_minutes,
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


evaluate.__doc__ = f"{evaluate.__doc__}\n\n{_EXAMPLES}"
