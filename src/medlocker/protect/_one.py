"""The way of one image: read, search, mark, write, read again, judge, hand over for sealing."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medlocker._files import TEMPORARY_PREFIX, check_relative_name, make_folder, read_limited, write_atomic
from medlocker.classifiers import Classifier
from medlocker.errors import (
    InputError,
    MedlockerError,
    NoPixelsError,
    NoRoomError,
    UnsupportedImageError,
    WriteError,
)
from medlocker.geometry import Box
from medlocker.images import (
    LIMITS,
    Image,
    Pixels,
    content_digest,
    metadata_digest,
    read_image,
    viewed,
)
from medlocker.logo import LearnedLogo, Logo
from medlocker.mark import Mark
from medlocker.marking import covered_px, kept, likeness, mark_file, reach
from medlocker.protect._against import attacked_views, attacks_for, withstood
from medlocker.protect._keepout import beside
from medlocker.protect._legibility import Seen, seen_change
from medlocker.protect._outcome import Job, Marked, Outcome
from medlocker.protect._room import Room, find_room, pose_problem
from medlocker.protect._series import Lead, about_series, check_marks, given_boxes, look_at, together
from medlocker.protect._settings import Settings
from medlocker.protect._veiled import check_free, check_legible, check_seen, draw, fainter, wanted_classes
from medlocker.regions import Finder, Findings, Regions, lesion_finder
from medlocker.search import Answer, Ask, Found, Preview, Search, Task, Work, margins_of
from medlocker.veil import AnyMark, Veil

Canvases = list[NDArray[np.float32]]
_MOST_FAINTER = 3
"""How often a veil is made fainter; rounding and blocks of JPEG make the first guess miss by a little."""
Candidate: TypeAlias = tuple[AnyMark, ...]


@dataclass(frozen=True, eq=False)
class Protector:
    """Everything that the images of one run share.

    Args:
        classifiers: The surrogates.
        logo: The owner's logo.
        settings: Options.
        search: The strategy.
        regions: Keep-out boxes, or None.
        finder: Finds more of them in each image, or None.
        randomness: From a purpose and the digest of an original to 32 bytes, the same for the same original
            in one run.
        admit: Called with the digest of an original before anything is done to it; may refuse it.
        learned: Textures that searches start from, or None.
        commit: Seals a marked image and puts it into its place; runs in a thread, once for each image.
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

    def task(self, job: Job) -> Task[Outcome]:
        """Return the work on one image, for :class:`medlocker.search.Driver`.

        Whatever goes wrong with this image ends in its outcome, not in an exception; only errors of a model
        or of the place that is written to end the run.
        """
        if job.lead is not None:
            return _guarded(job, self._follow(job, job.lead))
        return _guarded(job, self._veil(job) if self.settings.preset == "veil" else self._search(job))

    def _veil(self, job: Job) -> Generator[Any, Any, Outcome]:
        """Draw veils by key, and keep the one whose written file comes nearest to the aim."""
        yield from self._admit_series(job)
        original: _Original = yield Work(lambda: self._open_spared(job), "read")
        colors = viewed(original.image)
        cleans = yield Work(lambda: [model.canvas(colors) for model in self.classifiers], "read")
        labels, clean_correct = yield from self._labels(job, cleans)
        seed = self.randomness("veil", original.digest)
        wanted = wanted_classes(self.settings, self.classifiers, key=seed)
        attempt = _Attempt(self, job, original, labels, seed, wanted=wanted)
        try:
            evaluations = len(self.classifiers)
            draws = max(self.settings.budget_for(len(self.classifiers)) // max(len(self.classifiers), 1), 1)
            best: tuple[float, Veil] | None = None
            for number in range(draws):
                key = hashlib.sha256(seed + number.to_bytes(4, "big")).digest()[:16]
                veil = yield Work(partial(self._draw, original, key), "read")
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

    def _try(self, attempt: _Attempt, veil: Veil) -> Generator[Any, Any, float]:
        """Write a veil as faint as legibility asks for, and return how near it comes to the aim."""
        yield from attempt.write((veil,))
        attempt.fainter = False
        for _ in range(_MOST_FAINTER):
            weaker = fainter(veil, psnr_db=attempt.seen.psnr_db, settings=self.settings)
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

    def _draw(self, original: _Original, key: bytes) -> Veil:
        from_lesions = self.regions is not None or lesion_finder(self.finder) is not None
        return draw(
            self.settings,
            self.logo,
            original.image,
            original.boxes,
            key=key,
            with_decoys=self.settings.decoys and from_lesions,
            telling_nothing=original.findings.firm,
        )

    def _admit_series(self, job: Job) -> Generator[Any, Any, None]:
        """Ask whether the series of an image may be marked, and look what all its images keep out."""
        if job.series is not None:
            with about_series():
                self.admit(job.series.digest)
            if self.finder is not None:
                yield from look_at(job.series, self._findings_of, beside=job.name)

    def _search(self, job: Job) -> Generator[Any, Any, Outcome]:
        yield from self._admit_series(job)
        loaded: _Loaded = yield Work(lambda: self._load(job), "read")
        labels, clean_correct = yield from self._labels(job, loaded.preview.cleans)
        seed = self.randomness("search", loaded.digest)
        learned = self._learned(loaded.image, labels)
        problem = pose_problem(
            self.settings, loaded.preview, room=loaded.room, labels=labels, learned=learned
        )
        attempt = _Attempt(self, job, loaded, labels, seed)
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

    def _follow(self, job: Job, lead: Lead) -> Generator[Any, Any, Outcome]:
        """Put the marks of its series on an image, without a search."""
        original: _Original = yield Work(lambda: self._open_follower(job, lead), "read")
        colors = viewed(original.image)
        cleans = yield Work(lambda: [model.canvas(colors) for model in self.classifiers], "read")
        labels, clean_correct = yield from self._labels(job, cleans)
        attempt = _Attempt(self, job, original, labels, lead.seed)
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
        first: Answer = yield _ask([cleans], (0,) * len(self.classifiers))
        answered = tuple(int(k) for k in first.top[0])
        given = job.labels or (None,) * len(answered)
        labels = tuple(k if label is None else label for k, label in zip(answered, given, strict=True))
        return labels, tuple(k == label for k, label in zip(answered, labels, strict=True))

    def _hand_over(self, attempt: _Attempt, outcome: Outcome) -> Generator[Any, Any, Outcome]:
        """Complete the outcome of an image that is written and judged, and let it be sealed."""
        written = attempt.written
        if written is None:
            raise InputError("the search found no mark")  # a search's bug: it always tries one
        job, original = written.job, attempt.original
        area, like = yield Work(lambda: self._looks(original.image, written.marks, attempt.seen), "write")
        outcome = replace(
            outcome,
            labelled=any(label is not None for label in job.labels),
            fooled=attempt.fooled,
            withstood=attempt.withstood,
            size_px=written.marks[0].size_px,
            notes=outcome.notes,
            found_regions=len(original.findings.boxes),
            marks=len(written.marks),
            area=area,
            likeness=like,
            psnr=round(min(attempt.seen.psnr_db, 99.0), 2),
        )
        yield Work(lambda: self.commit(written, outcome), "seal")
        return outcome

    def _looks(self, image: Image, marks: Sequence[AnyMark], seen: Seen) -> tuple[float, float]:
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

    def _open(self, job: Job) -> _Original:
        """Read an image and what must be kept out of it; runs in a thread."""
        _check_name(job.name)
        data = read_limited(job.source, max_bytes=LIMITS.max_file_bytes, what="image")
        image = read_image(data, name=job.name)
        digest = content_digest(image)
        self.admit(digest)
        boxes = given_boxes(self.regions, image, (job.name,))
        known = job.series.findings.get(job.name) if job.series is not None else None
        findings = known or self._findings(image)
        return _Original(image, hashlib.sha256(data).hexdigest(), digest, boxes, findings)

    def _open_follower(self, job: Job, lead: Lead) -> _Original:
        """Read an image that gets the marks of its series, and check that they keep out of its regions."""
        original = self._open(job)
        original = replace(original, boxes=(*original.boxes, *original.findings.firm))
        if self.finder is not None and not self.finder.droppable:
            original = replace(original, boxes=(*original.boxes, *original.findings.boxes))
        check_marks(lead, original.image, original.boxes, logo=self.logo)
        return original

    def _open_spared(self, job: Job) -> _Original:
        """Read an image and all that its veil keeps out; runs in a thread."""
        own = self._open(job)
        boxes, findings = self._kept_out(job, own)
        _, boxes, notes = beside(
            boxes,
            findings,
            size=(own.image.width, own.image.height),
            finder=self.finder,
            room=partial(check_free, width=own.image.width, height=own.image.height),
        )
        return replace(own, boxes=boxes, findings=replace(own.findings, notes=notes, firm=findings.firm))

    def _kept_out(self, job: Job, own: _Original) -> tuple[tuple[Box, ...], Findings]:
        """Return what is given and what is found, of all images of a series."""
        if job.series is None:
            return own.boxes, own.findings
        others = [name for name in job.series.members if name != job.name]
        found = job.series.findings
        findings = together([own.findings, *(found[name] for name in others if name in found)])
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
        room, boxes, notes = beside(
            boxes,
            findings,
            size=(image.width, image.height),
            finder=self.finder,
            room=partial(
                find_room,
                self.settings,
                self.logo,
                width=image.width,
                height=image.height,
                step=preview.step,
                seed=self.randomness("search", own.digest),
                key=self.randomness("harden", own.digest),
            ),
        )
        return _Loaded(image, own.file_digest, own.digest, boxes, own.findings, preview, room, notes)

    def _findings_of(self, name: str, source: Path) -> Findings:
        """Return what the finder finds in a file; runs in a thread."""
        data = read_limited(source, max_bytes=LIMITS.max_file_bytes, what="image")
        return self._findings(read_image(data, name=name))

    def _findings(self, image: Image) -> Findings:
        """Return what the finder finds in any frame, grown by what marking next to it would change."""
        if self.finder is None:
            return Findings(())
        frames = image.frames
        views = (None,) if frames is None else (frames[i] for i in range(len(frames)))
        found = together([self.finder.find(viewed(image, view)) for view in views])
        boxes, firm = (tuple(reach(image, box) for box in some) for some in (found.boxes, found.firm))
        return replace(found, boxes=boxes, firm=firm)


@dataclass(frozen=True, eq=False)
class _Original:
    image: Image
    file_digest: str
    digest: str
    boxes: tuple[Box, ...]
    findings: Findings


@dataclass(frozen=True, eq=False)
class _Loaded(_Original):
    preview: Preview
    room: Room
    notes: tuple[str, ...]


class _Attempt:
    """Writes candidates to a temporary file and judges what is read back from it."""

    def __init__(
        self,
        protector: Protector,
        job: Job,
        original: _Original,
        labels: tuple[int, ...],
        seed: bytes,
        *,
        wanted: tuple[int, ...] = (),
    ) -> None:
        self._protector = protector
        self._job = job
        self.original = original
        self._labels = labels
        self._seed = seed
        self._temporary = job.target.with_name(TEMPORARY_PREFIX + secrets.token_hex(8))
        self.written: Marked | None = None
        self._attacks = attacks_for(protector.settings, original.image, protector.classifiers)
        self.fooled: tuple[bool, ...] = ()
        self.withstood: tuple[str, ...] = ()
        self._views: list[Canvases] = []
        self._wanted = wanted
        self.seen = Seen(np.inf, 0.0)
        self.nearness = -np.inf
        self.fainter = False

    @property
    def marks(self) -> Candidate:
        """What was written last."""
        return self.written.marks if self.written is not None else ()

    @property
    def looks(self) -> int:
        """In how many ways a written file is looked at."""
        return 1 + len(self._attacks)

    def judge(self, candidate: Candidate) -> Generator[Any, Any, NDArray[np.float64]]:
        """Write a candidate, read it again and return its margins, attack by attack."""
        yield from self.write(candidate)
        return (yield from self.ask())

    def write(self, candidate: Candidate) -> Generator[Any, Any, None]:
        """Write a candidate and read it again."""
        self.written, self._views, self.seen = yield Work(lambda: self._write(candidate), "write")

    def ask(self) -> Generator[Any, Any, NDArray[np.float64]]:
        """Ask the models about the written file, and return its margins, attack by attack."""
        if not self._protector.classifiers:
            return np.zeros(0)
        answer: Answer = yield _ask(self._views, self._labels)
        if self._wanted:
            pairs = zip(answer.logits, self._wanted, strict=True)
            self.nearness = -max(float(margins_of(logits[:1], wanted)[0]) for logits, wanted in pairs)
        self.withstood = withstood(self._attacks, answer.top, self._labels)
        self.fooled = tuple(bool(k != label) for k, label in zip(answer.top[0], self._labels, strict=True))
        return np.asarray(answer.margins, np.float64).ravel()

    def discard(self) -> None:
        """Remove the temporary file."""
        with suppress(OSError):
            os.unlink(self._temporary)

    def _write(self, candidate: Candidate) -> tuple[Marked, list[Canvases], Seen]:
        image, job = self.original.image, self._job
        marked = mark_file(image, candidate, logo=self._protector.logo)
        make_folder(self._temporary.parent)
        write_atomic(self._temporary, marked.data, overwrite=True)
        data = read_limited(self._temporary, max_bytes=LIMITS.max_file_bytes, what="marked image")
        again = read_image(data, name=job.output_name)
        found = content_digest(again)
        if marked.pixels not in (None, found):
            raise UnsupportedImageError("this kind of file did not keep the marked pixels")
        _check_regions(self.original, again)
        # a veil's residual on a JPEG is the original file: one of them is enough
        kept_whole = image.source if self._protector.settings.keep_original else None
        written = Marked(
            job=job,
            temporary=self._temporary,
            marks=candidate,
            residual=b"" if kept_whole is marked.residual else marked.residual,
            sha256=hashlib.sha256(data).hexdigest(),
            method=marked.method,
            marked_pixels=found,
            original_file=self.original.file_digest,
            original_pixels=self.original.digest,
            metadata=marked.metadata or metadata_digest(again),
            original=kept_whole,
            seed=self._seed,
        )
        pictures = attacked_views(image, again, self._attacks)
        views = [[model.canvas(one) for model in self._protector.classifiers] for one in pictures]
        return written, views, seen_change(image, again)


def _check_name(name: str) -> None:
    """Refuse what the public index could not hold, before any work is spent on it."""
    check_relative_name(name, what="image")
    if any(127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 for c in name):
        raise InputError(f"image: expected a name of printable Unicode, got {name!r:.80}")


def _check_regions(original: _Original, again: Image) -> None:
    """Compare the regions of the file on disk with the original's, in every frame."""
    image = original.image
    if again.kind != image.kind or not original.boxes:
        return
    before, after = image.frames, again.frames
    if before is None or after is None:
        pairs: Iterable[tuple[Pixels, Pixels]] = ((image.pixels, again.pixels),)
        same = before is after
    else:
        same = len(before) == len(after)
        pairs = ((before[i], after[i]) for i in range(len(before) if same else 0))
    inner = [kept(image, box) for box in original.boxes]
    windows = [(slice(box.y, box.bottom), slice(box.x, box.right)) for box in inner if box is not None]
    for old, new in pairs:
        same = same and all(np.array_equal(old[window], new[window]) for window in windows)
    if not same:
        raise UnsupportedImageError("this kind of file did not keep the pixels of a region")


def _ask(views: Sequence[Canvases], labels: tuple[int, ...]) -> Ask:
    def fill(model: int, i: int, out: NDArray[np.float32]) -> None:
        out[...] = views[i][model]

    return Ask(len(views), fill, labels)


def _guarded(job: Job, steps: Generator[Any, Any, Outcome]) -> Task[Outcome]:
    """Turn what goes wrong with one image into its outcome."""
    try:
        return (yield from steps)
    except (NoRoomError, NoPixelsError) as error:
        return Outcome(job.index, job.name, "skipped", str(error))
    except InputError as error:
        return Outcome(job.index, job.name, "failed", str(error))
    except WriteError:
        raise
    except (MedlockerError, MemoryError) as error:
        reason = str(error) if isinstance(error, MedlockerError) else "not enough memory"
        return Outcome(job.index, job.name, "failed", reason)
