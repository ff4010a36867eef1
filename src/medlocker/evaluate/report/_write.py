"""Writing the report's folder, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medlocker.evaluate._attacked import Removal
from medlocker.evaluate._numbers import summarise
from medlocker.evaluate._qualities import summarise_quality
from medlocker.evaluate._run import Result
from medlocker.evaluate.report._csv import per_image_csv, removal_csv, summary_csv
from medlocker.evaluate.report._json import ReportNotes, to_json
from medlocker.evaluate.report._page import report_page
from medlocker.files import check_output_folder, replacing_folder, write_atomic

REPORT_FILES = frozenset({"report.json", "report.html", "per_image.csv", "summary.csv", "removal.csv"})


def check_report(out: Path, *, overwrite: bool) -> None:
    """Refuse a report folder that is in the way, before any work.

    Raises:
        OutputExistsError: If it exists, or with ``overwrite`` holds anything else than a report.
    """
    check_output_folder(
        out,
        overwrite=overwrite,
        ours=_is_ours,
        what="a folder made by `evaluate`",
    )


def _is_ours(folder: Path) -> bool:
    entries = list(folder.iterdir())
    names = {entry.name for entry in entries}
    regular = all(entry.is_file() and not entry.is_symlink() for entry in entries)
    return regular and "report.json" in names and names <= REPORT_FILES


def write_report(
    result: Result, out: Path, *, extra: ReportNotes, removal: Removal | None = None, overwrite: bool = False
) -> dict[str, Any]:
    """Write ``report.json``, ``report.html``, ``per_image.csv``, ``summary.csv``; ``removal.csv`` if asked.

    Args:
        out: The folder, made whole or not at all.
        extra: What was left out, and why.
        removal: What attackers got, or None.
        overwrite: Replace an earlier report.

    Returns:
        What ``report.json`` holds.

    Raises:
        OutputExistsError: See :func:`check_report`.
        WriteError: If the system refuses.
    """
    numbers = summarise(result)
    qualities = summarise_quality(result)
    value = to_json(numbers, qualities, extra=extra, removal=removal)
    files: Sequence[tuple[str, bytes]] = (
        ("report.json", (json.dumps(value, indent=2, allow_nan=False) + "\n").encode("ascii")),
        ("per_image.csv", per_image_csv(numbers)),
        ("summary.csv", summary_csv(numbers)),
        ("report.html", report_page(numbers, qualities, extra=extra, removal=removal)),
        *([("removal.csv", removal_csv(removal))] if removal is not None else ()),
    )
    with replacing_folder(out, check=lambda: check_report(out, overwrite=overwrite)) as folder:
        for name, data in files:
            write_atomic(folder / name, data)
    return value
