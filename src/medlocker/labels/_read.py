"""Reading a label file: where the names and the labels stand in it, and what each row says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from medlocker.errors import InputError
from medlocker.files import read_limited
from medlocker.labels._labels import Labels, whole_number
from medlocker.labels._table import Table, open_table
from medlocker.regions.names import normal_name

MAX_LABEL_BYTES = 256 << 20
LABEL_COLUMNS = ("label", "class", "diagnosis", "grade", "dx")
"""What a label's column may be called among others, in capitals or not."""
IMAGE_COLUMNS = (
    *("image", "image_id", "image_name", "image_path", "filename", "file_name", "file", "path", "filepath"),
    *("image_index", "img", "isic_id", "id_code"),
)
"""What the column of the images' names may be called where it is not the first, in capitals or not."""
MISSING = frozenset({"", "nan", "NaN", "NAN", "NA", "N/A", "n/a", "<NA>", "null", "NULL"})
"""How programs write that an image has no label."""


def load_labels(path: Path, *, column: str | None = None, image_column: str | None = None) -> Labels:
    """Read a label file: a header, the images' names in one column, their classes in another.

    The names stand in the first column unless another is called as in :data:`IMAGE_COLUMNS`. The label: of
    two columns the other one, whatever it is called; of more the one called as in :data:`LABEL_COLUMNS` (the
    first behind the names, if several are and it is one of them). If none is and every row holds a single 1
    among zeros, each column is a class (one-hot). Commas, semicolons or tabs separate; a title before the
    header and Excel's ``sep=;`` are passed over; two columns may do without a header. Rows whose label is
    empty or as in :data:`MISSING` count as not labelled, and so does -1 where all others are numbers. A name
    may be repeated with the same label.

    Args:
        path: UTF-8 or UTF-16 text.
        column: Name of the label's column, in capitals or not; default as told above.
        image_column: Name of the images' column, likewise.

    Raises:
        InputError: Naming the line, if there is no header, a column is missing or cannot be told from
            others, or two rows disagree.
    """
    place = f"labels {path.name}"
    table = open_table(read_limited(path, max_bytes=MAX_LABEL_BYTES, what="labels"), place)
    at = _image_column(table, image_column)
    of_label = _label_column(table, column, image=at)
    classes = _one_hot(table, image=at) if of_label is None else ()
    if of_label is None and not classes:
        raise _which_column(table, image=at)
    found: dict[str, tuple[str, int]] = {}
    texts: dict[str, str] = {}  # of a million equal labels one is kept
    for line, row in table.rows():
        name = normal_name(row[at])
        if not name:
            raise InputError(f"{place}, line {line}: expected an image's name, got an empty cell")
        label = row[of_label].strip() if of_label is not None else _marked(row, classes, table.header)
        if label in MISSING:
            continue
        before, first_line = found.setdefault(name, (texts.setdefault(label, label), line))
        if before != label:
            raise InputError(
                f"{place}, line {line}: expected {name} to be {before!r:.40} as in line {first_line}, "
                f"got {label!r:.40}"
            )
    notes = []
    if classes:
        notes.append(
            f"{place}: a column for each class, {', '.join(table.header[k] for k in classes)!s:.200}"
        )
    if unsure := _unsure({label for label, _ in found.values()}):
        found = {name: one for name, one in found.items() if one[0] not in unsure}
        notes.append(f"{place}: rows with {' or '.join(sorted(unsure))} are taken as not labelled")
    if not found:
        raise InputError(f"labels {path.name}: expected at least one labelled image", subject=path.name)
    labels = {name: label for name, (label, _) in found.items()}
    lines: dict[str, int] = {}
    for label, line in found.values():
        lines.setdefault(label, line)
    title = "" if of_label is None else table.header[of_label]
    return Labels(
        path.name,
        title,
        labels,
        _digest(title, labels),
        tuple(notes),
        lines,
        tuple(table.header[k] for k in classes),
    )


def _image_column(table: Table, wanted: str | None) -> int:
    """Return where the images' names stand."""
    if wanted is not None:
        return _named(table, wanted, range(len(table.header)))
    names = [name.casefold() for name in table.header]
    if names[0] not in IMAGE_COLUMNS:
        for known in IMAGE_COLUMNS:
            if known in names and known not in LABEL_COLUMNS:
                return names.index(known)
    return 0


def _label_column(table: Table, wanted: str | None, *, image: int) -> int | None:
    """Return where the label stands, None if that is not told."""
    others = [at for at in range(len(table.header)) if at != image]
    if wanted is not None:
        return _named(table, wanted, others)
    if len(others) == 1:
        return others[0]
    known = [at for at in others if table.header[at].casefold() in LABEL_COLUMNS]
    if len(known) == 1 or others[0] in known:
        return known[0]
    written = [at for at in others if table.header[at]]  # spreadsheets append empty columns
    return written[0] if len(written) == 1 else None


def _named(table: Table, wanted: str, among: Sequence[int]) -> int:
    for have, sought in (
        (table.header, wanted),
        ([name.casefold() for name in table.header], wanted.casefold()),
    ):
        for at in among:
            if have[at] == sought:
                return at
    listed = ", ".join(table.header[at] for at in among)
    raise InputError(f"{table.place}: expected a column {wanted!r:.40}, got {listed!s:.200}")


def _which_column(table: Table, *, image: int) -> InputError:
    others = [at for at in range(len(table.header)) if at != image and table.header[at]]
    known = [at for at in others if table.header[at].casefold() in LABEL_COLUMNS]
    listed = ", ".join(table.header[at] for at in known or others) or "none"
    wanted = f"{', '.join(LABEL_COLUMNS[:-1])} or {LABEL_COLUMNS[-1]}"
    return InputError(
        f"{table.place}: expected one column called {wanted}, got {listed!s:.200}",
        hint="choose the label's column with --label-column NAME",
    )


def _one_hot(table: Table, *, image: int) -> tuple[int, ...]:
    """Return the columns of classes where every row has a 1 in exactly one of them, else none.

    Raises:
        InputError: Naming line and cell, if most rows do and one does not.
    """
    columns = tuple(at for at in range(len(table.header)) if at != image and table.header[at])
    right = wrong = 0
    first: tuple[int, list[str]] = (0, [])
    for line, row in table.rows():
        if _is_one_hot([whole_number(row[at].strip()) for at in columns]):
            right += 1
        else:
            first = (line, row) if not wrong else first
            wrong += 1
    if right <= wrong:
        return ()
    if wrong:
        line, row = first
        raise InputError(
            f"{table.place}, line {line}: expected a single 1 among zeros, as in most rows, "
            f"got {_odd_cell(row, columns, table.header)}",
            hint="complete or remove the row, or choose one column with --label-column NAME",
        )
    return columns


def _is_one_hot(values: Sequence[int | None]) -> bool:
    return values.count(1) == 1 and values.count(0) == len(values) - 1


def _odd_cell(row: Sequence[str], columns: Sequence[int], header: Sequence[str]) -> str:
    """Return the cell that makes a row no one-hot one, in words."""
    ones = [at for at in columns if whole_number(row[at].strip()) == 1]
    for at in columns:
        if whole_number(row[at].strip()) not in (0, 1):
            return f"{row[at].strip()!r:.40} in column {header[at]!s:.40}"
    named = ", ".join(header[at] for at in ones)
    return f"a 1 in the columns {named!s:.100}" if ones else "no 1"


def _marked(row: Sequence[str], classes: Sequence[int], header: Sequence[str]) -> str:
    return next(header[at] for at in classes if whole_number(row[at].strip()) == 1)


def _unsure(labels: set[str]) -> set[str]:
    """Return how -1 is written, if all other labels are numbers from 0 on: it says that nobody is sure."""
    numbers = {label: whole_number(label.removeprefix("-")) for label in labels}
    below = {label for label, number in numbers.items() if label.startswith("-") and number == 1}
    others = labels - below
    return below if below and others and all(whole_number(label) is not None for label in others) else set()


def _digest(column: str, rows: Mapping[str, str]) -> str:
    digest = hashlib.sha256(f"medlocker-labels-v1\n{column}\n".encode())
    for name, label in rows.items():
        digest.update(f"{name}\0{label}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
