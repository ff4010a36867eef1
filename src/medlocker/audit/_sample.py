"""Which images of a release are asked about, and what the others' marks are made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medlocker.certificates import Access, IndexLine, SealedRecord
from medlocker.errors import CertificateError
from medlocker.protect import Settings
from medlocker.protect.veiled import reduce_opacity
from medlocker.review import MarkingFacts
from medlocker.veil import AnyMark, Veil


@dataclass(frozen=True)
class Faintness:
    """How veils of a release were made fainter, read off from those that were.

    Args:
        strongest: A veil of the greatest opacity.
        least_psnr_db: What the fainter ones leave; None if none was made fainter.
    """

    strongest: Veil | None
    least_psnr_db: float | None

    def first(self, marks: Sequence[AnyMark], *, was_fainter: bool) -> tuple[AnyMark, ...]:
        """Return marks as strong as they were tried first."""
        full = self.strongest
        if not was_fainter or full is None:
            return tuple(marks)
        return tuple(
            replace(mark, opacity=full.opacity, ground=full.ground) if isinstance(mark, Veil) else mark
            for mark in marks
        )

    def fainter(self, marks: Sequence[AnyMark], *, psnr_db: float) -> tuple[AnyMark, ...] | None:
        """Return marks that leave enough to be seen, None if these do already."""
        if self.least_psnr_db is None:
            return None
        settings = Settings(legibility=min(self.least_psnr_db, 60.0), opacity=(1e-4, 1.0))
        weaker = [
            (reduce_opacity(mark, psnr_db=psnr_db, settings=settings) or mark)
            if isinstance(mark, Veil)
            else mark
            for mark in marks
        ]
        return None if weaker == list(marks) else tuple(weaker)


@dataclass(frozen=True, eq=False)
class Member:
    """An image to ask about.

    Args:
        line: Of the index.
        original_name: As the data set calls it.
        marks: Its own.
        facts: What marking found out.
        textures: Searched textures of another image.
    """

    line: IndexLine
    original_name: str
    marks: tuple[AnyMark, ...]
    facts: MarkingFacts
    textures: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Sample:
    """What is asked about.

    Args:
        members: The images.
        faintness: Of the release's veils.
        passed_over: Why images were left out, and how many.
        exact: Whether all own marks were drawn as the others are, none chosen by what a model answered.
    """

    members: tuple[Member, ...]
    faintness: Faintness
    passed_over: Mapping[str, int]
    exact: bool


def choose(
    access: Access,
    wanted: Callable[[str], bool],
    *,
    images: int,
    seed: int,
    progress: Callable[[int], None] = lambda total: None,
) -> Sample:
    """Draw images by chance, and open their sealed records.

    Args:
        access: Release and identities.
        wanted: Tells from an original's name whether it may be asked about.
        images: At most so many.
        seed: Of the draw.
        progress: Called for each image that is taken, with how many may be.

    Raises:
        CertificateError: If the index is not the signed one.
    """
    covered = [line.entry.index for line in access.release.lines() if access.covers(line.entry.index)]
    records: list[tuple[IndexLine, SealedRecord]] = []
    passed_over: Counter[str] = Counter()
    for index in np.random.default_rng(seed).permutation(covered).tolist():
        if len(records) == images:
            break
        line = access.release.line(index)
        try:
            record = access.open(line)
        except CertificateError:
            passed_over["their sealed records are damaged"] += 1
            continue
        if not wanted(record.original_name):
            passed_over["they have no label"] += 1
            continue
        why_not = _why_not(record)
        if why_not:
            passed_over[why_not] += 1
            continue
        progress(min(images, len(covered)))
        records.append((line, replace(record, residual=b"", original=None)))
    textures = [
        tuple(mark.overlay for mark in record.marks if not isinstance(mark, Veil) and mark.overlay)
        for _, record in records
    ]
    members = [
        Member(
            line,
            record.original_name,
            record.marks,
            MarkingFacts.from_sealed(record.facts),
            next((one for one in (*textures[k + 1 :], *textures[:k]) if one), ()),
        )
        for k, (line, record) in enumerate(records)
    ]
    no_models = not access.release.statement.models
    exact = all(_is_drawn(member, no_models=no_models) for member in members)
    return Sample(tuple(members), _faintness(members), passed_over, exact)


def _why_not(record: SealedRecord) -> str:
    """Return why others like the marks of an image cannot be drawn; empty if they can."""
    facts = MarkingFacts.from_sealed(record.facts)
    if any(isinstance(mark, Veil) for mark in record.marks) and facts.veils_tried > 1:
        return "models chose their veils among several (--budget)"
    single = any(not isinstance(mark, Veil) for mark in record.marks)
    if single and ("regions" not in record.facts or facts.regions != len(facts.kept_out)):
        return "their records do not say what marks must keep out of"
    return ""


def _is_drawn(member: Member, *, no_models: bool) -> bool:
    """Tell whether the marks of an image are certain to have been drawn by key alone."""
    veiled = all(isinstance(mark, Veil) for mark in member.marks)
    return veiled and (no_models or member.facts.veils_tried == 1)


def _faintness(members: Sequence[Member]) -> Faintness:
    veils = [mark for member in members for mark in member.marks if isinstance(mark, Veil)]
    least = [one.facts.psnr_db for one in members if one.facts.shrunk and one.facts.psnr_db is not None]
    strongest = max(veils, key=lambda veil: veil.opacity, default=None)
    return Faintness(strongest, min(least) if veils and least else None)
