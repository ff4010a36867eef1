"""Marking single images again, as the review of a release asked."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from medlocker.api.listener import Listener
from medlocker.certificates import Ledger, Owner, ledger_path, open_release, owner_access
from medlocker.errors import InputError
from medlocker.release import Inputs
from medlocker.review import NewMark, Review, open_review


@dataclass(frozen=True)
class AskedAgain:
    """The images of a release that shall be marked in another way.

    Args:
        release: Id of that release.
        new_marks: By name of the original, what was asked for.
        originals: Pixel digests of these images.
    """

    release: str
    new_marks: Mapping[str, NewMark]
    originals: tuple[str, ...]

    def among(self, inputs: Inputs) -> Inputs:
        """Return only the inputs that are to be marked again.

        Raises:
            InputError: If one of them is not there.
        """
        items = tuple(item for item in inputs.items if item.name in self.new_marks)
        missing = self.new_marks.keys() - {item.name for item in items}
        if missing:
            raise InputError(
                f"{len(missing)} images that shall get another mark are not among the inputs, "
                f"first {min(missing)!r:.80}",
                hint="give the same INPUT as for the first release",
            )
        return replace(inputs, items=items)


def review_of(release: Path, owner: Owner, *, listener: Listener) -> Review:
    """Open the review of a release with its owner's keys, and tell how far that is.

    Raises:
        CertificateError: If the release or a decision is not the owner's.
    """
    identity = owner.identity()
    for text in identity.notes:
        listener.warn(text)
    opened = open_release(release, owner.signing.public)
    access = owner_access(opened, identity)
    with listener.steps() as advance:
        total = opened.statement.images
        return open_review(
            access,
            owner.signing,
            memory=partial(Ledger, ledger_path(owner.paths), owner.signing),
            progress=lambda: advance("opening the review", 1, total),
        )


def asked_again(release: Path, owner: Owner, *, listener: Listener) -> AskedAgain:
    """Return which images of a release shall get another mark.

    Raises:
        InputError: If none shall, or the first versions could have been given away.
        CertificateError: If the release or a decision is not the owner's.
    """
    review = review_of(release, owner, listener=listener)
    if not review.release.statement.needs_review:
        raise InputError(
            f"{release.name}: expected a release made with --needs-review",
            hint="of any other, images may have been given away: a second mark would reveal the original",
            subject=release.name,
        )
    first = review.release.statement.release
    new_marks, originals, again = {}, [], 0
    with closing(Ledger(ledger_path(owner.paths), owner.signing)) as ledger:
        for item in review.items:
            decision = review.decision(item.entry.index)
            if decision is None or decision.new_mark is None:
                continue
            if ledger.finished_in(item.original_pixels) not in (None, first):
                again += 1  # an earlier run has made it
                continue
            new_marks[item.original_name] = decision.new_mark
            originals.append(item.original_pixels)
    if not new_marks:
        told = f"; {again} were asked for and are made" if again else ""
        raise InputError(f"{release.name}: nobody asked for another mark{told}", subject=release.name)
    return AskedAgain(review.release.statement.release, new_marks, tuple(originals))
