"""Decisions as a table for other programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from medlocker.files import write_atomic
from medlocker.review._review import Review
from medlocker.safecsv import to_csv

_COLUMNS = (
    "image", "original", "decision", "reason", "opacity", "size", "keep_out", "reviewer", "time", "psnr_db",
    "concerns", "sha256",
)  # fmt: skip


def write_csv(review: Review, path: Path, *, overwrite: bool = False) -> None:
    """Write one row for each image, worst first; images that wait for a decision have none.

    Raises:
        OutputExistsError: If the file is there.
        WriteError: If the system refuses.
    """
    write_atomic(path, to_csv(_COLUMNS, _rows(review)), overwrite=overwrite, mode=0o600)


def _rows(review: Review) -> Iterable[Sequence[object]]:
    for item in review.items:
        decision = review.decision(item.entry.index)
        new = None if decision is None else decision.new_mark
        boxes = () if new is None else new.keep_out
        yield (
            item.entry.name,
            item.original_name,
            "" if decision is None else decision.verdict,
            "" if decision is None else decision.why,
            None if new is None else new.opacity,
            None if new is None else new.size,
            "; ".join(f"{box.x},{box.y},{box.width},{box.height}" for box in boxes),
            "" if decision is None else decision.reviewer,
            "" if decision is None else decision.time,
            item.facts.psnr_db,
            "; ".join(item.concerns),
            item.entry.file,
        )
