"""A review: every image of a release, worst first, with what was decided about it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from medlocker.certificates import Access, Ledger, Release, SigningKey, sha256_file, utc_now
from medlocker.errors import InputError, WrongImageError
from medlocker.files import make_folder
from medlocker.logo import Logo
from medlocker.review._decision import Decision, NewMark, Verdict
from medlocker.review._facts import MarkingFacts
from medlocker.review._items import ReviewItem, worst_first
from medlocker.review._log import DecisionLog, review_folder
from medlocker.review._standing import Standing
from medlocker.store import Store
from medlocker.veilstyle import DEFAULT_STYLE

_FACTS = "facts"


@dataclass(frozen=True)
class Counts:
    """How far a review is.

    Args:
        images: All of them.
        left: Not yet decided.
        another_mark: Another mark was asked for.
    """

    images: int
    approved: int
    rejected: int
    another_mark: int
    left: int


class Review:
    """Every image of a release, worst first; several threads may use it.

    Args:
        access: Opens every record.
        signing: The owner's key: decisions are signed with it.
        items: See :func:`open_review`.
        log: What was decided.
    """

    def __init__(
        self, access: Access, signing: SigningKey, items: Sequence[ReviewItem], log: DecisionLog
    ) -> None:
        self.access = access
        self.items = tuple(items)
        self._signing = signing
        self._log = log
        self._places = {item.entry.index: place for place, item in enumerate(self.items)}
        self._lock = threading.Lock()
        self.standing = Standing.of_undecided(len(self.items))
        """Which images are decided how, as far as :meth:`refresh` and :meth:`decide` know."""
        self._follow()

    @property
    def release(self) -> Release:
        """The release, its statement checked."""
        return self.access.release

    @cached_property
    def logo(self) -> Logo:
        """The logo that was put on, opened once.

        Raises:
            CertificateError: If it is not the signed one.
        """
        return self.release.logo()

    @cached_property
    def concerned(self) -> int:
        """How many images should be looked at: they are the first of all."""
        return sum(bool(item.concerns) for item in self.items)

    def item(self, index: int) -> ReviewItem:
        """Return one image by its number in the release.

        Raises:
            InputError: If there is none.
        """
        return self.items[self.place(index)]

    def place(self, index: int) -> int:
        """Return the place in the list of an image by its number in the release.

        Raises:
            InputError: If there is none.
        """
        if index not in self._places:
            raise InputError(f"image {index}: not in this release")
        return self._places[index]

    def refresh(self) -> None:
        """Read what others have decided meanwhile.

        Raises:
            CertificateError: If a decision is not the owner's.
        """
        with self._lock:
            self._log.read()
            self._follow()

    def _follow(self) -> None:
        changed: dict[int, Verdict | None] = {}
        for index in self._log.news() & self._places.keys():
            decision = self.decision(index)
            changed[self._places[index]] = None if decision is None else decision.verdict
        if changed:
            self.standing = self.standing.after(changed)

    def decision(self, index: int) -> Decision | None:
        """Return the decision that holds for an image: the last one about the very file that is there."""
        found = self._log.latest.get(index)
        return found if found is not None and found.file == self.item(index).entry.file else None

    @property
    def counts(self) -> Counts:
        """How far the review is."""
        places = self.standing.places
        return Counts(
            images=len(self.items),
            approved=len(places["approved"]),
            rejected=len(places["rejected"]),
            another_mark=len(places["another mark"]),
            left=len(places[None]),
        )

    def decide(
        self,
        items: Iterable[ReviewItem],
        verdict: Verdict,
        *,
        why: str = "",
        new_mark: NewMark | None = None,
        reviewer: str = "",
    ) -> list[Decision]:
        """Sign and keep the same decision about some images.

        Copies of an image for which another mark is asked are asked about with it.

        Raises:
            InputError: If a rejection has no reason, another mark was asked for before, or cannot be made.
            WrongImageError: If a file that shall be approved is not the signed one.
            WriteError: If the system refuses; then nothing was decided.
        """
        now, items = utc_now(), list(items)
        if verdict == "approved":
            for item in items:
                self._check_file(item)
        if new_mark is not None:
            items = self._with_copies(items)
            self._check_wish(items, new_mark)
        made = [
            Decision(
                release=self.release.statement.release,
                index=item.entry.index,
                name=item.entry.name,
                file=item.entry.file,
                verdict=verdict,
                why=why.strip(),
                new_mark=new_mark,
                reviewer=reviewer.strip(),
                time=now,
            )
            for item in items
        ]
        with self._lock:
            self._log.add(made, key=self._signing)
            self._follow()
        return made

    def _check_file(self, item: ReviewItem) -> None:
        """Refuse a file that is not the one that was seen."""
        entry = item.entry
        if sha256_file(self.release.image_path(entry)) != entry.file:
            raise WrongImageError(f"{entry.name}: the marked file is not the signed one", subject=entry.name)

    def _with_copies(self, items: Sequence[ReviewItem]) -> list[ReviewItem]:
        """Return all images with these pixels: no original may get two marks."""
        wanted = {item.original_pixels for item in items}
        return [item for item in self.items if item.original_pixels in wanted]

    def _check_wish(self, items: Sequence[ReviewItem], new_mark: NewMark) -> None:
        """Refuse what could not be made, before it is final."""
        if self.release.statement.preset == "veil" and new_mark.size is not None:
            DEFAULT_STYLE.with_tile(new_mark.size)
        for item in items:
            if item.facts.in_series:
                raise InputError(
                    f"{item.entry.name}: it has the marks of its series, which cannot change for one image",
                    hint="reject it; near copies with different marks reveal each other",
                    subject=item.entry.name,
                )


def open_review(
    access: Access,
    signing: SigningKey,
    *,
    memory: Callable[[], Ledger] | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Review:
    """Open the review of a finished release.

    The first time every sealed record is opened; what is needed of them is kept beside the release, under a
    code that only the owner's key makes.

    Args:
        access: The owner's, see :func:`medlocker.certificates.owner_access`.
        signing: The key that signed the release.
        memory: Opens the owner's ledger, which remembers what was decided last.
        progress: Called once for each image.

    Raises:
        CertificateError: If the index, a record or a decision is not the owner's.
        WriteError: If the system refuses.
    """
    release = access.release
    log = DecisionLog(release, memory=memory)
    log.read()
    folder = review_folder(release.path)
    if folder.is_symlink():
        raise InputError(f"{folder.name}: expected a folder, got a link", subject=folder.name)
    make_folder(folder)
    folder.chmod(0o700)
    known: dict[int, tuple[str, str, str, MarkingFacts]] = {}

    def take(value: dict[str, object], mark: int) -> None:
        index, facts = value.get("index"), value.get("facts")
        if type(index) is not int or not isinstance(facts, dict) or "pixels" not in value:
            raise ValueError("expected what is known of an image")
        digest, name, pixels = (str(value.get(key)) for key in ("file", "original", "pixels"))
        known[index] = digest, name, pixels, MarkingFacts.from_sealed(facts)

    key = signing.derive(f"review-{release.statement.release}")
    path = folder / _FACTS
    found = []
    with closing(_store(path, release.statement.release, key, take)) as store:
        for line in release.lines():
            index = line.entry.index
            if index not in known or known[index][0] != line.entry.file:
                record = access.open(line)
                facts = MarkingFacts.from_sealed(record.facts)
                known[index] = line.entry.file, record.original_name, record.original_pixels, facts
                store.add(
                    {
                        "index": index,
                        "file": line.entry.file,
                        "original": record.original_name,
                        "pixels": record.original_pixels,
                        "facts": dict(record.facts),
                    }
                )
            found.append((line, *known[index][1:]))
            progress()
    return Review(access, signing, worst_first(found), log)


def _store(path: Path, release: str, key: bytes, take: Callable[[dict[str, object], int], None]) -> Store:
    head = {"release": release}
    try:
        return Store(path, head, key=key, take=take, mode=0o600)
    except Exception:  # it only saves time: what somebody changed is made again
        path.unlink(missing_ok=True)
        return Store(path, head, key=key, take=take, mode=0o600)
