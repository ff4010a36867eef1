"""Adding up a run: the numbers that `protect` prints."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from medlocker.errors import Failure
from medlocker.machine import peak_rss_mb
from medlocker.protect import Outcome
from medlocker.search import Clock


@dataclass
class Summary:
    """Counts over the images of a run, including those finished before it was resumed.

    Args:
        models: Names of the surrogates.
        images: How many images the input holds.
        regions: Where keep-out regions come from, as certificates say it.
    """

    models: tuple[str, ...]
    images: int
    regions: str = "none"
    with_found: int = 0
    marked: int = 0
    labelled: int = 0
    shrunk: int = 0
    followed: int = 0
    evaluations: int = 0
    clean_correct: list[int] = field(default_factory=list)
    fooled: list[int] = field(default_factory=list)
    skipped: list[Failure] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    marks: int = 0
    area: float = 0.0
    likeness: float = 0.0
    least_likeness: float = 1.0
    against: dict[str, int] = field(default_factory=dict)
    psnrs: array[float] = field(default_factory=lambda: array("f"))
    """4 bytes an image: the median wants them all."""

    def __post_init__(self) -> None:
        self.clean_correct = [0] * len(self.models)
        self.fooled = [0] * len(self.models)

    def add(self, outcome: Outcome) -> None:
        """Count one image."""
        self.evaluations += outcome.evaluations
        if outcome.status == "skipped":
            self.skipped.append(outcome.failure)
        elif outcome.status == "failed":
            self.failed.append(outcome.failure)
        else:
            self._add_marked(outcome)

    def travel(self, names: Iterable[str]) -> None:
        """Take files that travel beside the images out of the images and of those that were skipped."""
        gone = set(names)
        kept = [failure for failure in self.skipped if failure.name not in gone]
        self.images -= len(self.skipped) - len(kept)
        self.skipped = kept

    def _add_marked(self, outcome: Outcome) -> None:
        self.marked += 1
        self.labelled += outcome.labelled
        self.shrunk += outcome.shrunk
        self.followed += outcome.followed
        self.with_found += outcome.found_regions > 0
        self.marks += outcome.marks
        self.area += outcome.area
        self.likeness += outcome.likeness
        self.least_likeness = min(self.least_likeness, outcome.likeness)
        if outcome.psnr is not None:
            self.psnrs.append(outcome.psnr)
        for name in outcome.withstood:
            self.against[name] = self.against.get(name, 0) + 1
        for note in outcome.notes:
            self.notes[note] = self.notes.get(note, 0) + 1
        for k, (correct, fooled) in enumerate(zip(outcome.clean_correct, outcome.fooled, strict=True)):
            self.clean_correct[k] += correct
            self.fooled[k] += correct and fooled

    def to_json(self, clock: Clock, seconds: float) -> dict[str, Any]:
        """Return the object that `protect --json` prints.

        ``clean_correct`` and ``fooled`` at the top are those of the first model; ``models`` has all.
        """
        return {
            "images": self.images,
            "marked": self.marked,
            # null: no model was asked
            "clean_correct": self.clean_correct[0] if self.models else None,
            "fooled": self.fooled[0] if self.models else None,
            "models": [
                {"name": name, "clean_correct": correct, "fooled": fooled}
                for name, correct, fooled in zip(self.models, self.clean_correct, self.fooled, strict=True)
            ],
            "against": self.against,
            "labelled": self.labelled,
            "shrunk": self.shrunk,
            # images that carry the marks of another one of their series
            "series": self.followed,
            # null: whoever gave the regions knows, this program does not
            "regions": {
                "source": self.regions,
                "clinician": None if self.regions in ("given", "given + unlisted: none") else False,
                "marked_with_findings": self.with_found,
            },
            "marks": {
                "mean_count": round(self.marks / max(self.marked, 1), 3),
                "mean_area": round(self.area / max(self.marked, 1), 5),
                "mean_likeness": round(self.likeness / max(self.marked, 1), 4),
                "least_likeness": self.least_likeness,
                "median_psnr_db": round(median(self.psnrs), 2) if self.psnrs else None,
                "least_psnr_db": round(min(self.psnrs), 2) if self.psnrs else None,
            },
            "skipped": [one.to_json() for one in sorted(self.skipped)],
            "failed": [one.to_json() for one in sorted(self.failed)],
            "notes": self.notes,
            "evaluations": self.evaluations,
            "seconds": {
                "total": round(seconds, 3),
                "model": round(clock.model, 3),
                "compose": round(clock.compose, 3),
                "search": round(clock.think, 3),
                "waiting_for_files": round(clock.idle, 3),
                **{f"{stage}_threads": round(spent, 3) for stage, spent in sorted(clock.stages.items())},
            },
            "images_per_second": round(self.marked / seconds, 3) if seconds > 0 else 0.0,
            "peak_rss_mb": round(peak_rss_mb(), 1),
        }
