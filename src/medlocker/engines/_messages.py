"""What the driver and the workers of a run of several processes say to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medlocker import errors
from medlocker.classifiers import Prototypes
from medlocker.engines._engine import Common
from medlocker.errors import Code, MedlockerError, MissingExtraError, ModelError
from medlocker.protect import Job, Lesions, Marked, Outcome
from medlocker.search import Clock


@dataclass(frozen=True)
class Told:
    """An error on its way to another process, where it is raised as what it was.

    Args:
        kind: Name of its class.
        code: What happened, see :class:`medlocker.errors.Code`.
        subject: What the fact is about.
    """

    kind: str
    text: str
    hint: str = ""
    code: Code | None = None
    subject: str = ""

    @classmethod
    def of(cls, error: MedlockerError) -> Told:
        """Take an error apart."""
        return cls(type(error).__name__, str(error), error.hint, error.code, error.subject)

    def error(self, where: str = "") -> MedlockerError:
        """Put it together again.

        Args:
            where: Written in front of the fact.
        """
        kind = getattr(errors, self.kind, MedlockerError)
        if kind is MissingExtraError:  # its arguments are others
            kind = ModelError
        found: MedlockerError = kind(where + self.text, hint=self.hint, code=self.code, subject=self.subject)
        return found


@dataclass(frozen=True)
class ModelRecipe:
    """How a worker opens one surrogate, and what it must find.

    Args:
        path: Absolute.
        name: As the driver calls it.
        fingerprint: SHA-256 of its weights.
        has_gradients: Whether the driver's offers them: without, the search would be another one.
        prototypes: Clusters that stand for its classes, or None.
    """

    path: Path
    name: str
    fingerprint: str
    has_gradients: bool
    prototypes: Prototypes | None


@dataclass(frozen=True)
class FinderRecipe:
    """How a worker makes the finder, and what it must find.

    Args:
        segmenter: Its absolute path, or None.
        lesions: Which candidates are looked for without a segmenter.
        fingerprint: Of the driver's finder, None if it has none.
        anatomy: Whether it looks for optic disc and macula too.
    """

    segmenter: Path | None
    lesions: Lesions
    fingerprint: str | None
    anatomy: bool = False


@dataclass(frozen=True, eq=False)
class Setup:
    """What a worker begins with.

    Args:
        version: Of medlocker, at the driver.
        common: What the images share.
        images: Folder of the marked files, absolute.
        probe: Name of a file in it that the driver wrote.
    """

    version: str
    common: Common
    models: tuple[ModelRecipe, ...]
    finder: FinderRecipe
    images: Path
    probe: str
    token: str


@dataclass(frozen=True)
class WorkerReady:
    """Whether a worker can begin.

    Args:
        host: Name of its machine.
        reply: Name of the file that it wrote to show that it can.
        refused: Why it cannot, or None.
    """

    host: str
    pid: int
    reply: str = ""
    refused: Told | None = None


@dataclass(frozen=True)
class Verdict:
    """The driver's answer about one original, or one marked image.

    Args:
        refused: Why it must not be marked, or None.
        seeds: From a purpose to the 32 bytes of this image alone.
    """

    refused: Told | None = None
    seeds: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class ImageTask:
    """One image for a worker.

    Args:
        job: With absolute paths.
        series: What is known of its series already; None if it has none.
    """

    job: Job
    series: Verdict | None = None


@dataclass(frozen=True)
class Question:
    """What a worker cannot decide: whether an original may be marked, or a marked image be committed.

    Args:
        ticket: Comes back with the answer.
        original: Digest of the original.
        marked: The marked image, or None if it is only about to be.
    """

    ticket: int
    original: str
    marked: Marked | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True, eq=False)
class Report:
    """What happened at a worker since its last report.

    Args:
        ended: Outcomes; of marked images they are known already.
        clock: Where its time went since it began.
        peak_rss_mb: Most memory it has had, 10^6 bytes.
        broken: Why it cannot go on, or None.
    """

    questions: tuple[Question, ...]
    ended: tuple[Outcome, ...]
    clock: Clock
    peak_rss_mb: float
    broken: Told | None = None
