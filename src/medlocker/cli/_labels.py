"""Labels for several models at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from medlocker.classifiers import Classifier
from medlocker.cli._console import note
from medlocker.cli._panels import INPUT
from medlocker.errors import InputError
from medlocker.labels import Labels, class_indices, load_labels

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
    for option, value in (("--label-column", column), ("--image-column", image_column)):
        if path is None and value is not None:
            raise InputError(f"{option} requires --labels")
    return None if path is None else load_labels(path, column=column, image_column=image_column)


def label_indices(labels: Labels | None, classifiers: Sequence[Classifier]) -> tuple[Mapping[str, int], ...]:
    """Return, per model, from a label's text to the index of its class; tells the user what was assumed.

    Raises:
        InputError: If a label is no class of a model.
    """
    if labels is None:
        return ()
    found = [class_indices(labels, classifier.classes) for classifier in classifiers]
    for text in dict.fromkeys(text for indices in found for text in indices.notes):
        note(text)
    return tuple(indices.indices for indices in found)
