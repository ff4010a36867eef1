"""`medlocker prepare`: find out once, on a sample of a data set, how it is best marked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from medlocker.api.keepout import KeepOut
from medlocker.cli._labels import LabelColumn
from medlocker.cli._preparelogo import Asked, learn_logo
from medlocker.cli._prepareveil import choose_veil
from medlocker.errors import InputError
from medlocker.protect import LEAST_PSNR_DB, MAX_AREA, Aim, Lesions

PreparedPreset = Literal["veil", "strong"]

_EXAMPLES = """
[bold]Examples[/bold]

  medlocker prepare fundus/ --model a.onnx --model b.onnx --regions lesions.csv --out chosen
  medlocker protect fundus/ --model a.onnx --regions lesions.csv --logo chosen --owner hospital --out release

  medlocker prepare fundus/ --preset strong --model surrogate --labels grades.csv --out learned
  medlocker protect fundus/ --preset strong --model surrogate --logo learned --owner hospital --out release

Preset veil needs no gradients; with two models or more it forecasts what is left of the answers of models
never seen. Preset strong needs the torch extra, and models that torch can rebuild; give `protect` the same
size and opacity.
"""


def prepare_logo(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="Image, folder, or list file to learn from.")],
    model: Annotated[
        list[Path],
        typer.Option("--model", help="Surrogate, as for `protect`. Repeatable, several are better."),
    ],
    out: Annotated[Path, typer.Option(metavar="LOGO_DIR", help="New folder, for `protect --logo`.")],
    preset: Annotated[
        PreparedPreset,
        typer.Option(
            help="What `protect` will be told: veil chooses how veils look, strong learns a texture."
        ),
    ] = "veil",
    logo: Annotated[
        Path | None, typer.Option(help="Picture, best a PNG with alpha; default a padlock.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="CSV `image,<label>`; else the models' own answers.")
    ] = None,
    label_column: LabelColumn = None,
    regions: Annotated[Path | None, typer.Option(help="Keep-out regions, as for `protect`.")] = None,
    margin_px: Annotated[
        int, typer.Option("--margin", min=0, help="Grow every region by this many pixels, as for `protect`.")
    ] = 0,
    segmenter: Annotated[
        Path | None, typer.Option(help="Finds regions too, as for `protect`. For veil.")
    ] = None,
    lesions: Annotated[
        Lesions | None,
        typer.Option(
            help="Without --regions and --segmenter keep candidates out, as `protect` does; default auto. "
            "For veil."
        ),
    ] = None,
    anatomy: Annotated[
        bool,
        typer.Option("--anatomy", help="Keep optic disc and macula clear too, as for `protect`. For veil."),
    ] = False,
    size: Annotated[
        float | None,
        typer.Option(
            help="Longer side of the logo / shorter side of the image; of a veil, of one copy. Default 0.25, "
            "of a veil it is chosen."
        ),
    ] = None,
    opacity: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="LOW HIGH",
            help="Range of the opacity, 0 to 1; default 0.39 0.8, of a veil to choose from 0.06 to 0.15.",
        ),
    ] = None,
    legibility: Annotated[
        float | None,
        typer.Option(help=f"Least PSNR of a veiled image, dB, as for `protect`; default {LEAST_PSNR_DB:g}."),
    ] = None,
    aim: Annotated[
        Aim | None,
        typer.Option(
            help="What a veil is chosen for: that all images get the same answer, or one drawn by key for "
            "each, or a wrong one. Default same."
        ),
    ] = None,
    decoys: Annotated[
        bool, typer.Option("--decoys/--no-decoys", help="Keep veils out of boxes by chance too.")
    ] = True,
    budget: Annotated[
        int | None,
        typer.Option(min=1, help="Most evaluations in all of choosing a veil; default 2000 for each model."),
    ] = None,
    levels: Annotated[
        int | None, typer.Option(help="Bound of the texture, grey levels of 255; default 32. For strong.")
    ] = None,
    marks: Annotated[
        int | None, typer.Option(help="Most separate marks on one image, 1 to 3; default 3. For strong.")
    ] = None,
    max_area: Annotated[
        float | None,
        typer.Option(
            help=f"Further marks only while all together cover at most this share; default {MAX_AREA:g}. "
            "For strong."
        ),
    ] = None,
    sample: Annotated[int, typer.Option(min=1, max=100_000, help="Most images that are looked at.")] = 96,
    rounds: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Passes over the sample; default 24. For strong.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample and of all that is drawn.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier LOGO_DIR.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find out once, on a sample of a data set, how it is best marked, for `protect --logo LOGO_DIR`."""
    asked = Asked(
        source=source,
        models=tuple(model),
        out=out,
        logo=logo,
        labels=labels,
        label_column=label_column,
        keep_out=KeepOut(regions, margin_px, segmenter, lesions, anatomy),
        size=size,
        opacity=opacity,
        sample=sample,
        seed=seed,
        overwrite=overwrite,
        as_json=json,
    )
    if preset == "veil":
        _refuse("veil", {"--levels": levels, "--marks": marks, "--max-area": max_area, "--rounds": rounds})
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
            "--legibility": legibility,
            "--aim": aim,
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


prepare_logo.__doc__ = f"{prepare_logo.__doc__}\n\n{_EXAMPLES}"


def _refuse(preset: PreparedPreset, foreign: dict[str, Any]) -> None:
    """Refuse options that mean nothing for a preset, instead of passing them over."""
    given = [name for name, value in foreign.items() if value is not None]
    if given:
        other = "strong" if preset == "veil" else "veil"
        raise InputError(
            f"preset {preset}: expected no {given[0]}", hint=f"leave it out, or use --preset {other}"
        )
