"""Regions from a folder of YOLO text files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medlocker.errors import InputError
from medlocker.files import read_limited
from medlocker.regions._csv import to_number
from medlocker.regions._table import Table, TableBuilder

MAX_TEXT_BYTES = 1 << 24
CLASSES_FILE = "classes.txt"

_BOX_FIELDS = (5, 6)  # class cx cy w h, and perhaps a detector's confidence


def read_yolo(root: Path, names: Sequence[str]) -> Table:
    """Read one text file per image: ``class cx cy w h`` or ``class x1 y1 x2 y2 x3 y3 ...``, in shares of 1.

    An empty file says that its image has no regions. The kind is the class's line in ``classes.txt`` at the
    top of the folder, else its number.

    Args:
        names: Relative paths of the text files, without ``classes.txt``.

    Raises:
        InputError: Naming file and line, if a number is missing or wrong.
    """
    kinds = _lines(root / CLASSES_FILE, CLASSES_FILE) if (root / CLASSES_FILE).is_file() else []
    builder = TableBuilder(normalized=True)

    for name in names:
        image = name[: -len(".txt")]
        builder.add_image(image)
        for number, line in enumerate(_lines(root / name, name), 1):
            if not line.strip():
                continue
            try:
                index, box = _row(line.split())
                kind = kinds[index].strip() if index < len(kinds) else ""
                builder.add(image, kind or str(index), box, line=number)
            except ValueError as error:
                raise InputError(f"{_place(image, number)}: {error}") from error
    return builder.build(_place)


def _place(image: str, line: int) -> str:
    return f"regions {image}.txt, line {line}"


def _lines(path: Path, name: str) -> list[str]:
    try:
        return read_limited(path, max_bytes=MAX_TEXT_BYTES, what="regions").decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"regions {name}: expected UTF-8 text", subject=name) from error


def _row(fields: Sequence[str]) -> tuple[int, tuple[float, float, float, float]]:
    if not (fields[0].isascii() and fields[0].isdigit() and len(fields[0]) < 10):
        raise ValueError(f"expected a class number, got {fields[0]!r:.40}")
    values = [to_number(field) for field in fields[1:]]
    if len(fields) in _BOX_FIELDS:
        center_x, center_y, width, height = values[:4]
        return int(fields[0]), (center_x - width / 2, center_y - height / 2, width, height)
    if len(values) < 6 or len(values) % 2:
        raise ValueError(f"expected class cx cy w h or class x1 y1 x2 y2 x3 y3 ..., got {len(fields)} values")
    xs, ys = values[0::2], values[1::2]
    # min and max would pass over NaN
    if any(value != value for value in values):
        raise ValueError("expected finite numbers")
    return int(fields[0]), (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))
