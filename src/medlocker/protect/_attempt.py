"""One image that is being marked: candidates are written, read again, and judged by what was read."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medlocker.classifiers import Classifier
from medlocker.errors import UnsupportedImageError
from medlocker.files import TEMPORARY_PREFIX, make_folder, read_limited, write_atomic
from medlocker.formats import mark_file, metadata_digest, read_image, unaffected_box
from medlocker.geometry import Box
from medlocker.images import LIMITS, Image, Pixels, content_digest
from medlocker.logo import Logo
from medlocker.marking import mark_pixels
from medlocker.protect._outcome import Job, Marked
from medlocker.protect._robustness import attacked_views, attacks_for, attacks_survived
from medlocker.protect._settings import Settings
from medlocker.protect.legibility import VisibleChange, visible_change
from medlocker.provenance import Provenance
from medlocker.regions import Findings
from medlocker.search import Ask, BackgroundTask, ModelAnswers, margins_of
from medlocker.veil import AnyMark

Canvases: TypeAlias = list[NDArray[np.float32]]
Candidate: TypeAlias = tuple[AnyMark, ...]


@dataclass(frozen=True, eq=False)
class Original:
    """An image as it was read.

    Args:
        image: Pixels and format.
        file_digest: SHA-256 of the file.
        digest: Of the pixels.
        boxes: What is kept out.
        findings: What a finder found in it.
    """

    image: Image
    file_digest: str
    digest: str
    boxes: tuple[Box, ...]
    findings: Findings


class RunContext(Protocol):
    """What the images of a run share, as far as marking one of them needs it."""

    @property
    def classifiers(self) -> Sequence[Classifier]:
        """The surrogates."""

    @property
    def logo(self) -> Logo:
        """The owner's logo."""

    @property
    def settings(self) -> Settings:
        """Options."""

    @property
    def provenance(self) -> Provenance | None:
        """What marked files say of themselves."""


class CandidateWriter:
    """Writes candidates to a temporary file and judges what is read back from it.

    Args:
        shared: What the images of the run share.
        original: It, and what is kept out.
        labels: Per model, the class that must not be answered.
        seed: 32 bytes that all randomness of this image comes from.
        wanted: Per model, the class that it shall be given; empty if none is.
    """

    def __init__(
        self,
        shared: RunContext,
        job: Job,
        original: Original,
        labels: tuple[int, ...],
        seed: bytes,
        *,
        wanted: tuple[int, ...] = (),
    ) -> None:
        self._shared = shared
        self._job = job
        self.original = original
        self._labels = labels
        self._seed = seed
        self._temporary = job.target.with_name(TEMPORARY_PREFIX + secrets.token_hex(8))
        self.written: Marked | None = None
        self._attacks = attacks_for(shared.settings, original.image, shared.classifiers)
        self.fooled: tuple[bool, ...] = ()
        self.withstood: tuple[str, ...] = ()
        self._views: list[Canvases] = []
        self._wanted = wanted
        self.seen = VisibleChange(np.inf, 0.0)
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
        self.written, self._views, self.seen = yield BackgroundTask(lambda: self._write(candidate), "write")

    def ask(self) -> Generator[Any, Any, NDArray[np.float64]]:
        """Ask the models about the written file, and return its margins, attack by attack."""
        if not self._shared.classifiers:
            return np.zeros(0)
        answer: ModelAnswers = yield ask_about(self._views, self._labels)
        if self._wanted:
            pairs = zip(answer.logits, self._wanted, strict=True)
            self.nearness = -max(float(margins_of(logits[:1], wanted)[0]) for logits, wanted in pairs)
        self.withstood = attacks_survived(self._attacks, answer.top, self._labels)
        self.fooled = tuple(bool(k != label) for k, label in zip(answer.top[0], self._labels, strict=True))
        return np.asarray(answer.margins, np.float64).ravel()

    def discard(self) -> None:
        """Remove the temporary file."""
        with suppress(OSError):
            os.unlink(self._temporary)

    def _write(self, candidate: Candidate) -> tuple[Marked, list[Canvases], VisibleChange]:
        image = self.original.image
        write = self._on_disk if self._job.image is None else self._in_memory
        written, again = write(candidate)
        check_regions(self.original, again)
        pictures = attacked_views(image, again, self._attacks)
        views = [[model.canvas(one) for model in self._shared.classifiers] for one in pictures]
        return written, views, visible_change(image, again)

    def _on_disk(self, candidate: Candidate) -> tuple[Marked, Image]:
        """Write a candidate, and return what is read again."""
        image, job = self.original.image, self._job
        keep = self._shared.settings.keep
        marked = mark_file(
            image, candidate, logo=self._shared.logo, keep=keep, provenance=self._shared.provenance
        )
        make_folder(self._temporary.parent)
        write_atomic(self._temporary, marked.data, overwrite=True)
        data = read_limited(self._temporary, max_bytes=LIMITS.max_file_bytes, what="marked image")
        again = read_image(data, name=job.output_name)
        found = content_digest(again)
        if marked.pixels not in (None, found):
            raise UnsupportedImageError("this kind of file did not keep the marked pixels")
        # a veil's residual on a JPEG is the original file: one of them is enough
        kept_whole = image.source if self._shared.settings.keep_original else None
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
            kept_out=self.original.boxes,
            anatomy=self.original.findings.firm,
            veils_tried=self._shared.settings.veils_for(len(self._shared.classifiers)),
            layers=marked.layers,
            notes=marked.notes,
        )
        return written, again

    def _in_memory(self, candidate: Candidate) -> tuple[Marked, Image]:
        """Put a candidate on pixels that are no file's."""
        marked = mark_pixels(self.original.image, candidate, logo=self._shared.logo)
        again = replace(self.original.image, pixels=marked.pixels)
        written = Marked(
            job=self._job,
            temporary=self._temporary,
            marks=candidate,
            residual=marked.residual,
            sha256="",
            method="",
            marked_pixels=content_digest(again),
            original_file="",
            original_pixels=self.original.digest,
            metadata="",
            original=None,
            seed=self._seed,
        )
        return written, again


def check_regions(original: Original, again: Image) -> None:
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
    inner = [unaffected_box(image, box) for box in original.boxes]
    windows = [(slice(box.y, box.bottom), slice(box.x, box.right)) for box in inner if box is not None]
    for old, new in pairs:
        same = same and all(np.array_equal(old[window], new[window]) for window in windows)
    if not same:
        raise UnsupportedImageError("this kind of file did not keep the pixels of a region")


def ask_about(views: Sequence[Canvases], labels: tuple[int, ...]) -> Ask:
    """Return the question about some views of an image, each as the canvases of all models."""

    def fill(model: int, i: int, out: NDArray[np.float32]) -> None:
        out[...] = views[i][model]

    return Ask(len(views), fill, labels)
