"""A few images marked for looking: the whole pipeline of an image, but nothing is kept, sealed or claimed."""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image as PillowImage

from medlocker.engines import Common, EngineRequest, LocalEngine
from medlocker.files import read_limited
from medlocker.formats import read_image
from medlocker.images import LIMITS, Image
from medlocker.pages import shrunk
from medlocker.protect import Job, Marked, Outcome, seeded
from medlocker.release._inputs import Input
from medlocker.release._run import Run
from medlocker.release._target import IMAGES
from medlocker.review.pictures import ImagePair, draw_boxes

_SIDE_PX = 720


@dataclass(frozen=True, eq=False)
class Previewed:
    """One image as it would be marked.

    Args:
        outcome: How it ended.
        before: The original with the outlines of what the marks keep out of; None if it was not marked.
        after: The marked image, as it is read from its file; None if it was not marked.
        regions: How many boxes the marks keep out of.
    """

    outcome: Outcome
    before: PillowImage.Image | None = None
    after: PillowImage.Image | None = None
    regions: int = 0


def preview_run(
    run: Run, *, count: int, progress: Callable[[Outcome], None] = lambda outcome: None
) -> list[Previewed]:
    """Mark a few images with the settings of a run, for looking.

    They are spread evenly over the inputs in their order, so the same inputs give the same ones. Every slice
    of a series is marked by itself. **The marks are not those of the run**, unless its seed is given: a run
    draws them from a secret of its own. Nothing is written but files in a folder of the system for temporary
    ones, which nobody else may read and which is gone at the end; no ledger is asked.

    Args:
        count: How many, at least 1; at most all.
        progress: Called with each outcome.

    Raises:
        ModelError: If a model cannot be used.
        WriteError: If the system refuses.
    """
    items = run.inputs.items
    count = min(count, len(items))
    chosen = [items[k * len(items) // count] for k in range(count)]
    with tempfile.TemporaryDirectory(prefix="medlocker-preview-") as folder:
        gate = _Catcher(run.settings.seed)
        common = Common(
            run.logo, run.settings, run.regions, run.learned, run.workers, run.batch, run.donors()
        )
        images = Path(folder) / IMAGES
        engine = LocalEngine(EngineRequest(common, run.classifiers, run.finder, gate, images, count))
        jobs = iter([_jobs(run, chosen, images)])
        outcomes: dict[int, Outcome] = {}
        try:
            for _, outcome in engine.run(lambda: next(jobs, iter(()))):
                outcomes[outcome.index] = outcome
                progress(outcome)
        finally:
            engine.close()
    return [gate.seen.get(k, Previewed(outcomes[k])) for k in sorted(outcomes)]


def _jobs(run: Run, chosen: Sequence[Input], folder: Path) -> Iterator[Job]:
    for k, item in enumerate(chosen):
        target = folder.joinpath(*item.output_name.split("/"))
        yield Job(
            k,
            item.name,
            item.path,
            item.output_name,
            target,
            run.class_indices(item.name),
            new_mark=run.new_marks.get(item.name),
        )


class _Catcher:
    """Takes pictures of marked files instead of sealing them."""

    def __init__(self, seed: int | None) -> None:
        self.seen: dict[int, Previewed] = {}
        self._secret = secrets.token_bytes(32)
        self._seeded = None if seed is None else partial(seeded, seed)

    def randomness(self, purpose: str, original_digest: str) -> bytes:
        """Return 32 bytes for one image."""
        if self._seeded is not None:
            return self._seeded(purpose, original_digest)
        return hashlib.sha256(self._secret + f"{purpose} {original_digest}".encode("ascii")).digest()

    def admit(self, original_digest: str) -> None:
        """Admit every image: nothing is claimed."""

    def commit(self, marked: Marked, outcome: Outcome) -> None:
        """Read the marked file as anybody would, and remove it."""
        job = marked.job

        pair = ImagePair(_read(job.source, job.name), _read(marked.temporary, job.output_name))
        marked.temporary.unlink()
        before, after = pair.shown()
        framed = shrunk(draw_boxes(before, marked.kept_out), side_px=_SIDE_PX)
        self.seen[outcome.index] = Previewed(
            outcome, framed, shrunk(after, side_px=_SIDE_PX), len(marked.kept_out)
        )


def _read(path: Path, name: str) -> Image:
    return read_image(read_limited(path, max_bytes=LIMITS.max_file_bytes, what="image"), name=name)
