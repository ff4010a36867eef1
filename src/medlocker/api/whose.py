"""`ml.whose`: which image of which release is this picture?"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from medlocker.api.listener import Callback, Listener, as_listener
from medlocker.arguments import checked_arguments
from medlocker.attacks import as_bytes
from medlocker.certificates import (
    Ledger,
    Owner,
    Release,
    check_statement,
    ledger_path,
    load_owner,
    load_verify_key,
    open_release,
    sha256_file,
    sign_statement,
    utc_now,
)
from medlocker.errors import InputError, MedlockerError, WrongImageError
from medlocker.files import read_limited, write_atomic
from medlocker.formats import read_image as decode
from medlocker.images import LIMITS, viewed
from medlocker.pages import render_page, shrunk
from medlocker.tracing import (
    CERTAIN,
    LEAST_MATCHES,
    TEMPLATES,
    Candidate,
    Likeness,
    Look,
    MarkedPictures,
    MarkEvidence,
    Memory,
    Traced,
    candidates_of,
    decided,
    query_of,
    remembered,
    trace,
)
from medlocker.version import __version__

ORIGIN_TYPE = "urn:medlocker:origin:v1"
_SHOWN_PX = 640
_MOST_BYTES = 1 << 20
_TOLD = ("release", "image", "index", "matches", "second_matches", "found_by")
_LEDGER_ENDING = ".ledger.sqlite"
_Path = str | os.PathLike[str]


@dataclass(frozen=True)
class Origin:
    """What a found picture was made of.

    Args:
        found: Whether it was made of a marked image that is known.
        traced: The known picture that is most like it; None without any.
        evidence: Whether the owner's sealed mark is in it; None without the owner's keys and the release.
        looked_at: How many known pictures there were.
        picture: The found picture, (H, W, 3) uint8 or uint16.
        marked: The marked picture that it was made of, if its release is at hand.
        next_deviations: What the best other mark came to, where points did not tell the image and the sealed
            marks of the likeliest decided; else None.
    """

    found: bool
    traced: Traced | None
    evidence: MarkEvidence | None
    looked_at: int
    picture: NDArray[Any] = field(repr=False)
    marked: NDArray[Any] | None = field(default=None, repr=False)
    next_deviations: float | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """All that was found out, as `medlocker whose --json` prints it."""
        traced, evidence = self.traced, self.evidence
        known = traced.candidate if traced is not None and self.found else None
        return {
            "found": self.found,
            "release": None if known is None else known.release,
            "image": None if known is None else known.name,
            "index": None if known is None else known.index,
            "frame": None if known is None else known.frame,
            "matches": 0 if traced is None else traced.likeness.matches,
            "second_matches": 0 if traced is None else traced.second,
            "mirrored": bool(traced is not None and traced.likeness.query.mirrored) if self.found else None,
            "mark": None if evidence is None else {**vars(evidence), "certain": evidence.is_certain},
            "looked_at": self.looked_at,
            "found_by": None if not self.found else "points" if self.next_deviations is None else "mark",
            "next_deviations": self.next_deviations,
        }


@checked_arguments
def whose(
    picture: _Path,
    *,
    release: _Path | Sequence[_Path] = (),
    ledger: _Path | None = None,
    owner: _Path | None = None,
    progress: Callback | Listener | None = None,
) -> Origin:
    """Tell which marked image a screenshot, crop, compressed or printed picture was made of.

    With the owner's keys fingerprints of a release are kept with the ledger, sealed: the next time its files
    are not read again, and later the ledger alone is enough.

    Args:
        picture: A file of any format that can be read.
        release: Folders of releases to look in.
        ledger: ``NAME.ledger.sqlite``: look in what it remembers; the owner's keys lie beside it.
        owner: NAME of the owner's keys, or for releases alone the owner's ``NAME.sign.pub``.
        progress: Called with what is counted, how many are done, and how many there are.

    Raises:
        InputError: If the picture cannot be read, or nothing is given to look in.
        CertificateError: If a release or the ledger is not the owner's.
    """
    listener = as_listener(progress)
    places = [Path(one) for one in ((release,) if isinstance(release, str | os.PathLike) else release)]
    if not places and ledger is None:
        raise InputError("expected --release or --ledger to look in")
    keys = _keys(None if owner is None else Path(owner), None if ledger is None else Path(ledger))
    path = Path(picture)
    data = read_limited(path, max_bytes=LIMITS.max_file_bytes, what="picture")
    colors = viewed(decode(data, name=path.name))
    queries = query_of(colors)
    releases = [open_release(place, _verify_key(keys, owner, place)) for place in places]
    count = 0

    def counted(known: Iterator[Candidate]) -> Iterator[Candidate]:
        nonlocal count
        for one in known:
            count += 1
            yield one

    best: Traced | None = None
    book = None if not isinstance(keys, Owner) else Ledger(ledger_path(keys.paths), keys.signing)
    try:
        if places:
            for opened in releases:
                best = _better(best, trace(queries, counted(_known(opened, book, listener))))
        elif book is not None:
            best = trace(queries, counted(remembered(book)))
    finally:
        if book is not None:
            book.close()
    if best is None:
        return Origin(False, None, None, count, colors)
    pictures = MarkedPictures(colors, releases, keys)
    with listener.steps() as advance:

        def look(candidate: Candidate, likeness: Likeness) -> Look | None:
            advance("looking at marks", 1, len(best.likeliest))
            try:
                return pictures.look(candidate, likeness)
            except MedlockerError as error:
                listener.warn(f"the mark was not looked for: {error}")
                return None

        made = decided(best, look, sealed=pictures.can_prove)
    evidence, marked = (None, None) if made.look is None else (made.look.evidence, made.look.marked)
    return Origin(made.found, made.traced, evidence, count, colors, marked, made.next_deviations)


def made_of(data: bytes, release: Release, *, name: str, listener: Listener) -> Candidate | None:
    """Return the marked image of a release that a file was made of, None if of none; needs no private key."""
    try:
        queries = query_of(viewed(decode(data, name=name)))
    except InputError:
        return None
    best = trace(queries, _known(release, None, listener))
    return best.candidate if best is not None and best.is_found else None


def _better(best: Traced | None, other: Traced | None) -> Traced | None:
    if best is None or other is None:
        return best or other
    return Traced.of((*best.likeliest, *other.likeliest))


def _keys(owner: Path | None, ledger: Path | None) -> Owner | None:
    if ledger is not None:
        if not ledger.name.endswith(_LEDGER_ENDING) or not ledger.is_file():
            raise InputError(f"{ledger.name}: expected a ledger NAME{_LEDGER_ENDING}", subject=ledger.name)
        return load_owner(ledger.with_name(ledger.name[: -len(_LEDGER_ENDING)]))
    if owner is None or owner.name.endswith(".pub"):
        return None
    return load_owner(owner)


def _verify_key(keys: Owner | None, owner: _Path | None, release: Path) -> Any:
    if keys is not None:
        return keys.signing.public
    if owner is None:
        raise InputError(
            f"{release.name}: expected --owner: only what the owner signed is looked in",
            hint="give NAME of the owner's keys, or the owner's NAME.sign.pub",
            subject=release.name,
        )
    return load_verify_key(Path(owner))


def _known(release: Release, book: Ledger | None, listener: Listener) -> Iterator[Candidate]:
    """Yield the pictures of a release: those that the ledger remembers, and the others from their files."""
    total = release.statement.images
    with listener.steps() as advance:
        yield from candidates_of(
            release,
            memory=None if book is None else Memory(book, release.statement.release),
            progress=lambda: advance("looking through the release", 1, total),
            passed_over=lambda name, error: listener.warn(f"passed over: {error}"),
        )


def write_origin(origin: Origin, picture: Path, out: Path, *, owner: Path) -> None:
    """Sign where a found picture comes from; whoever has the owner's public key can check it.

    It tells nothing of the original: only what the release makes public, and how sure it is.

    Args:
        origin: From :func:`whose`.
        picture: The found file: its digest is the statement's subject.
        out: New file, ``NAME.dsse.json``.
        owner: NAME of the owner's keys.

    Raises:
        InputError: If the picture was not found.
        OutputExistsError: If the file is there.
    """
    if not origin.found:
        raise InputError(f"{picture.name}: nothing to state, it was not found", subject=picture.name)
    predicate = {
        "tool": f"medlocker {__version__}",
        "created": utc_now(),
        **{name: origin.facts[name] for name in _TOLD},
        "mark_deviations": None if origin.evidence is None else str(origin.evidence.deviations),
    }
    key = load_owner(owner).signing
    data = sign_statement(ORIGIN_TYPE, predicate, subjects={"picture": sha256_file(picture)}, key=key)
    write_atomic(out, data)


def check_origin(statement: Path, picture: Path, *, owner: Path) -> dict[str, Any]:
    """Return what a signed statement says of a found picture.

    Args:
        statement: From :func:`write_origin`.
        picture: The found file.
        owner: The owner's ``NAME.sign.pub``.

    Raises:
        CertificateError: If the owner did not sign it, or it is about another file.
    """
    data = read_limited(statement, max_bytes=_MOST_BYTES, what="statement")
    told, subjects = check_statement(data, ORIGIN_TYPE, owner=load_verify_key(owner), what=statement.name)
    if subjects != {"picture": sha256_file(picture)} or not isinstance(told, dict):
        raise WrongImageError(f"{statement.name}: it is about another picture", subject=statement.name)
    return told


def write_page(origin: Origin, picture: Path, out: Path) -> None:
    """Write a page with the found picture, the marked one if it is at hand, and what was found in words.

    Raises:
        OutputExistsError: If the file is there.
    """
    values: dict[str, Any] = {
        "facts": origin.facts,
        "certain": CERTAIN,
        "least": LEAST_MATCHES,
        "name": picture.name,
        "found": shrunk(as_bytes(origin.picture), side_px=_SHOWN_PX),
        "marked": None if origin.marked is None else shrunk(as_bytes(origin.marked), side_px=_SHOWN_PX),
    }
    write_atomic(out, render_page("whose.html", folders=[TEMPLATES], **values))
