"""The way of one image: read, search, mark, write, read again, judge, hand over for sealing."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlocker._files import TEMPORARY_PREFIX, check_relative_name, make_folder, read_limited, write_atomic
from medlocker.classifiers import Classifier
from medlocker.errors import InputError, MedlockerError, NoRoomError, UnsupportedImageError, WriteError
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
from medlocker.marking import covered_px, likeness, mark_file, reach
from medlocker.protect._keepout import beside
from medlocker.protect._outcome import Job, Marked, Outcome
from medlocker.protect._room import Room, find_room, pose_problem
from medlocker.protect._settings import Settings
from medlocker.regions import Finder, Findings, Regions
from medlocker.search import Answer, Ask, Candidate, Found, Preview, Search, Task, Work

Canvases = list[NDArray[np.float32]]


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
        return _guarded(job, self._steps(job))

    def _steps(self, job: Job) -> Generator[Any, Any, Outcome]:
        loaded: _Loaded = yield Work(lambda: self._load(job), "read")
        # only the answers are of interest: any label will do
        first: Answer = yield _ask(loaded.preview.cleans, (0,) * len(self.classifiers))
        answered = tuple(int(k) for k in first.top[0])
        given = job.labels or (None,) * len(answered)
        labels = tuple(k if label is None else label for k, label in zip(answered, given, strict=True))
        clean_correct = tuple(k == label for k, label in zip(answered, labels, strict=True))
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
                extra = len(self.classifiers)
            written = attempt.written
            if written is None:
                raise InputError("the search found no mark")  # a search's bug: it always tries one
            area, like = yield Work(lambda: self._looks(loaded.image, written.marks), "write")
            outcome = Outcome(
                index=job.index,
                name=job.name,
                status="marked",
                labelled=any(label is not None for label in job.labels),
                clean_correct=clean_correct,
                fooled=attempt.fooled,
                evaluations=found.evaluations + len(self.classifiers) + extra,
                size_px=problem.size_px,
                shrunk=loaded.room.shrunk,
                notes=("JPEG written as PNG",) * (loaded.image.format == "jpeg") + loaded.notes,
                found_regions=loaded.found_regions,
                marks=len(written.marks),
                area=area,
                likeness=like,
            )
            yield Work(lambda: self.commit(written, outcome), "seal")
        except BaseException:
            attempt.discard()
            raise
        return outcome

    def _looks(self, image: Image, marks: Candidate) -> tuple[float, float]:
        """Return the share of the image that marks touch, and how like the plain logo the least like is."""
        area = sum(covered_px(mark, logo=self.logo) for mark in marks) / (image.width * image.height)
        return round(area, 6), round(min(likeness(mark, logo=self.logo) for mark in marks), 4)

    def _learned(self, image: Image, labels: tuple[int, ...]) -> str:
        """Return the texture that the search starts from, or nothing."""
        if self.learned is None or not self.settings.texture_levels:
            return ""
        name = self.classifiers[0].classes[labels[0]]
        return self.learned.texture_for(name, grey=image.kind in ("grey", "grey-alpha"))

    def _load(self, job: Job) -> _Loaded:
        """Read an image and find out where the logo may go; runs in a thread."""
        _check_name(job.name)
        data = read_limited(job.source, max_bytes=LIMITS.max_file_bytes, what="image")
        image = read_image(data, name=job.name)
        digest = content_digest(image)
        self.admit(digest)
        boxes: tuple[Box, ...] = ()
        if self.regions is not None:
            given = self.regions.boxes_for(job.name, width=image.width, height=image.height)
            boxes = tuple(reach(image, box) for box in given)
        preview = Preview(image, self.classifiers, logo=self.logo)
        findings = self._findings(image)
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
                seed=self.randomness("search", digest),
                key=self.randomness("harden", digest),
            ),
        )
        return _Loaded(
            image=image,
            file_digest=hashlib.sha256(data).hexdigest(),
            digest=digest,
            boxes=boxes,
            preview=preview,
            room=room,
            notes=notes,
            found_regions=len(findings.boxes),
        )

    def _findings(self, image: Image) -> Findings:
        """Return what the finder finds, grown by what marking next to it would change."""
        if self.finder is None:
            return Findings(())
        found = self.finder.find(viewed(image))
        return replace(found, boxes=tuple(reach(image, box) for box in found.boxes))


@dataclass(frozen=True, eq=False)
class _Loaded:
    image: Image
    file_digest: str
    digest: str
    boxes: tuple[Box, ...]
    preview: Preview
    room: Room
    notes: tuple[str, ...]
    found_regions: int


class _Attempt:
    """Writes candidates to a temporary file and judges what is read back from it."""

    def __init__(
        self, protector: Protector, job: Job, loaded: _Loaded, labels: tuple[int, ...], seed: bytes
    ) -> None:
        self._protector = protector
        self._job = job
        self._loaded = loaded
        self._labels = labels
        self._seed = seed
        self._temporary = job.target.with_name(TEMPORARY_PREFIX + secrets.token_hex(8))
        self.written: Marked | None = None
        self.fooled: tuple[bool, ...] = ()

    def judge(self, candidate: Candidate) -> Generator[Any, Any, float]:
        """Write a candidate, read it again and return its smallest margin over the models."""
        self.written, canvases = yield Work(lambda: self._write(candidate), "write")
        answer: Answer = yield _ask(canvases, self._labels)
        self.fooled = tuple(bool(k != label) for k, label in zip(answer.top[0], self._labels, strict=True))
        return float(answer.margins.min())

    def discard(self) -> None:
        """Remove the temporary file."""
        with suppress(OSError):
            os.unlink(self._temporary)

    def _write(self, candidate: Candidate) -> tuple[Marked, Canvases]:
        image, job = self._loaded.image, self._job
        marked = mark_file(image, candidate, logo=self._protector.logo)
        make_folder(self._temporary.parent)
        write_atomic(self._temporary, marked.data, overwrite=True)
        data = read_limited(self._temporary, max_bytes=LIMITS.max_file_bytes, what="marked image")
        again = read_image(data, name=job.output_name)
        found = content_digest(again)
        if marked.pixels not in (None, found):
            raise UnsupportedImageError("this kind of file did not keep the marked pixels")
        _check_regions(self._loaded, again)
        written = Marked(
            job=job,
            temporary=self._temporary,
            marks=candidate,
            residual=marked.residual,
            sha256=hashlib.sha256(data).hexdigest(),
            method=marked.method,
            marked_pixels=found,
            original_file=self._loaded.file_digest,
            original_pixels=self._loaded.digest,
            metadata=marked.metadata or metadata_digest(again),
            original=image.source if self._protector.settings.keep_original else None,
            seed=self._seed,
        )
        colors = viewed(again)
        return written, [model.canvas(colors) for model in self._protector.classifiers]


def _check_name(name: str) -> None:
    """Refuse what the public index could not hold, before any work is spent on it."""
    check_relative_name(name, what="image")
    if any(127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 for c in name):
        raise InputError(f"image: expected a name of printable Unicode, got {name!r:.80}")


def _check_regions(loaded: _Loaded, again: Image) -> None:
    """Compare the regions of the file on disk with the original's, in every frame."""
    image = loaded.image
    if again.kind != image.kind or not loaded.boxes:
        return
    before, after = image.frames, again.frames
    if before is None or after is None:
        pairs: Iterable[tuple[Pixels, Pixels]] = ((image.pixels, again.pixels),)
        same = before is after
    else:
        same = len(before) == len(after)
        pairs = ((before[i], after[i]) for i in range(len(before) if same else 0))
    windows = [(slice(box.y, box.bottom), slice(box.x, box.right)) for box in loaded.boxes]
    for old, new in pairs:
        same = same and all(np.array_equal(old[window], new[window]) for window in windows)
    if not same:
        raise UnsupportedImageError("this kind of file did not keep the pixels of a region")


def _ask(canvases: Canvases, labels: tuple[int, ...]) -> Ask:
    def fill(model: int, i: int, out: NDArray[np.float32]) -> None:
        out[...] = canvases[model]

    return Ask(1, fill, labels)


def _guarded(job: Job, steps: Generator[Any, Any, Outcome]) -> Task[Outcome]:
    """Turn what goes wrong with one image into its outcome."""
    try:
        return (yield from steps)
    except NoRoomError as error:
        return Outcome(job.index, job.name, "skipped", str(error))
    except InputError as error:
        return Outcome(job.index, job.name, "failed", str(error))
    except WriteError:
        raise
    except (MedlockerError, MemoryError) as error:
        reason = str(error) if isinstance(error, MedlockerError) else "not enough memory"
        return Outcome(job.index, job.name, "failed", reason)
