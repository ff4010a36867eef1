"""A page of a few images as they would be marked, so that options can be tried before anything is claimed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from medlocker.api.listener import Listener
from medlocker.errors import Failure
from medlocker.files import write_atomic
from medlocker.pages import render_page
from medlocker.protect import Outcome
from medlocker.release import Previewed, Run, preview_run

MOST_IMAGES = 100
"""A page of more is too large to open."""
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Preview:
    """What a preview made.

    Args:
        page: The file to look at. **It shows originals.**
        images: How many were tried.
        marked: How many of them could be marked.
        failures: Why the others could not.
        notes: What a user should know, in order.
    """

    page: Path
    images: int
    marked: int
    failures: tuple[Failure, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def facts(self) -> dict[str, Any]:
        """The same, as `medlocker protect --preview N --json` prints it."""
        return {
            "preview": str(self.page),
            "images": self.images,
            "marked": self.marked,
            "failed": [one.to_json() for one in self.failures],
        }


def page_of(release: Path) -> Path:
    """Return where the preview of a release lies: beside it."""
    return release.with_name(f"{release.name}.preview.html")


def write_preview(run: Run, *, count: int, listener: Listener) -> Preview:
    """Mark a few images and write the page; an earlier preview is replaced.

    Raises:
        MedlockerError: If the run cannot be done so.
    """
    total = min(count, len(run.inputs.items))
    with listener.steps() as advance:
        advance("previewing", 0, total)

        def progress(outcome: Outcome) -> None:
            advance("previewing", 1, total)

        shown = preview_run(run, count=count, progress=progress)
    page = page_of(run.release)
    data = render_page("preview.html", folders=[_TEMPLATES], **_values(run, shown))
    write_atomic(page, data, overwrite=True, mode=0o600)
    failures = tuple(one.outcome.failure for one in shown if one.after is None)
    return Preview(page, len(shown), len(shown) - len(failures), failures, tuple(listener.notes))


def _values(run: Run, shown: Sequence[Previewed]) -> dict[str, Any]:
    decibels = [one.outcome.psnr for one in shown if one.outcome.psnr is not None]
    models = []
    for k, model in enumerate(run.classifiers):
        marked = [one.outcome for one in shown if one.after is not None and one.outcome.clean_correct[k]]
        models.append((model.name, len(marked), sum(outcome.fooled[k] for outcome in marked)))
    return {
        "shown": shown,
        "marked": [one for one in shown if one.after is not None],
        "total": len(run.inputs.items),
        "settings": run.settings,
        "options": [(name, value) for name, value in run.settings.to_json().items() if _is_told(name, value)],
        "models": models,
        "median_db": median(decibels) if decibels else None,
        "least_db": min(decibels, default=None),
        "names": [model.name for model in run.classifiers],
    }


def _is_told(name: str, value: Any) -> bool:
    """Tell whether an option says something; a style is numbers that nobody reads."""
    return name != "style" and value not in (None, False, (), [])
