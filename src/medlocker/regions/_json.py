"""Regions from one JSON file, of whatever tool."""

from __future__ import annotations

import json
from pathlib import Path

from medlocker.errors import InputError
from medlocker.files import read_limited
from medlocker.regions._annotated import AnnotationFiles
from medlocker.regions._coco import read_coco
from medlocker.regions._labelme import is_labelme
from medlocker.regions._table import Table
from medlocker.regions._via import is_via, read_via

MAX_JSON_BYTES = 1 << 29


def read_json(path: Path) -> Table:
    """Read COCO, VIA or one image's LabelMe; which one, its keys tell.

    Raises:
        InputError: Naming the place, if something is missing or wrong.
    """
    file = f"regions {path.name}"
    data = read_limited(path, max_bytes=MAX_JSON_BYTES, what="regions")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: expected JSON", subject=file) from error
    if is_via(content):
        return read_via(content, file)
    if is_labelme(content) and path.name.lower().endswith(".json"):
        files = AnnotationFiles(path.parent)
        files.add(path.name)
        return files.table()
    return read_coco(content, file)
