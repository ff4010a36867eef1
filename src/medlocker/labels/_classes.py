"""What the text of labels means to a model: the index of one of its classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from medlocker.errors import InputError
from medlocker.labels._labels import Labels, order_classes, whole_number


@dataclass(frozen=True)
class ClassIndices:
    """How the labels of a file are understood by one model.

    Args:
        indices: From label text to class index.
        notes: What was assumed, one sentence each.
    """

    indices: Mapping[str, int]
    notes: tuple[str, ...] = ()


def class_indices(labels: Labels | Collection[str], classes: tuple[str, ...]) -> ClassIndices:
    """Map the text of labels to a model's class indices.

    All labels are understood in the same way, the first that fits: as the model's class names; as these
    without regard to case; as yes and no where their column is called as a class; as numbers of classes, from
    0; and, where the model has no names and the labels
    are as many as its outputs and none is a number of one, in alphabetical order, with a note that says so.

    Args:
        classes: The model's class names; ``("0", "1", ...)`` or empty names are numbers only.

    Raises:
        InputError: If none fits, naming a label.
    """
    texts = labels.distinct if isinstance(labels, Labels) else order_classes(set(labels))
    source = f"labels {labels.file}" if isinstance(labels, Labels) else "labels"
    said = labels.notes if isinstance(labels, Labels) else ()
    column = labels.column if isinstance(labels, Labels) else ""
    columns = labels.columns if isinstance(labels, Labels) else ()
    if columns and len(columns) != len(classes):
        raise InputError(
            f"{source}: expected a column for each of {len(classes)} classes, got {len(columns)}",
            hint=f"choose one column with --label-column NAME; the classes are {', '.join(classes)!s:.200}",
        )
    indices, note = _understood(columns or texts, classes, source=source, column=column)
    if indices is None:
        raise _no_class(labels, texts, classes, source=source)
    return ClassIndices(indices, (*said, note) if note else said)


def _understood(
    texts: tuple[str, ...], classes: tuple[str, ...], *, source: str, column: str
) -> tuple[dict[str, int] | None, str]:
    """Return what each text means, None if they fit no class; and what was assumed."""
    exact = {name: k for k, name in enumerate(classes)}
    folded = {name.casefold(): k for name, k in exact.items()}
    if len(folded) == len(classes) and all(text.casefold() in folded for text in texts):
        return {text: exact.get(text, folded[text.casefold()]) for text in texts}, ""
    if all(text in exact for text in texts):
        return {text: exact[text] for text in texts}, ""
    named = classes != tuple(str(k) for k in range(len(classes)))
    numbers = {text: number for text in texts if (number := whole_number(text)) is not None}
    if len(numbers) == len(texts):
        if max(numbers.values()) <= 1 and (flagged := folded.get(column.casefold())) is not None:
            return _flagged(numbers, flagged, classes, source=source, column=column)
        fits = all(number < len(classes) for number in numbers.values())
        note = f"{source}: the numbers are taken as positions among {_some(classes)}" if named else ""
        return (numbers, note) if fits else (None, "")
    mixed = any(text in exact for text in texts)  # then the others are strangers, not names of the outputs
    if not named and not mixed and len(texts) == len(classes):
        note = f"{source}: the model has no class names; its outputs are assumed to be {_some(texts)}"
        return {text: k for k, text in enumerate(texts)}, note
    return None, ""


def _flagged(
    numbers: Mapping[str, int], flagged: int, classes: tuple[str, ...], *, source: str, column: str
) -> tuple[dict[str, int], str]:
    """Read a column that is called as a class and says yes or no."""
    if len(classes) != 2:
        raise InputError(
            f"{source}: column {column!r:.40} says only whether an image is of that class, "
            f"expected which of {len(classes)} classes it is of",
            subject=source,
            hint="without --label-column a table with a column for every class is read",
        )
    indices = {text: flagged if number else 1 - flagged for text, number in numbers.items()}
    return indices, f"{source}: 1 in column {column:.40} is taken as {classes[flagged]:.40}"


def _no_class(
    labels: Labels | Collection[str], texts: tuple[str, ...], classes: tuple[str, ...], *, source: str
) -> InputError:
    """Name the first label that is none of the model's classes."""
    known = {*classes, *(name.casefold() for name in classes)}
    strangers = [text for text in texts if text not in known and text.casefold() not in known]
    if all(whole_number(text) is not None for text in texts):
        strangers = [text for text in texts if (whole_number(text) or 0) >= len(classes)]
        wanted = f"a class from 0 to {len(classes) - 1}"
    else:
        wanted = "a class of the model"
    stranger = strangers[0]
    line = labels.lines.get(stranger) if isinstance(labels, Labels) else None
    place = source if line is None else f"{source}, line {line}"
    return InputError(
        f"{place}: expected {wanted}, got {stranger!r:.40}",
        hint=f"the model's classes are {', '.join(classes)!s:.200}",
    )


def _some(names: tuple[str, ...]) -> str:
    text = ", ".join(f"{k} = {name}" for k, name in enumerate(names[:6]))
    return text + (", ..." if len(names) > 6 else "")
