"""One image with its own marks and with others, as a model sees them; the original never leaves memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medlocker.audit._othermarks import draw_others, others_seed
from medlocker.audit._sample import Faintness, Member
from medlocker.certificates import Access
from medlocker.classifiers import Classifier
from medlocker.formats import mark_file, read_image
from medlocker.images import Image, content_digest, viewed
from medlocker.logo import Logo
from medlocker.protect.legibility import visible_change
from medlocker.restore import read_marked, restore_image
from medlocker.veil import AnyMark

_MOST_FAINTER = 3
_MOST_FRAMES = 3


@dataclass(frozen=True, eq=False)
class Views:
    """What a model is asked about one image.

    Args:
        group: Equal for images that carry the same marks.
        canvases: For every model (K + 1, F, h, w, c) float32: the own marks first, F frames.
        as_filed: Whether the own marks, put on again, gave the pixels of the marked file.
    """

    group: str
    canvases: tuple[NDArray[np.float32], ...]
    as_filed: bool


@dataclass(frozen=True, eq=False)
class Marker:
    """Puts own marks and others on one image after the other.

    Args:
        access: Release and identities.
        logo: That was put on.
        models: Whose canvases are made.
        others: How many others each image gets.
        seed: Of the others.
        faintness: Of the release's veils.
    """

    access: Access
    logo: Logo
    models: Sequence[Classifier]
    others: int
    seed: int
    faintness: Faintness

    def views(self, member: Member) -> Views:
        """Restore an image in memory and mark it in all ways.

        Raises:
            CertificateError: If the file or its record is not the signed one.
            MedlockerError: If the image cannot be restored or marked.
        """
        entry = member.line.entry
        data = read_marked(self.access.release, entry)
        record = self.access.open(member.line)
        original = read_image(restore_image(data, record, logo=self.logo).data, name=entry.name)
        seed = others_seed(member.marks, self.seed)
        rng = np.random.default_rng(seed)
        first = self._marked(original, member.marks)
        as_filed = content_digest(first) == entry.pixels
        rows = [self._canvases(first)]
        for _ in range(self.others):
            marks = draw_others(
                self.faintness.first(member.marks, was_fainter=member.facts.shrunk),
                size=(original.width, original.height),
                logo=self.logo,
                keep_out=member.facts.kept_out,
                textures=member.textures,
                rng=rng,
            )
            rows.append(self._canvases(self._as_faint(original, marks)))
        canvases = tuple(np.stack([row[k] for row in rows]) for k in range(len(self.models)))
        return Views(bytes(seed[1:]).hex(), canvases, as_filed)

    def _as_faint(self, original: Image, marks: tuple[AnyMark, ...]) -> Image:
        """Mark, and make veils fainter by the rule of the release."""
        marked = self._marked(original, marks)
        if self.faintness.least_psnr_db is None:
            return marked
        for _ in range(_MOST_FAINTER):
            psnr_db = visible_change(original, marked).psnr_db
            weaker = self.faintness.fainter(marks, psnr_db=psnr_db)
            if weaker is None:
                break
            marks, marked = weaker, self._marked(original, weaker)
        return marked

    def _marked(self, original: Image, marks: Sequence[AnyMark]) -> Image:
        data = mark_file(original, marks, logo=self.logo).data
        return read_image(data, name="marked")

    def _canvases(self, image: Image) -> list[NDArray[np.float32]]:
        """Return for every model (F, h, w, c): of stacks, a few slices evenly spread."""
        frames = image.frames
        if frames is None:
            pictures = [viewed(image)]
        else:
            count = min(len(frames), _MOST_FRAMES)
            pictures = [viewed(image, frames[len(frames) * (2 * k + 1) // (2 * count)]) for k in range(count)]
        return [np.stack([model.canvas(one) for one in pictures]) for model in self.models]
