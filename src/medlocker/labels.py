"""Labels: which class each image shows, from a CSV file, and how that text becomes a model's class index."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medlocker._files import read_limited
from medlocker.errors import InputError
from medlocker.regions._names import normal_name, split_name, without_suffix
from medlocker.regions._rows import MAX_ROW_CHARACTERS, RowLines

MAX_LABEL_BYTES = 256 << 20
LABEL_COLUMNS = ("label", "class", "diagnosis", "grade")
"""What a label's column may be called among others, in capitals or not."""
_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels of one file.

    Args:
        file: Name of the file, for messages.
        column: The column that was read.
        rows: From name as written (forward slashes) to label, in the file's order.
        digest: SHA-256 of the column's name and all rows.
    """

    file: str
    column: str
    rows: Mapping[str, str]
    digest: str
    _by_file: dict[str, list[str]] = field(init=False, repr=False)
    _by_stem: dict[str, list[str]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        by_file: dict[str, list[str]] = {}
        by_stem: dict[str, list[str]] = {}
        for name in self.rows:
            own = split_name(name)[1]
            by_file.setdefault(own, []).append(name)
            by_stem.setdefault(without_suffix(own), []).append(name)
        object.__setattr__(self, "_by_file", by_file)
        object.__setattr__(self, "_by_stem", by_stem)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def distinct(self) -> tuple[str, ...]:
        """All different labels: numbers by value, else alphabetical."""
        return order_classes(set(self.rows.values()))

    def for_name(self, relative_name: str) -> str | None:
        """Return the label of an image, or None if it has none.

        The name is looked up as a whole relative path, then as a file name in whatever folder, then without
        the image's ending.

        Args:
            relative_name: Path inside the data set, forward slashes.

        Raises:
            InputError: If several rows fit equally well and disagree.
        """
        found = self._rows_for(relative_name)
        labels = {self.rows[name] for name in found}
        if len(labels) > 1:
            raise InputError(
                f"labels {self.file}: several rows may mean {relative_name} and they disagree: "
                f"{found[0]} and {found[1]}",
                hint="write the relative path of each image in the first column",
            )
        return labels.pop() if labels else None

    def _rows_for(self, relative_name: str) -> list[str]:
        name = normal_name(relative_name)
        if name in self.rows:
            return [name]
        own = split_name(name)[1]
        return self._by_file.get(own) or self._by_stem.get(without_suffix(own)) or []

    def missing(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the images that have no label, in their order."""
        return tuple(name for name in names if self.for_name(name) is None)

    def unknown(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the rows that none of these images matches, in the file's order."""
        used = {row for name in names for row in self._rows_for(name)}
        return tuple(row for row in self.rows if row not in used)


@dataclass(frozen=True)
class ClassIndices:
    """How the labels of a file are understood by one model.

    Args:
        indices: From label text to class index.
        notes: What was assumed, one sentence each.
    """

    indices: Mapping[str, int]
    notes: tuple[str, ...] = ()


def load_labels(path: Path, *, column: str | None = None) -> Labels:
    """Read a label file: a header, the image's name in the first column, its class in another.

    Of two columns that is the second, whatever it is called. Of more it is the one called as in
    :data:`LABEL_COLUMNS`; the second, if several are and it is one of them. Commas, semicolons or tabs
    separate. Rows with an empty label count as not labelled. A name may be repeated with the same label.

    Args:
        path: UTF-8 text, byte order mark tolerated.
        column: Name of the label's column, in capitals or not; default as told above.

    Raises:
        InputError: Naming the line, if there is no header, a column is missing or cannot be told from
            others, or two rows disagree.
    """
    data = read_limited(path, max_bytes=MAX_LABEL_BYTES, what="labels")
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"labels {path.name}: expected UTF-8 text", subject=path.name) from error
    if b"\0" in data:
        raise InputError(f"labels {path.name}: expected text, got a binary file", subject=path.name)
    rows = _read_rows(data, path.name)
    header = next(rows, (1, []))[1]
    at = _label_column(header, path.name, column)
    found: dict[str, tuple[str, int]] = {}
    place = f"labels {path.name}"
    for line, row in rows:
        if len(row) != len(header):
            raise InputError(f"{place}, line {line}: expected {len(header)} columns, got {len(row)}")
        name, label = normal_name(row[0]), row[at].strip()
        if not name:
            raise InputError(f"{place}, line {line}: expected an image's name, got an empty cell")
        if not label:
            continue
        before, first_line = found.setdefault(name, (label, line))
        if before != label:
            raise InputError(
                f"{place}, line {line}: expected {name} to be {before!r:.40} as in line {first_line}, "
                f"got {label!r:.40}"
            )
    if not found:
        raise InputError(f"labels {path.name}: expected at least one labelled image", subject=path.name)
    labels = {name: label for name, (label, _) in found.items()}
    return Labels(path.name, header[at].strip(), labels, _digest(header[at].strip(), labels))


def _read_rows(data: bytes, file: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of all rows that are not empty."""
    stream = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="")
    first_line = stream.readline(MAX_ROW_CHARACTERS)
    stream.seek(0)
    delimiter = max(_DELIMITERS, key=first_line.count)
    lines = RowLines(stream, f"labels {file}")
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        for row in reader:
            lines.end_row()
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"labels {file}, line {reader.line_num}: expected comma-separated values") from error


def _label_column(header: list[str], file: str, column: str | None) -> int:
    """Return where the label stands."""
    names = [name.strip() for name in header]
    if len(names) < 2:
        raise InputError(
            f"labels {file}: expected a header with at least two columns, got {len(names)}",
            subject=file,
            hint="the first line should read: image,label",
        )
    if without_suffix(names[0]) != names[0]:
        raise InputError(
            f"labels {file}, line 1: expected a header, got an image's name",
            hint="add a first line: image,label",
        )
    if column is None:
        return _unnamed_column(names, file)
    for wanted, have in ((column, names), (column.casefold(), [name.casefold() for name in names])):
        if wanted in have[1:]:
            return have.index(wanted, 1)
    raise InputError(
        f"labels {file}: expected a column {column!r:.40}, got {', '.join(names[1:])!s:.200}", subject=file
    )


def _unnamed_column(names: list[str], file: str) -> int:
    """Return where the label stands in a file of which nothing is told but its header."""
    if len(names) == 2:
        return 1
    known = [at for at, name in enumerate(names) if at and name.casefold() in LABEL_COLUMNS]
    written = [at for at, name in enumerate(names) if at and name]
    if len(known) == 1 or 1 in known:
        return known[0]
    if len(written) == 1:  # spreadsheets append empty columns
        return written[0]
    listed = ", ".join(names[at] for at in known or written) or "none"
    wanted = f"{', '.join(LABEL_COLUMNS[:-1])} or {LABEL_COLUMNS[-1]}"
    raise InputError(
        f"labels {file}: expected one column called {wanted}, got {listed!s:.200}",
        subject=file,
        hint="choose the label's column with --label-column NAME",
    )


def _digest(column: str, rows: Mapping[str, str]) -> str:
    digest = hashlib.sha256(f"medlocker-labels-v1\n{column}\n".encode())
    for name, label in rows.items():
        digest.update(f"{name}\0{label}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def order_classes(labels: Collection[str]) -> tuple[str, ...]:
    """Return labels in the order of a model's outputs: numbers by value, else alphabetical."""
    if all(_integer(label) is not None for label in labels):
        return tuple(sorted(labels, key=lambda label: (_integer(label) or 0, label)))
    return tuple(sorted(labels))


def class_indices(labels: Labels | Collection[str], classes: tuple[str, ...]) -> ClassIndices:
    """Map the text of labels to a model's class indices.

    All labels are understood in the same way, the first that fits: as the model's class names; as these
    without regard to case; as numbers of classes, from 0; and, where the model has no names and the labels
    are as many as its outputs and none is a number of one, in alphabetical order, with a note that says so.

    Args:
        labels: The labels.
        classes: The model's class names; ``("0", "1", ...)`` or empty names are numbers only.

    Raises:
        InputError: If none fits, naming a label.
    """
    texts = labels.distinct if isinstance(labels, Labels) else order_classes(set(labels))
    source = f"labels {labels.file}" if isinstance(labels, Labels) else "labels"
    named = classes != tuple(str(k) for k in range(len(classes)))
    exact = {name: k for k, name in enumerate(classes)}
    if all(text in exact for text in texts):
        return ClassIndices({text: exact[text] for text in texts})
    folded = {name.casefold(): k for name, k in exact.items()}
    if len(folded) == len(classes) and all(text.casefold() in folded for text in texts):
        return ClassIndices({text: folded[text.casefold()] for text in texts})
    numbers = {text: _integer(text) for text in texts}
    if all(number is not None for number in numbers.values()):
        for text, number in numbers.items():
            if number is not None and not 0 <= number < len(classes):
                raise InputError(
                    f"{source}: expected a class from 0 to {len(classes) - 1}, got {text!r:.40}",
                    subject=source,
                    hint=f"the model's classes are {', '.join(classes)!s:.200}",
                )
        notes = (f"{source}: the numbers are taken as positions among {_some(classes)}",) if named else ()
        return ClassIndices({text: number or 0 for text, number in numbers.items()}, notes)
    mixed = any(text in exact for text in texts)  # then the others are strangers, not names of the outputs
    if not named and not mixed and len(texts) == len(classes):
        return ClassIndices(
            {text: k for k, text in enumerate(texts)},
            (f"{source}: the model has no class names; its outputs are assumed to be {_some(texts)}",),
        )
    stranger = next(text for text in texts if text not in exact and text.casefold() not in folded)
    raise InputError(
        f"{source}: expected a class of the model, got {stranger!r:.40}",
        subject=source,
        hint=f"the model's classes are {', '.join(classes)!s:.200}",
    )


def _some(names: tuple[str, ...]) -> str:
    text = ", ".join(f"{k} = {name}" for k, name in enumerate(names[:6]))
    return text + (", ..." if len(names) > 6 else "")


def _integer(text: str) -> int | None:
    """Return the whole number that a label writes, also as ``2.0`` (a table with gaps), else None."""
    whole, _, fraction = text.partition(".")
    if len(whole) > 9 or not whole.isascii() or not whole.isdigit() or fraction.strip("0"):
        return None
    return int(whole)
