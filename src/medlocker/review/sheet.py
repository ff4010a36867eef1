"""A page to look at: the images of a review before and after, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medlocker.errors import MedlockerError
from medlocker.files import write_atomic
from medlocker.pages import render_page, shrunk
from medlocker.review._items import ReviewItem
from medlocker.review._review import Review
from medlocker.review.pictures import draw_boxes, load_pair

TEMPLATES = Path(__file__).parent / "templates"
_SIDE_PX = 640


def write_sheet(review: Review, path: Path, *, first: int, overwrite: bool = False) -> None:
    """Write a page with the first images of a review; readable by its owner alone, as it shows originals.

    Args:
        path: The new file.
        first: How many images, those to look at first at the front.
        overwrite: Replace an existing file.

    Raises:
        OutputExistsError: If the file is there.
        WriteError: If the system refuses.
    """
    figures = [_figure(review, item) for item in review.items[:first]]
    page = render_page("sheet.html", folders=[TEMPLATES], figures=figures, counts=review.counts)
    write_atomic(path, page, overwrite=overwrite, mode=0o600)


def describe(item: ReviewItem) -> str:
    """Return what marking found out of an image, in a few words."""
    facts, parts = item.facts, []
    if facts.psnr_db is not None:
        parts.append(f"PSNR {facts.psnr_db:.1f} dB")
    if facts.asked:
        parts.append(f"{facts.misled} of {facts.asked} models misled that were right")
    parts.append(f"{facts.regions} regions kept out" if facts.regions else "nothing kept out")
    return ", ".join(parts)


def _figure(review: Review, item: ReviewItem) -> dict[str, Any]:
    decision = review.decision(item.entry.index)
    facts = {
        "name": item.entry.name,
        "decision": "" if decision is None else decision.verdict,
        "why": "" if decision is None else decision.why,
        "concerns": [str(concern) for concern in item.concerns],
        "told": describe(item),
        "failed": "",
    }
    try:
        before, after = load_pair(review, item).shown()
    except MedlockerError as error:
        return facts | {"failed": str(error)}
    framed = draw_boxes(before, item.facts.kept_out)
    return facts | {"before": shrunk(framed, side_px=_SIDE_PX), "after": shrunk(after, side_px=_SIDE_PX)}
