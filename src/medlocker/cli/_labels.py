"""Options of all commands that compare with labels."""

from __future__ import annotations

from typing import Annotated

import typer

from medlocker.cli._panels import INPUT

LabelColumn = Annotated[
    str | None,
    typer.Option(
        help="Column of the label; default the second of two, else label, class, diagnosis or grade.",
        rich_help_panel=INPUT,
    ),
]
"""The option ``--label-column`` of all commands that compare with labels."""


ImageColumn = Annotated[
    str | None,
    typer.Option(
        help="Column of the file names; default the first, or image, image_id, filename or path.",
        rich_help_panel=INPUT,
    ),
]
"""The option ``--image-column`` of all commands that compare with labels."""
