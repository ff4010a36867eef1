"""Regions from a CSV file."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path
from typing import TextIO

from medlocker.errors import InputError
from medlocker.regions._table import Table, TableBuilder
from medlocker.regions.names import normal_name
from medlocker.regions.rows import MAX_ROW_CHARACTERS, RowLines

COLUMNS = ("image", "region", "x", "y", "width", "height")

NO_REGION = frozenset({"", "none", "normal", "no finding"})
"""Kinds that, with empty numbers, say that an image has no region."""


def read_csv(path: Path) -> Table:
    """Read ``image,region,x,y,width,height`` in pixels; more columns and any order are allowed.

    Commas, semicolons or tabs separate. A row with empty numbers and no kind (or one as in
    :data:`NO_REGION`) says that its image has no region.

    Raises:
        InputError: Naming the line, if a column, name or number is missing or wrong.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return _read(stream, path.name)
    except UnicodeDecodeError as error:
        raise InputError(f"regions {path.name}: expected UTF-8 text", subject=path.name) from error
    except OSError as error:
        raise InputError(
            f"regions {path.name}: {(error.strerror or 'cannot be read').lower()}", subject=path.name
        ) from error


def _place(file: str, _: str, line: int) -> str:
    return f"regions {file}, line {line}"


def _read(stream: TextIO, file: str) -> Table:
    header_line = stream.readline(MAX_ROW_CHARACTERS)
    stream.seek(0)
    lines = RowLines(stream, f"regions {file}")
    reader = csv.reader(lines, delimiter=max(",;\t", key=header_line.count))
    builder = TableBuilder()

    place = partial(_place, file)

    try:
        header = [column.strip().lower() for column in next(reader, [])]
        missing = [column for column in COLUMNS if column not in header]
        if missing:
            raise InputError(
                f"regions {file}, line 1: expected the columns {','.join(COLUMNS)}, "
                f"got none called {', '.join(missing)}"
            )
        at_image, at_region, *at_numbers = (header.index(column) for column in COLUMNS)
        lines.end_row()
        for row in reader:
            lines.end_row()
            if not any(cell.strip() for cell in row):
                continue
            try:
                if len(row) != len(header):
                    raise ValueError(f"expected {len(header)} columns, got {len(row)}")
                image, region = normal_name(row[at_image]), row[at_region].strip()
                if image and region.casefold() in NO_REGION and not any(row[at].strip() for at in at_numbers):
                    builder.add_image(image)
                    continue
                if not image or not region:
                    raise ValueError("expected an image and a region, got an empty name")
                x, y, width, height = (to_number(row[at]) for at in at_numbers)
                builder.add(image, region, (x, y, width, height), line=reader.line_num)
            except ValueError as error:
                raise InputError(f"{place(file, reader.line_num)}: {error}") from error
    except csv.Error as error:
        raise InputError(f"{place(file, reader.line_num)}: expected comma-separated values") from error
    return builder.build(place)


def to_number(text: str) -> float:
    """Read one decimal number.

    Raises:
        ValueError: If it is none.
    """
    try:
        if "_" in text:  # Python's own notation, a slip in a table
            raise ValueError
        return float(text)
    except ValueError:
        raise ValueError(f"expected a number, got {text.strip()!r:.40}") from None
