"""Which files that somebody wants copied are unmarked originals: copying one would give its image away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from medlocker.certificates import Ledger
from medlocker.errors import InputError
from medlocker.files import read_limited, sha256_of
from medlocker.formats import read_image
from medlocker.images import LIMITS, content_digest
from medlocker.release._copies import Copied
from medlocker.search import file_threads

_AT_ONCE = 64


def find_originals(
    copies: Sequence[Copied],
    known: Iterable[tuple[str, str]],
    unmarked: Iterable[Path],
    *,
    ledger: Ledger | None,
    workers: int,
) -> set[str]:
    """Return the names of those files that are the original of an input, or of an image of another release.

    An original is told by its bytes or by its pixels. **One that was resized, converted with loss, or put
    into an archive is not noticed.**

    Args:
        copies: Files to be copied.
        known: Digests of file and pixels of the originals that were marked.
        unmarked: Inputs that were not.
        ledger: Knows what other releases have marked, or None.
        workers: Threads that decode.
    """
    if not copies:
        return set()
    files: dict[str, list[str]] = {}
    pixels: dict[str, list[str]] = {}
    told = _digested([copy.path for copy in copies], workers=workers)
    for copy, (file, content) in zip(copies, told, strict=True):
        if file:
            files.setdefault(file, []).append(copy.name)
        if content:
            pixels.setdefault(content, []).append(copy.name)
    found: set[str] = set()
    for content, names in pixels.items() if ledger is not None else ():
        if ledger is not None and ledger.knows(content):
            found.update(names)
    for some in (known, _digested(list(unmarked), workers=workers)):
        for file, content in some:
            found.update(files.get(file, ()))
            found.update(pixels.get(content, ()))
    return found


def _digested(paths: Sequence[Path], *, workers: int) -> Iterator[tuple[str, str]]:
    with file_threads(workers) as threads:
        for start in range(0, len(paths), _AT_ONCE):
            yield from threads.map(_digests, paths[start : start + _AT_ONCE])


def _digests(path: Path) -> tuple[str, str]:
    """Return the digests of a file and of its pixels, empty where there are none."""
    try:
        file = sha256_of(path) if path.is_file() else ""
    except OSError:
        return "", ""
    try:
        data = read_limited(path, max_bytes=LIMITS.max_file_bytes, what="file")
        return file, content_digest(read_image(data, name=path.name))
    except (InputError, MemoryError):
        return file, ""
