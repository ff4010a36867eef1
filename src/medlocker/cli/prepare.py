"""`medlocker prepare`: find out once, on a sample of a data set, how it is best marked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from medlocker.cli._interrupts import interruptible_imports
from medlocker.cli._options import (
    Anatomy,
    AsJson,
    Decoys,
    ImageColumn,
    LabelColumn,
    Margin,
    MaxArea,
    MaxMarks,
    Objective,
    TextureBound,
)
from medlocker.cli._panels import INPUT, KEEP_OUT, MARKS, SEARCH
from medlocker.errors import InputError
from medlocker.options import LEAST_PSNR_DB, MAX_AREA

PreparedPreset = Literal["veil", "strong"]

EXAMPLES = """
[bold]Examples[/bold]

medlocker prepare fundus/ --model a.onnx --model b.onnx --regions lesions.csv --out chosen
medlocker protect fundus/ --model a.onnx --regions lesions.csv --logo chosen --owner hospital --out release

medlocker prepare fundus/ --preset strong --model surrogate --labels grades.csv --out learned
medlocker protect fundus/ --preset strong --model surrogate --logo learned --owner hospital --out release

Preset veil needs no gradients; with two or more models it also estimates the effect on
models it has not seen. Preset strong needs the torch extra; give `protect` the same size and opacity.
"""


def prepare_logo(
    source: Annotated[
        Path, typer.Argument(metavar="DIR", help="Images to learn from: file, folder, or list file.")
    ],
    model: Annotated[
        list[Path],
        typer.Option("--model", help="Classifier, as for `protect`. Repeatable; several are better."),
    ],
    out: Annotated[
        Path, typer.Option(metavar="LOGO_DIR", help="New folder, to be given to `protect --logo`.")
    ],
    preset: Annotated[
        PreparedPreset,
        typer.Option(help="For the same preset of `protect`: veil chooses a style, strong learns a texture."),
    ] = "veil",
    logo: Annotated[
        Path | None, typer.Option(help="Picture, best a PNG with transparency; default a padlock.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="CSV `image,<label>`; default the models' own answers.")
    ] = None,
    regions: Annotated[Path | None, typer.Option(help="Regions that stay free, as for `protect`.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier LOGO_DIR.")] = False,
    label_column: LabelColumn = None,
    image_column: ImageColumn = None,
    sample: Annotated[
        int,
        typer.Option(
            "--sample-size",
            metavar="N",
            min=1,
            max=100_000,
            help="Largest number of images to learn from.",
            rich_help_panel=INPUT,
        ),
    ] = 96,
    size: Annotated[
        float | None,
        typer.Option(
            help="Logo's longer side / image's shorter side; default 0.25, veil: chosen.",
            rich_help_panel=MARKS,
        ),
    ] = None,
    opacity: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="LOW HIGH",
            help="Range of the opacity, 0 to 1; default 0.39 0.8, veil: 0.06 0.15.",
            rich_help_panel=MARKS,
        ),
    ] = None,
    legibility: Annotated[
        float | None,
        typer.Option(
            "--min-psnr",
            help=f"Veil: smallest PSNR of a marked image in dB; default {LEAST_PSNR_DB:g}.",
            rich_help_panel=MARKS,
        ),
    ] = None,
    levels: TextureBound = None,
    marks: MaxMarks = None,
    max_area: MaxArea = None,
    margin_px: Margin = 0,
    segmenter: Annotated[
        Path | None,
        typer.Option(help="Veil: network that finds lesions, as for `protect`.", rich_help_panel=KEEP_OUT),
    ] = None,
    lesions: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Veil: find possible lesions, as for `protect`; default auto.",
            rich_help_panel=KEEP_OUT,
        ),
    ] = None,
    anatomy: Anatomy = False,
    decoys: Decoys = True,
    aim: Objective = None,
    budget: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Veil: most model evaluations; default 2000 for each model.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            "--epochs",
            metavar="N",
            min=1,
            max=10_000,
            help="Strong: passes over the sample; default 24.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Seed of the sample and of all random choices.", rich_help_panel=SEARCH
        ),
    ] = 0,
    json: AsJson = False,
) -> None:
    """Find out once, on a sample of a data set, how it is best marked, for `protect --logo LOGO_DIR`."""
    with interruptible_imports():
        from medlocker.api.keepout import KeepOut
        from medlocker.cli._preparelogo import PrepareArguments, learn_logo
        from medlocker.cli._prepareveil import choose_veil

    asked = PrepareArguments(
        source=source,
        models=tuple(model),
        out=out,
        logo=logo,
        labels=labels,
        label_column=label_column,
        image_column=image_column,
        keep_out=KeepOut(regions, margin_px, segmenter, lesions, anatomy),
        size=size,
        opacity=opacity,
        sample=sample,
        seed=seed,
        overwrite=overwrite,
        as_json=json,
    )
    if preset == "veil":
        _refuse(
            "veil",
            {"--texture-bound": levels, "--max-marks": marks, "--max-area": max_area, "--epochs": rounds},
        )
        choose_veil(
            asked,
            aim=aim or "same",
            legibility=LEAST_PSNR_DB if legibility is None else legibility,
            decoys=decoys,
            budget=budget,
        )
        return
    _refuse(
        "strong",
        {
            "--segmenter": segmenter,
            "--lesions": None if lesions == "none" else lesions,
            "--anatomy": anatomy or None,
            "--min-psnr": legibility,
            "--objective": aim,
            "--no-decoys": None if decoys else True,
            "--budget": budget,
        },
    )
    learn_logo(
        asked,
        levels=32 if levels is None else levels,
        marks=3 if marks is None else marks,
        max_area=MAX_AREA if max_area is None else max_area,
        rounds=24 if rounds is None else rounds,
    )


def _refuse(preset: PreparedPreset, foreign: dict[str, Any]) -> None:
    """Refuse options that mean nothing for a preset, instead of passing them over."""
    given = [name for name, value in foreign.items() if value is not None]
    if given:
        other = "strong" if preset == "veil" else "veil"
        raise InputError(
            f"{given[0]} cannot be used with --preset {preset}", hint=f"leave it out, or use --preset {other}"
        )
