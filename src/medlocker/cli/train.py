"""`medlocker train`: make surrogates to search against."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medlocker.cli._console import note, print_json, stderr, stdout
from medlocker.cli._options import AsJson, ImageColumn
from medlocker.cli._panels import TRAINING, epilog
from medlocker.cli._progress import image_bar
from medlocker.cli._trainbar import TrainingBar, say_found
from medlocker.cli._trainsegmenter import SEGMENTER_EXAMPLES, segmenter, to_weights

if TYPE_CHECKING:
    from medlocker.train import TrainResult

app = typer.Typer(help="Train models to search against, and lesion segmenters.", no_args_is_help=True)
app.command(epilog=epilog(SEGMENTER_EXAMPLES))(segmenter)

_EXAMPLES = """
[bold]Examples[/bold]

medlocker train classifier fundus/ --labels grades.csv --backbone resnet18 --out surrogate
medlocker train classifier skin/ --labels skin.csv --label-column melanoma --backbone resnet50 --out skin
medlocker protect fundus/ --model surrogate --owner hospital --out release

[bold]What comes out[/bold]: model.onnx and model.safetensors with one card, model.card.json; training.json;
learning-curve.png; confusion-matrix.png.
"""


@app.callback()
def _root() -> None:
    pass


@app.command(epilog=epilog(_EXAMPLES))
def classifier(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of images, with subfolders.")],
    labels: Annotated[Path, typer.Option(metavar="CSV", help="CSV `image,<label>`.")],
    backbone: Annotated[
        str,
        typer.Option(metavar="NAME", help="Network of timm or torchvision, as resnet18."),
    ],
    out: Annotated[Path, typer.Option(metavar="SURROGATE_DIR", help="New folder for the model.")],
    weights: Annotated[
        str,
        typer.Option(
            metavar="FILE|hub|none",
            help="First weights: a .safetensors or .pt file, pretrained from the hub, or random.",
        ),
    ] = "hub",
    label_column: Annotated[
        str | None,
        typer.Option(
            help="Column of the class; default the second of two, else label, class, diagnosis or grade."
        ),
    ] = None,
    image_column: ImageColumn = None,
    exclude: Annotated[
        Path | None, typer.Option(metavar="LIST", help="Text file with the names of images to leave out.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Largest number of epochs.", rich_help_panel=TRAINING)] = 12,
    size: Annotated[
        int | None,
        typer.Option(
            help="Input height and width in pixels; default 224, Inception 299.", rich_help_panel=TRAINING
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Images in one step.", rich_help_panel=TRAINING)] = 32,
    lr: Annotated[float, typer.Option(help="Maximum learning rate.", rich_help_panel=TRAINING)] = 5e-4,
    validation: Annotated[
        float,
        typer.Option(
            "--validation-split", help="Share of each class used for validation.", rich_help_panel=TRAINING
        ),
    ] = 0.15,
    patience: Annotated[
        int, typer.Option(help="Stop after this many epochs without progress.", rich_help_panel=TRAINING)
    ] = 6,
    limit: Annotated[
        int | None, typer.Option(help="Use about this many images at most.", rich_help_panel=TRAINING)
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Seed of split, order and augmentation.", rich_help_panel=TRAINING)
    ] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, or mps.", rich_help_panel=TRAINING)] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older surrogate.")] = False,
    json: AsJson = False,
) -> None:
    """Train a classifier on labelled images, as a surrogate for `medlocker protect --model`.

    A protected image misleads models like those it was searched against, so train two or three that differ.
    """
    from medlocker.labels import load_labels
    from medlocker.train import TrainOptions, read_names, train_classifier

    options = TrainOptions(
        epochs=epochs,
        size=size,
        batch_size=batch_size,
        lr=lr,
        seed=seed,
        validation=validation,
        patience=patience,
        limit=limit,
        device=device,
    )
    table = load_labels(labels, column=label_column, image_column=image_column)
    held_out = read_names(exclude) if exclude else ()
    with image_bar() as bar:
        result = train_classifier(
            folder,
            table,
            backbone=backbone,
            out=out,
            weights=to_weights(weights),
            exclude=held_out,
            options=options,
            overwrite=overwrite,
            observer=_observer(bar),
        )
    if json:
        print_json(result.to_json())
    else:
        _print(result)


def _observer(bar: Any) -> Any:
    """Return what shows progress; a function, because the base class needs the optional libraries."""
    from medlocker.train import Backbone, Found, TrainObserver

    class Shown(TrainingBar, TrainObserver):
        def found(self, found: Found) -> None:
            said = f"{len(found.samples)} labelled images, classes {', '.join(found.classes)!s:.200}"
            strange = (
                (found.unlabelled, "no label for {}: not used"),
                (found.unknown, "the labels name {}, which the folder does not have"),
                (found.unmatched, "the list of exclusions names {}, which the folder does not have"),
            )
            say_found(said, found.excluded, strange)

        def backbone(self, backbone: Backbone) -> None:
            for text in backbone.notes:
                note(text)

        def epoch(self, row: dict[str, Any]) -> None:
            note(_epoch_line(row))

        def exporting(self) -> None:
            self.writing("writing and checking the model")

    return Shown(bar)


def _epoch_line(row: dict[str, Any]) -> str:
    auc = row["validation_auc"]
    last = f"AUC {auc:.3f}" if auc is not None else f"kappa {row['validation_qwk']:.3f}"
    return (
        f"epoch {row['epoch']:>3}  loss {row['train_loss']:.3f}, validation {row['validation_loss']:.3f}  "
        f"accuracy {row['validation_accuracy']:.3f}  balanced {row['validation_balanced_accuracy']:.3f}  "
        f"{last}  {row['seconds']:.0f} s"
    )


_CRITERIA = {"qwk": "quadratic kappa", "balanced_accuracy": "balanced accuracy"}


def _print(result: TrainResult) -> None:
    metrics = result.metrics
    auc = "" if metrics.auc is None else f", AUC {metrics.auc:.3f}"
    lines = [
        f"trained {result.architecture} on {result.train_images} images into {result.out}",
        f"kept epoch {result.best_epoch} of {len(result.history)}, the best {_CRITERIA[result.criterion]}",
        f"validation, {metrics.n} images: accuracy {metrics.accuracy:.3f}, balanced accuracy "
        f"{metrics.balanced_accuracy:.3f}, quadratic kappa {metrics.qwk:.3f}{auc}",
        f"ONNX and torch differ by at most {result.written.onnx_difference:.1e}",
    ]
    for line in lines:
        stdout.print(line, markup=False)
    stderr.print("the epoch was chosen on these validation images; judge on others", markup=False)
