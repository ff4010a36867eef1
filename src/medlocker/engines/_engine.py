"""Where the work on single images is done: in this process, or in others on many machines.

An engine only works. What decides the result (order, randomness, sealing, ledger, journal) stays with the
run, so that the same run may be begun by one engine and ended by another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from medlocker.classifiers import Classifier
from medlocker.engines._strategy import make_search
from medlocker.logo import LearnedLogo, Logo
from medlocker.protect import DecoySource, Job, Marked, Outcome, Protector, Settings
from medlocker.provenance import Provenance
from medlocker.regions import Finder, Regions
from medlocker.search import BatchScheduler, Clock

IN_FLIGHT = 8
"""Images in memory at once, read ahead and being written included; more gains no speed."""


class RunCoordinator(Protocol):
    """What one image needs of the run; asked from several threads at once."""

    def randomness(self, purpose: str, original_digest: str) -> bytes:
        """Return 32 bytes, the same for the same original in one run."""

    def admit(self, original_digest: str) -> None:
        """Refuse an original that another release has marked already."""

    def commit(self, marked: Marked, outcome: Outcome) -> None:
        """Seal a marked image, put it into its place, and note it in ledger and journal."""


@dataclass(frozen=True, eq=False)
class Common:
    """What the images of a run share besides models; no secret is in it, so it may go to other machines.

    Args:
        regions: Keep-out boxes, or None.
        learned: Textures that searches start from, or None.
        workers: Threads that read and write, in each process.
        batch: Most pictures in one call of a model.
        donors: Regions of some images, which the decoys of veils are made like; or None.
        provenance: What marked files say of themselves; None for nothing.
    """

    logo: Logo
    settings: Settings
    regions: Regions | None
    learned: LearnedLogo | None
    workers: int
    batch: int
    donors: DecoySource | None = None
    provenance: Provenance | None = None

    def protector(
        self, classifiers: Sequence[Classifier], finder: Finder | None, gate: RunCoordinator
    ) -> Protector:
        """Return the pipeline of one image."""
        return Protector(
            classifiers=classifiers,
            logo=self.logo,
            settings=self.settings,
            search=make_search(self.settings, classifiers),
            regions=self.regions,
            finder=finder,
            randomness=gate.randomness,
            admit=gate.admit,
            commit=gate.commit,
            learned=self.learned,
            donors=self.donors,
            provenance=self.provenance,
        )

    def driver(self, classifiers: Sequence[Classifier], executor: Executor) -> BatchScheduler:
        """Return what runs the pipelines of several images at once."""
        return BatchScheduler(classifiers, batch=self.batch, in_flight=IN_FLIGHT, executor=executor)


@dataclass(frozen=True, eq=False)
class EngineRequest:
    """What an engine is asked to do.

    Args:
        common: What the images share.
        finder: Finds regions, or None.
        images: Folder of the marked files.
        count: Images that are not done yet, without copies of others; those take over what cannot be marked.
    """

    common: Common
    classifiers: Sequence[Classifier]
    finder: Finder | None
    gate: RunCoordinator
    images: Path
    count: int


class Engine(Protocol):
    """Works on images."""

    def run(self, jobs: Callable[[], Iterator[Job]]) -> Iterator[tuple[Job, Outcome]]:
        """Work on images and yield how each ended, as it is known; marked ones are committed by then.

        Args:
            jobs: Gives what can be started now; after an outcome was yielded there may be more.

        Raises:
            WriteError: If the system refuses; the run can be resumed.
        """

    @property
    def clock(self) -> Clock:
        """Where the time went, summed over all processes that drive models."""

    @property
    def facts(self) -> dict[str, Any]:
        """What the user may want to know of the engine, JSON-ready."""

    def close(self) -> None:
        """Stop whatever still works."""


EngineMaker = Callable[[EngineRequest], Engine]
