"""Options that several commands have, with one meaning."""

from __future__ import annotations

from typing import Annotated

import typer

from medlocker.cli._panels import INPUT, KEEP_OUT, MARKS, RUN, SEARCH
from medlocker.options import Aim

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

LabelColumn = Annotated[
    str | None,
    typer.Option(
        help="Column of the label; default the second of two, else label, class, diagnosis or grade.",
        rich_help_panel=INPUT,
    ),
]
ImageColumn = Annotated[
    str | None,
    typer.Option(
        help="Column of the file names; default the first, or image, image_id, filename or path.",
        rich_help_panel=INPUT,
    ),
]
MaxMarks = Annotated[
    int | None,
    typer.Option(
        "--max-marks",
        help="Not veil: largest number of logos on one image, 1 to 3; default 3, paper 1.",
        rich_help_panel=MARKS,
    ),
]
MaxArea = Annotated[
    float | None,
    typer.Option(
        help="Not veil: largest share of the image that all logos cover; default 0.12.",
        rich_help_panel=MARKS,
    ),
]
TextureBound = Annotated[
    int | None,
    typer.Option(
        "--texture-bound",
        help="Not veil: largest change by the texture, grey levels; default 32, paper 0.",
        rich_help_panel=MARKS,
    ),
]
Margin = Annotated[
    int,
    typer.Option(
        "--margin",
        metavar="PIXELS",
        min=0,
        help="Enlarge every region by this many pixels.",
        rich_help_panel=KEEP_OUT,
    ),
]
Anatomy = Annotated[
    bool,
    typer.Option(
        "--anatomy",
        help="Keep optic disc and macula of fundus photographs free too, where they are found.",
        rich_help_panel=KEEP_OUT,
    ),
]
Decoys = Annotated[
    bool,
    typer.Option(
        "--decoys/--no-decoys",
        help="Veil: leave random holes too, so that holes do not show where lesions are.",
        rich_help_panel=KEEP_OUT,
    ),
]
Objective = Annotated[
    Aim | None,
    typer.Option(
        "--objective",
        help="Veil: one answer for all images (same), a secret one for each (key), or a wrong one. "
        "Default same.",
        rich_help_panel=SEARCH,
    ),
]
Batch = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        max=1024,
        help="Batch size for the models; default chosen for them.",
        rich_help_panel=RUN,
    ),
]
