"""`medlocker prepare`: learn a logo's texture once for a whole data set."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from medlocker.classifiers import load_classifier, with_gradients
from medlocker.cli._console import note, print_json, shown, stdout, warn
from medlocker.cli._labels import LabelColumn, label_indices, labels_of
from medlocker.cli._logo import read_logo
from medlocker.cli._progress import ImageProgress, image_progress
from medlocker.prepare import Preparation, Prepared, check_apart, check_folder, prepare, write_learned
from medlocker.protect import MAX_AREA, Settings
from medlocker.regions import load_regions
from medlocker.release import find_inputs

_EXAMPLES = """
[bold]Examples[/bold]

  medlocker prepare fundus/ --model a.onnx --model surrogate --labels grades.csv --out learned
  medlocker protect fundus/ --model a.onnx --model surrogate --logo learned --owner hospital --out release

Needs gradients: the torch extra, and models that torch can rebuild. Give `protect` the same size and opacity.
"""


def prepare_logo(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="Image, folder, or list file to learn from.")],
    model: Annotated[
        list[Path], typer.Option("--model", help="Surrogate, as for `protect`. Repeatable: an ensemble.")
    ],
    out: Annotated[Path, typer.Option(metavar="LOGO_DIR", help="New folder, for `protect --logo`.")],
    logo: Annotated[
        Path | None, typer.Option(help="Picture, best a PNG with alpha; default a padlock.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="CSV `image,<label>`; else the models' own answers.")
    ] = None,
    label_column: LabelColumn = None,
    regions: Annotated[Path | None, typer.Option(help="Keep-out regions, as for `protect`.")] = None,
    size: Annotated[float, typer.Option(help="Longer side of the logo / shorter side of the image.")] = 0.25,
    opacity: Annotated[
        tuple[float, float], typer.Option(metavar="LOW HIGH", help="Range of the opacity, 0 to 1.")
    ] = (0.39, 0.8),
    levels: Annotated[int, typer.Option(help="Bound of the texture, grey levels of 255.")] = 32,
    marks: Annotated[int, typer.Option(help="Most separate marks on one image, 1 to 3.")] = 3,
    max_area: Annotated[
        float, typer.Option(help="Further marks only while all together cover at most this share.")
    ] = MAX_AREA,
    sample: Annotated[int, typer.Option(min=1, help="Most images that are learned from.")] = 96,
    rounds: Annotated[int, typer.Option(min=1, max=10_000, help="Passes over the sample.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample and the places.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier LOGO_DIR.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Learn a texture for the logo over a sample of images, for `protect --logo LOGO_DIR` to start from."""
    settings = Settings(
        preset="strong",
        size=size,
        min_size=min(0.125, size),
        opacity=opacity,
        levels=levels,
        marks=marks,
        max_area=max_area,
    )
    check_folder(out, overwrite=overwrite)
    inputs = find_inputs(source)
    check_apart(out, inputs)
    known = labels_of(labels, column=label_column)
    names = [item.name for item in inputs.items]
    classifiers = [with_gradients(load_classifier(path), path) for path in model]
    for classifier in classifiers:
        for text in classifier.notes:
            note(text)
    preparation = Preparation(
        inputs=inputs,
        classifiers=classifiers,
        logo=read_logo(logo),
        settings=settings,
        labels=known,
        classes=label_indices(known, classifiers),
        regions=load_regions(regions, images={i.name: i.path for i in inputs.items}).among(names)
        if regions
        else None,
        sample=sample,
        rounds=rounds,
        seed=seed,
    )
    prepared = _with_progress(preparation)
    write_learned(prepared.learned, out, overwrite=overwrite)
    _say(prepared, out, as_json=json)


prepare_logo.__doc__ = f"{prepare_logo.__doc__}\n\n{_EXAMPLES}"


def _with_progress(preparation: Preparation) -> Prepared:
    count = min(preparation.sample, len(preparation.inputs.items))
    with ExitStack() as bars:
        shown: dict[str, ImageProgress] = {}

        def advance(title: str, total: int) -> None:
            if title not in shown:  # drawn only when there is something to count
                shown[title] = bars.enter_context(image_progress(title, total))
            shown[title].advance()

        return prepare(
            preparation,
            loaded=lambda name: advance("reading", count),
            progress=lambda seen: advance("learning (passes)", preparation.rounds),
        )


def _say(prepared: Prepared, out: Path, *, as_json: bool) -> None:
    for name, reason in prepared.left_out:
        warn(f"left out: {shown(name)}: {reason}")
    if as_json:
        value = {
            **prepared.learned.facts,
            "classes": sorted(prepared.learned.textures),
            "left_out": [{"name": name, "reason": reason} for name, reason in prepared.left_out],
        }
        print_json(value)
        return
    stdout.print(f"learned from {prepared.images} images into {out}", markup=False)
    stdout.print(
        f"at random places all models are wrong on {prepared.plain:.0%} of them with the plain logo, on "
        f"{prepared.textured:.0%} with the textures",
        markup=False,
    )
