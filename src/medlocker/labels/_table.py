"""The rows of a table as spreadsheets, pandas and public data sets write it: CSV in one of its dialects."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from medlocker.errors import InputError
from medlocker.regions.names import without_suffix
from medlocker.regions.rows import MAX_ROW_CHARACTERS, RowLines

_DELIMITERS = (",", ";", "\t")
_MOST_TITLES = 5
_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How .xlsx and .ods files begin, and .xls files."""


@dataclass(frozen=True)
class Table:
    """A table in memory as bytes; its rows are read as often as they are asked for.

    Args:
        place: For messages: ``"labels grades.csv"``.
        header: Names of the columns; ``("image", "label")`` where two columns do without.
        first_row: Position of the first row below the header among those that are not empty.
    """

    data: bytes
    place: str
    encoding: str
    delimiter: str
    header: tuple[str, ...]
    first_row: int

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (line, cells) of the rows below the header that are not empty.

        Raises:
            InputError: If a row has another number of cells than the header, or is too long.
        """
        for position, (line, row) in enumerate(
            _rows(self.data, self.place, encoding=self.encoding, delimiter=self.delimiter)
        ):
            if position < self.first_row:
                continue
            if len(row) != len(self.header):
                raise InputError(
                    f"{self.place}, line {line}: expected {len(self.header)} columns, got {len(row)}"
                )
            yield line, row


def open_table(data: bytes, place: str) -> Table:
    """Find out how a table is written.

    Lines before the header that hold a title or Excel's ``sep=;`` are passed over.

    Args:
        data: The file: UTF-8 or UTF-16 text.

    Raises:
        InputError: If it is no text, or has no two columns, or more than two and no header.
    """
    encoding = _encoding(data, place)
    delimiter = _delimiter(data, encoding)
    begun: list[list[str]] = []
    for _, row in _rows(data, place, encoding=encoding, delimiter=delimiter):
        begun.append([cell.strip() for cell in row])
        if len(begun) > _MOST_TITLES:
            break
    at = 0
    while at + 1 < len(begun) and sum(map(bool, begun[at])) < 2 <= len(begun[at + 1]):
        at += 1  # a title, or ``sep=``: one cell, and the next row has more
    header = begun[at] if at < len(begun) else []
    if len(header) < 2:
        raise InputError(
            f"{place}: expected a header with at least two columns, got {len(header)}",
            hint="the first line should read: image,label",
        )
    if without_suffix(header[0]) == header[0]:
        return Table(data, place, encoding, delimiter, tuple(header), at + 1)
    if len(header) == 2:
        return Table(data, place, encoding, delimiter, ("image", "label"), at)
    raise InputError(
        f"{place}, line {at + 1}: expected a header, got an image's name",
        hint="add a first line: image,label",
    )


def _encoding(data: bytes, place: str) -> str:
    if data.startswith(_SPREADSHEETS):
        raise InputError(f"{place}: expected CSV, got a spreadsheet", hint="save the sheet as CSV (UTF-8)")
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(f"{place}: expected UTF-8 text", hint="save the table as CSV (UTF-8)") from error
    if "\0" in text:
        raise InputError(f"{place}: expected text, got a binary file")
    return encoding


def _delimiter(data: bytes, encoding: str) -> str:
    """Return what separates cells: what Excel's ``sep=`` says, else what the header has most of."""
    stream = io.TextIOWrapper(io.BytesIO(data), encoding, newline="")
    lines = [stream.readline(MAX_ROW_CHARACTERS) for _ in range(_MOST_TITLES + 1)]
    told = lines[0].rstrip("\r\n").removeprefix("sep=")
    if lines[0].startswith("sep=") and told in _DELIMITERS:
        return told
    of_header = next((line for line in lines if any(mark in line for mark in _DELIMITERS)), "")
    return max(_DELIMITERS, key=of_header.count)


def _rows(data: bytes, place: str, *, encoding: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    lines = RowLines(io.TextIOWrapper(io.BytesIO(data), encoding, newline=""), place)
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        for row in reader:
            lines.end_row()
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"{place}, line {reader.line_num}: expected comma-separated values") from error
