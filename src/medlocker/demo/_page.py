"""The demo's page: one HTML file with everything in it, readable without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medlocker.demo._contactsheet import caption
from medlocker.demo._run import DemoResult
from medlocker.files import write_atomic
from medlocker.pages import render_page, thumbnail

_SIDE_PX = 320


def write_page(story: DemoResult, path: Path) -> None:
    """Write the page."""
    figures = [_figure(story, i) for i in range(len(story.samples.names))]
    page = render_page(
        "demo.html", folders=[Path(__file__).parent / "templates"], story=story, figures=figures
    )
    write_atomic(path, page, overwrite=True)


def _figure(story: DemoResult, i: int) -> dict[str, Any]:
    name = story.samples.names[i]
    return {
        "name": name,
        "before": thumbnail(story.samples.images / name, side_px=_SIDE_PX),
        "after": thumbnail(story.release / "images" / name, side_px=_SIDE_PX),
        "answers": [caption(story, row, i) for row in ("original", "protected")],
    }
