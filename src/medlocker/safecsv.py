"""CSV files that no spreadsheet runs or misreads, whatever names and reasons they hold."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence

_MISLEADING = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Controls, ends of lines, and what turns the direction of text round."""

_FORMULA_STARTS = "=+-@"


def to_csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return a table as the bytes of a file, UTF-8.

    Args:
        head: Names of the columns.
        rows: Numbers are written as they are, truth values as 1 and 0, None as nothing.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([csv_cell(name) for name in head])
    writer.writerows([csv_cell(value) for value in row] for row in rows)
    # names may hold bytes that are no UTF-8
    return stream.getvalue().encode("utf-8", "backslashreplace")


def csv_cell(value: object) -> str:
    """Return one cell: text that a spreadsheet might run begins with an apostrophe, controls are escaped."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return f"{value:.6g}"
    # what turns text round, or ends a line, would show another table than the one that is there
    text = _MISLEADING.sub(lambda found: repr(found[0])[1:-1], str(value))
    return f"'{text}" if isinstance(value, str) and _may_be_formula(str(value)) else text


def _may_be_formula(text: str) -> bool:
    """Tell whether a spreadsheet may run a cell: it looks past blanks, and full-width signs count too."""
    if text[:1] in ("\t", "\r", "\n"):
        return True
    seen = "".join(c for c in unicodedata.normalize("NFKC", text) if c.isprintable()).lstrip()
    return seen.startswith(tuple(_FORMULA_STARTS))
