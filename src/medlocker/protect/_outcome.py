"""What is known of one image before and after it was marked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from medlocker.errors import Failure
from medlocker.geometry import Box
from medlocker.images import Image
from medlocker.protect._series import Series, SharedMarks
from medlocker.review import NewMark
from medlocker.veil import AnyMark


@dataclass(frozen=True)
class Job:
    """One image to protect.

    Args:
        index: Its place in the data set.
        name: Relative input name with forward slashes.
        source: The file to read.
        output_name: Relative name of the marked file.
        target: Where the marked file goes.
        labels: Per model, the index of the right class, None where its own answer counts; empty if the
            image has no label.
        series: The images that carry the same marks, this one included; None if it stands alone.
        lead: The marks of its series; None where they are still to be searched.
        stamp: What tells whether the source was changed since.
        image: The image, where it is held in memory; then nothing is read or written.
        new_mark: How its mark shall differ from those of the others, as a review asked.
    """

    index: int
    name: str
    source: Path
    output_name: str
    target: Path
    labels: tuple[int | None, ...] = ()
    series: Series | None = None
    lead: SharedMarks | None = None
    stamp: str = ""
    image: Image | None = field(default=None, repr=False)
    new_mark: NewMark | None = None


@dataclass(frozen=True)
class Marked:
    """A marked image, written and checked but not yet in its place.

    Args:
        temporary: The written file, beside its target.
        residual: What, besides the parameters, restores the original exactly.
        method: How it was marked; restoring takes the same way back.
        sha256: Of the marked file.
        marked_pixels: Digest of the marked pixels.
        original_file: SHA-256 of the original file.
        original_pixels: Digest of the original pixels.
        metadata: Digest of the metadata of the file that restoring writes.
        original: The original file's bytes if they are to be kept, else None.
        seed: 32 bytes that all randomness of this image came from.
        kept_out: Boxes that the marks keep out of; decoys are not among them.
        anatomy: Those of them that a finder took for optic disc and macula.
        veils_tried: Among how many veils models may have chosen.
        layers: What lies around the marked file, see :func:`medlocker.formats.without_layers`.
        notes: What its owner should know of the file.
    """

    job: Job
    temporary: Path
    marks: tuple[AnyMark, ...]
    residual: bytes = field(repr=False)
    method: str
    sha256: str
    marked_pixels: str
    original_file: str
    original_pixels: str
    metadata: str
    original: bytes | None = field(repr=False)
    seed: bytes = field(repr=False)
    kept_out: tuple[Box, ...] = ()
    anatomy: tuple[Box, ...] = ()
    veils_tried: int = 1
    layers: tuple[bytes, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How one image ended.

    Args:
        index: Its place in the data set.
        name: Relative input name.
        status: ``marked``; ``skipped`` on purpose (no room); ``failed`` by an error.
        reason: Why it was not marked, one sentence.
        code: The same in one word, see :class:`medlocker.errors.Code`.
        subject: The name that the reason itself begins with.
        labelled: Whether the user gave its class.
        clean_correct: Per model, whether the original is classified as its label says.
        fooled: Per model, whether the written file, read again, is not classified as the label.
        evaluations: What it cost: search and both judgements.
        size_px: Side of the logo.
        shrunk: Whether the logo had to be smaller than asked for.
        notes: What happened to the file (what its format lost), or to its regions.
        found_regions: How many regions the finder found in it.
        marks: How many marks it carries.
        area: Share of its pixels that they touch, 0 to 1.
        likeness: Lowest correlation of a mark's colours with the plain logo's.
        withstood: Attacks of the search after which every model is misled by the written file.
        followed: Whether it got the marks of another image of its series, without a search.
        psnr: Of the marked image as it is shown, dB, at most 99; None if not measured.
    """

    index: int
    name: str
    status: Literal["marked", "skipped", "failed"]
    reason: str = ""
    labelled: bool = False
    clean_correct: tuple[bool, ...] = ()
    fooled: tuple[bool, ...] = ()
    evaluations: int = 0
    size_px: int = 0
    shrunk: bool = False
    notes: tuple[str, ...] = ()
    found_regions: int = 0
    marks: int = 0
    area: float = 0.0
    likeness: float = 1.0
    withstood: tuple[str, ...] = ()
    followed: bool = False
    psnr: float | None = None
    code: str = ""
    subject: str = ""

    @property
    def failure(self) -> Failure:
        """Why it was not marked."""
        return Failure(self.name, self.reason, self.code, self.subject)

    @classmethod
    def left_out(cls, index: int, status: Literal["skipped", "failed"], failure: Failure) -> Outcome:
        """Return how an image ended that was not marked."""
        return cls(index, failure.name, status, failure.reason, code=failure.code, subject=failure.subject)
