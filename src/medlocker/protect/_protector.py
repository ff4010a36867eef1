"""The way of one image: read, search, mark, write, read again, judge, hand over for sealing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from medlocker.classifiers import Classifier
from medlocker.errors import (
    Failure,
    InputError,
    MedlockerError,
    NoPixelsError,
    NoRoomError,
    WriteError,
)
from medlocker.files import check_relative_name, read_limited
from medlocker.formats import influence_box, read_image
from medlocker.geometry import Box
from medlocker.images import LIMITS, Image, content_digest, viewed
from medlocker.logo import LearnedLogo, Logo
from medlocker.mark import Mark
from medlocker.marking import covered_px, likeness
from medlocker.protect._attempt import CandidateWriter, Canvases, Original, ask_about
from medlocker.protect._donors import DecoySource
from medlocker.protect._keepout import find_placement_avoiding
from medlocker.protect._outcome import Job, Marked, Outcome
from medlocker.protect._placementspace import PlacementSpace, find_placement_space, pose_problem
from medlocker.protect._robustness import attacks_for
from medlocker.protect._series import (
    SharedMarks,
    check_marks,
    find_series_regions,
    given_boxes,
    merge_findings,
    series_error,
)
from medlocker.protect._settings import Settings
from medlocker.protect.legibility import VisibleChange
from medlocker.protect.veiled import (
    check_free,
    check_legible,
    check_seen,
    draw,
    reduce_opacity,
    wanted_classes,
)
from medlocker.provenance import Provenance
from medlocker.regions import Finder, Findings, Regions, finder_for, lesion_finder
from medlocker.search import BackgroundTask, Found, ModelAnswers, Preview, Search, Task
from medlocker.veil import AnyMark, Veil

_MOST_FAINTER = 3
"""How often a veil is made fainter; rounding and blocks of JPEG make the first guess miss by a little."""


@dataclass(frozen=True, eq=False)
class Protector:
    """Everything that the images of one run share.

    Args:
        regions: Keep-out boxes, or None.
        finder: Finds more of them in each image, or None.
        randomness: From a purpose and the digest of an original to 32 bytes, the same for the same original
            in one run.
        admit: Called with the digest of an original before anything is done to it; may refuse it.
        learned: Textures that searches start from, or None.
        commit: Seals a marked image and puts it into its place; runs in a thread, once for each image.
        donors: Regions of other images, which the decoys of veils are made like; or None.
        provenance: What marked files say of themselves; None for nothing.
    """

    classifiers: Sequence[Classifier]
    logo: Logo
    settings: Settings
    search: Search
    regions: Regions | None
    randomness: Callable[[str, str], bytes]
    admit: Callable[[str], None]
    commit: Callable[[Marked, Outcome], None]
    learned: LearnedLogo | None = None
    finder: Finder | None = None
    donors: DecoySource | None = None
    provenance: Provenance | None = None

    def task(self, job: Job) -> Task[Outcome]:
        """Return the work on one image, for :class:`medlocker.search.BatchScheduler`.

        Whatever goes wrong with this image ends in its outcome, not in an exception; only errors of a model
        or of the place that is written to end the run.
        """
        return _guarded(job, self.steps(job))

    def steps(self, job: Job) -> Task[Outcome]:
        """Return the work on one image, as :meth:`task` does, but let what goes wrong be raised.

        Raises:
            MedlockerError: If the image cannot be marked.
        """
        asked = self if job.new_mark is None else replace(self, settings=self.settings.asked(job.new_mark))
        if job.lead is not None:
            return asked._follow(job, job.lead)
        return asked._veil(job) if self.settings.preset == "veil" else asked._search(job)

    def _veil(self, job: Job) -> Generator[Any, Any, Outcome]:
        """Draw veils by key, and keep the one whose written file comes nearest to the aim."""
        yield from self._admit_series(job)
        original: Original = yield BackgroundTask(lambda: self._open_spared(job), "read")
        colors = viewed(original.image)
        cleans = yield BackgroundTask(lambda: [model.canvas(colors) for model in self.classifiers], "read")
        labels, clean_correct = yield from self._labels(job, cleans)
        seed = self._randomness(job, "veil", original.digest)
        wanted = wanted_classes(self.settings, self.classifiers, key=seed)
        attempt = CandidateWriter(self, job, original, labels, seed, wanted=wanted)
        try:
            evaluations = len(self.classifiers)
            best: tuple[float, Veil] | None = None
            for number in range(self.settings.veils_for(len(self.classifiers))):
                key = hashlib.sha256(seed + number.to_bytes(4, "big")).digest()[:16]
                veil = yield BackgroundTask(partial(self._draw, original, key), "read")
                worth = yield from self._try(attempt, veil)
                evaluations += len(self.classifiers)
                if best is None or worth > best[0]:
                    best = worth, veil
                if worth > 0 or not self.classifiers:
                    break
            if best is not None and best[1].key != veil.key:
                yield from self._try(attempt, best[1])
                evaluations += len(self.classifiers)
            outcome = Outcome(
                index=job.index,
                name=job.name,
                status="marked",
                clean_correct=clean_correct,
                evaluations=evaluations,
                shrunk=attempt.fainter,
                notes=original.findings.notes,
            )
            return (yield from self._hand_over(attempt, outcome))
        except BaseException:
            attempt.discard()
            raise

    def _randomness(self, job: Job, purpose: str, digest: str) -> bytes:
        """Return 32 bytes; of an image that is marked again others than the first time, whatever the seed."""
        return self.randomness(purpose if job.new_mark is None else f"{purpose}-again", digest)

    def _try(self, attempt: CandidateWriter, veil: Veil) -> Generator[Any, Any, float]:
        """Write a veil as faint as legibility asks for, and return how near it comes to the aim."""
        yield from attempt.write((veil,))
        attempt.fainter = False
        for _ in range(_MOST_FAINTER):
            weaker = reduce_opacity(veil, psnr_db=attempt.seen.psnr_db, settings=self.settings)
            if weaker is None:
                break
            veil, attempt.fainter = weaker, True
            yield from attempt.write((veil,))
        check_seen(attempt.seen.psnr_db)
        check_legible(attempt.seen.psnr_db, settings=self.settings)
        margins = yield from attempt.ask()
        if self.settings.aim == "wrong":
            return float(margins.min(initial=np.inf))
        return attempt.nearness

    def _draw(self, original: Original, key: bytes) -> Veil:
        from_lesions = self.regions is not None or lesion_finder(self.finder) is not None
        return draw(
            self.settings,
            self.logo,
            original.image,
            original.boxes,
            key=key,
            with_decoys=self.settings.decoys and from_lesions,
            telling_nothing=original.findings.firm,
            donors=self.donors,
        )

    def _admit_series(self, job: Job) -> Generator[Any, Any, None]:
        """Ask whether the series of an image may be marked, and look what all its images keep out."""
        if job.series is not None:
            with series_error():
                self.admit(job.series.digest)
            if self.finder is not None:
                yield from find_series_regions(job.series, self._findings_of, beside=job.name)

    def _search(self, job: Job) -> Generator[Any, Any, Outcome]:
        yield from self._admit_series(job)
        loaded: _Loaded = yield BackgroundTask(lambda: self._load(job), "read")
        labels, clean_correct = yield from self._labels(job, loaded.preview.clean_canvases)
        seed = self._randomness(job, "search", loaded.digest)
        learned = self._learned(loaded.image, labels)
        problem = pose_problem(
            self.settings, loaded.preview, room=loaded.room, labels=labels, learned=learned
        )
        attempt = CandidateWriter(self, job, loaded, labels, seed)
        try:
            found: Found = yield from self.search.run(
                problem, rng=np.random.default_rng(list(seed)), judge=attempt.judge
            )
            extra = 0
            if attempt.written is None or attempt.written.marks != found.marks:
                yield from attempt.judge(found.marks)
                extra = len(self.classifiers) * problem.looks
            outcome = Outcome(
                index=job.index,
                name=job.name,
                status="marked",
                clean_correct=clean_correct,
                evaluations=found.evaluations + len(self.classifiers) + extra,
                shrunk=loaded.room.shrunk,
                notes=loaded.notes,
            )
            return (yield from self._hand_over(attempt, outcome))
        except BaseException:
            attempt.discard()
            raise

    def _follow(self, job: Job, lead: SharedMarks) -> Generator[Any, Any, Outcome]:
        """Put the marks of its series on an image, without a search."""
        original: Original = yield BackgroundTask(lambda: self._open_follower(job, lead), "read")
        colors = viewed(original.image)
        cleans = yield BackgroundTask(lambda: [model.canvas(colors) for model in self.classifiers], "read")
        labels, clean_correct = yield from self._labels(job, cleans)
        attempt = CandidateWriter(self, job, original, labels, lead.seed)
        try:
            yield from attempt.judge(lead.marks)
            outcome = Outcome(
                index=job.index,
                name=job.name,
                status="marked",
                clean_correct=clean_correct,
                evaluations=(1 + attempt.looks) * len(self.classifiers),
                notes=original.findings.notes,
                followed=True,
            )
            return (yield from self._hand_over(attempt, outcome))
        except BaseException:
            attempt.discard()
            raise

    def _labels(
        self, job: Job, cleans: Canvases
    ) -> Generator[Any, Any, tuple[tuple[int, ...], tuple[bool, ...]]]:
        """Return, per model, the class that must not be answered, and whether it is the answer now."""
        if not self.classifiers:
            return (), ()
        # only the answers are of interest: any label will do
        first: ModelAnswers = yield ask_about([cleans], (0,) * len(self.classifiers))
        answered = tuple(int(k) for k in first.top[0])
        given = job.labels or (None,) * len(answered)
        labels = tuple(k if label is None else label for k, label in zip(answered, given, strict=True))
        return labels, tuple(k == label for k, label in zip(answered, labels, strict=True))

    def _hand_over(self, attempt: CandidateWriter, outcome: Outcome) -> Generator[Any, Any, Outcome]:
        """Complete the outcome of an image that is written and judged, and let it be sealed."""
        written = attempt.written
        if written is None:
            raise InputError("the search found no mark")  # a search's bug: it always tries one
        job, original = written.job, attempt.original
        area, like = yield BackgroundTask(
            lambda: self._looks(original.image, written.marks, attempt.seen), "write"
        )
        outcome = replace(
            outcome,
            labelled=any(label is not None for label in job.labels),
            fooled=attempt.fooled,
            withstood=attempt.withstood,
            size_px=written.marks[0].size_px,
            notes=(*outcome.notes, *written.notes),
            found_regions=len(original.findings.boxes),
            marks=len(written.marks),
            area=area,
            likeness=like,
            psnr=round(min(attempt.seen.psnr_db, 99.0), 2),
        )
        yield BackgroundTask(lambda: self.commit(written, outcome), "seal")
        return outcome

    def _looks(self, image: Image, marks: Sequence[AnyMark], seen: VisibleChange) -> tuple[float, float]:
        """Return the share of the image that marks touch, and how like the plain logo the least like is."""
        plain = [mark for mark in marks if isinstance(mark, Mark)]
        if len(plain) < len(marks):  # a veil lies over everything, and repeats the logo as it is
            return round(seen.area, 6), 1.0
        area = sum(covered_px(mark, logo=self.logo) for mark in plain) / (image.width * image.height)
        return round(area, 6), round(min(likeness(mark, logo=self.logo) for mark in plain), 4)

    def _learned(self, image: Image, labels: tuple[int, ...]) -> str:
        """Return the texture that the search starts from, or nothing."""
        if self.learned is None or not self.settings.texture_levels:
            return ""
        name = self.classifiers[0].classes[labels[0]]
        return self.learned.texture_for(name, grey=image.kind in ("grey", "grey-alpha"))

    def _open(self, job: Job) -> Original:
        """Read an image and what must be kept out of it; runs in a thread."""
        _check_name(job.name)
        image, file_digest = job.image, ""
        if image is None:
            data = read_limited(job.source, max_bytes=LIMITS.max_file_bytes, what="image")
            image, file_digest = read_image(data, name=job.name), hashlib.sha256(data).hexdigest()
        digest = content_digest(image)
        self.admit(digest)
        boxes = (*given_boxes(self.regions, image, (job.name,)), *_asked_boxes(job, image))
        known = job.series.findings.get(job.name) if job.series is not None else None
        findings = known or self._findings(job.name, image)
        return Original(image, file_digest, digest, boxes, findings)

    def _open_follower(self, job: Job, lead: SharedMarks) -> Original:
        """Read an image that gets the marks of its series, and check that they keep out of its regions."""
        original = self._open(job)
        original = replace(original, boxes=(*original.boxes, *original.findings.firm))
        if self.finder is not None and not self.finder.droppable:
            original = replace(original, boxes=(*original.boxes, *original.findings.boxes))
        check_marks(lead, original.image, original.boxes, logo=self.logo)
        return original

    def _open_spared(self, job: Job) -> Original:
        """Read an image and all that its veil keeps out; runs in a thread."""
        own = self._open(job)
        boxes, findings = self._kept_out(job, own)
        _, boxes, notes = find_placement_avoiding(
            boxes,
            findings,
            size=(own.image.width, own.image.height),
            finder=self.finder,
            room=partial(check_free, width=own.image.width, height=own.image.height),
        )
        return replace(own, boxes=boxes, findings=replace(own.findings, notes=notes, firm=findings.firm))

    def _kept_out(self, job: Job, own: Original) -> tuple[tuple[Box, ...], Findings]:
        """Return what is given and what is found, of all images of a series."""
        if job.series is None:
            return own.boxes, own.findings
        others = [name for name in job.series.members if name != job.name]
        found = job.series.findings
        findings = merge_findings([own.findings, *(found[name] for name in others if name in found)])
        return given_boxes(self.regions, own.image, (job.name, *others)), findings

    def _load(self, job: Job) -> _Loaded:
        """Read an image and find out where the logo may go; runs in a thread."""
        own = self._open(job)
        image = own.image
        boxes, findings = self._kept_out(job, own)
        preview = Preview(
            image,
            self.classifiers,
            logo=self.logo,
            against=attacks_for(self.settings, image, self.classifiers),
        )
        room, boxes, notes = find_placement_avoiding(
            boxes,
            findings,
            size=(image.width, image.height),
            finder=self.finder,
            room=partial(
                find_placement_space,
                self.settings,
                self.logo,
                width=image.width,
                height=image.height,
                step=preview.step,
                seed=self._randomness(job, "search", own.digest),
                key=self.randomness("harden", own.digest),
            ),
        )
        return _Loaded(image, own.file_digest, own.digest, boxes, own.findings, preview, room, notes)

    def _findings_of(self, name: str, source: Path) -> Findings:
        """Return what the finder finds in a file; runs in a thread."""
        data = read_limited(source, max_bytes=LIMITS.max_file_bytes, what="image")
        return self._findings(name, read_image(data, name=name))

    def _findings(self, name: str, image: Image) -> Findings:
        """Return what the finder finds in any frame, grown by what marking next to it would change."""
        finder = finder_for(self.finder, self.regions, name)
        if finder is None:
            return Findings(())
        frames = image.frames
        views = (None,) if frames is None else (frames[i] for i in range(len(frames)))
        found = merge_findings([finder.find(viewed(image, view)) for view in views])
        boxes, firm = (tuple(influence_box(image, box) for box in some) for some in (found.boxes, found.firm))
        return replace(found, boxes=boxes, firm=firm)


@dataclass(frozen=True, eq=False)
class _Loaded(Original):
    preview: Preview
    room: PlacementSpace
    notes: tuple[str, ...]


def _asked_boxes(job: Job, image: Image) -> Iterator[Box]:
    """Yield the regions that a review asked to keep clear."""
    for box in () if job.new_mark is None else job.new_mark.keep_out:
        yield influence_box(image, box.grown(0, within=(image.width, image.height)))


def _check_name(name: str) -> None:
    """Refuse what the public index could not hold, before any work is spent on it."""
    check_relative_name(name, what="image")
    if any(127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 for c in name):
        raise InputError(f"image: expected a name of printable Unicode, got {name!r:.80}")


def _guarded(job: Job, steps: Generator[Any, Any, Outcome]) -> Task[Outcome]:
    """Turn what goes wrong with one image into its outcome."""
    try:
        return (yield from steps)
    except (NoRoomError, NoPixelsError) as error:
        return Outcome.left_out(job.index, "skipped", Failure.of(error, job.name))
    except WriteError:
        raise
    except (MedlockerError, MemoryError) as error:
        return Outcome.left_out(job.index, "failed", Failure.of(error, job.name))
