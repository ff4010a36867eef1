"""Labels for several models at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medlocker.cli._panels import INPUT
from medlocker.errors import InputError

if TYPE_CHECKING:
    from medlocker.labels import Labels

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


def labels_of(path: Path | None, *, column: str | None, image_column: str | None = None) -> Labels | None:
    """Read a command's labels, if it has any.

    Raises:
        InputError: If they cannot be read, or only their columns were named.
    """
    from medlocker.labels import load_labels

    for option, value in (("--label-column", column), ("--image-column", image_column)):
        if path is None and value is not None:
            raise InputError(f"{option} requires --labels")
    return None if path is None else load_labels(path, column=column, image_column=image_column)
