"""`medlocker train segmenter`: make a network that finds lesions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medlocker.cli._console import note, print_json, stderr, stdout, warn
from medlocker.cli._options import AsJson
from medlocker.cli._panels import TRAINING
from medlocker.cli._progress import image_bar
from medlocker.cli._trainbar import TrainingBar, say_found

if TYPE_CHECKING:
    from medlocker.train import SegmenterResult, Weights

SEGMENTER_EXAMPLES = """
[bold]Examples[/bold]

medlocker train segmenter fundus/ --masks masks/ --out segmenter
medlocker train segmenter fundus/ --masks masks/ --exclude held-out.txt --recall 0.98 --out segmenter
medlocker protect fundus/ --model surrogate --segmenter segmenter --owner hospital --out release

[bold]Masks[/bold]: pictures of their image's size and name, not 0 where there is a lesion: masks/eye.png, or
a folder for each kind, masks/EX/eye.png or masks/EX/eye_EX.png. An image without any mask is not used; one
without lesions needs a mask that is all 0.

[bold]What comes out[/bold]: model.onnx and model.safetensors with one card, model.card.json; training.json;
findings.png. Threshold and margin of the boxes are chosen so that the wanted share of lesions is kept out in
photographs that were not trained on: a missed lesion is worse than a large box.
"""


def segmenter(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of images, with subfolders.")],
    masks: Annotated[Path, typer.Option(metavar="DIR", help="Folder of masks, see below.")],
    out: Annotated[Path, typer.Option(metavar="SEGMENTER_DIR", help="New folder for the model.")],
    architecture: Annotated[
        str, typer.Option(help="Decoder of segmentation-models-pytorch: unet, fpn, ...")
    ] = "unet",
    encoder: Annotated[
        str, typer.Option(help="Encoder of the same; tu-NAME is a network of timm.")
    ] = "tu-mobilenetv2_100",
    weights: Annotated[
        str,
        typer.Option(
            metavar="FILE|hub|none",
            help="First weights of the encoder: .safetensors or .pt, from the hub, or random.",
        ),
    ] = "hub",
    exclude: Annotated[
        Path | None, typer.Option(metavar="LIST", help="Text file with the names of images to leave out.")
    ] = None,
    recall: Annotated[
        float, typer.Option(help="Share of lesions that the boxes must cover.", rich_help_panel=TRAINING)
    ] = 0.95,
    epochs: Annotated[
        int, typer.Option(help="Epochs; each takes 8 crops of every image.", rich_help_panel=TRAINING)
    ] = 20,
    size: Annotated[
        int,
        typer.Option(
            help="Height and width of a crop in pixels, a multiple of 32.", rich_help_panel=TRAINING
        ),
    ] = 256,
    side: Annotated[
        int | None,
        typer.Option(
            help="Resize images to this shorter side; default unchanged, at most 1024.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Crops in one step.", rich_help_panel=TRAINING)] = 4,
    lr: Annotated[float, typer.Option(help="Maximum learning rate.", rich_help_panel=TRAINING)] = 1e-3,
    validation: Annotated[
        float,
        typer.Option(
            "--validation-split", help="Share of images used for validation.", rich_help_panel=TRAINING
        ),
    ] = 0.2,
    seed: Annotated[
        int, typer.Option(help="Seed of split, crops and augmentation.", rich_help_panel=TRAINING)
    ] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, or mps.", rich_help_panel=TRAINING)] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older segmenter.")] = False,
    json: AsJson = False,
) -> None:
    """Train a lesion segmenter on images with masks, for `medlocker protect --segmenter`."""
    from medlocker.regions import load_regions
    from medlocker.train import SegmenterOptions, read_names, train_segmenter

    options = SegmenterOptions(
        epochs=epochs,
        size=size,
        side_px=side,
        batch_size=batch_size,
        lr=lr,
        recall=recall,
        validation=validation,
        seed=seed,
        device=device,
    )
    regions = load_regions(masks)
    held_out = read_names(exclude) if exclude else ()
    with image_bar() as bar:
        result = train_segmenter(
            folder,
            regions,
            out=out,
            architecture=architecture,
            encoder=encoder,
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
    if not result.choice.reached:
        warn(
            f"boxes over at most 60 % of the images keep out {result.choice.setting.recall:.0%} of the "
            f"lesions, not the wanted {result.wanted:.0%}: train longer or on more images"
        )


def to_weights(text: str) -> Weights:
    """Read the option ``--weights``."""
    if text == "hub":
        return "hub"
    return "none" if text == "none" else Path(text)


def _observer(bar: Any) -> Any:
    """Return what shows progress; a function, because the base class needs the optional libraries."""
    from medlocker.train import MaskedFolder, SegmentationNetwork, SegmenterObserver

    class Shown(TrainingBar, SegmenterObserver):
        def found(self, found: MaskedFolder) -> None:
            said = f"{len(found.files)} images with masks"
            strange = (
                (found.without_mask, "no mask for {}: not used, so its lesions are not known"),
                (found.without_image, "masks without an image: {}"),
                (found.unmatched, "the list of exclusions names {}, which the folder does not have"),
            )
            say_found(said, found.excluded, strange)

        def network(self, network: SegmentationNetwork) -> None:
            for text in network.notes:
                note(text)

        def epoch(self, row: dict[str, Any]) -> None:
            note(
                f"epoch {row['epoch']:>3}  loss {row['train_loss']:.3f}, validation "
                f"{row['validation_loss']:.3f}  {row['seconds']:.0f} s"
            )

        def choosing(self) -> None:
            self.writing("choosing threshold and margin, writing the model")

    return Shown(bar)


def _print(result: SegmenterResult) -> None:
    score, setting = result.choice.score, result.choice.setting
    stdout.print(
        f"trained {result.network.architecture} with {result.network.encoder} on {result.train_images} "
        f"images into {result.out}",
        markup=False,
    )
    stdout.print(
        f"boxes at threshold {setting.threshold:g} with a margin of {setting.margin_px} px keep out "
        f"{score.recall:.1%} of the lesions and {score.pixel_recall:.1%} of their pixels, and cover "
        f"{score.covered:.1%} of the {score.images} validation images",
        markup=False,
    )
    for kind in sorted(score.lesions):
        stdout.print(f"  {kind}: {score.kept_out[kind]} of {score.lesions[kind]} kept out", markup=False)
    stderr.print("the boxes were chosen on these validation images; judge on others", markup=False)
