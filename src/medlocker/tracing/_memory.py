"""What the owner's ledger remembers of marked pictures, so that they are found without their release."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import groupby

from medlocker.certificates import Ledger
from medlocker.errors import MalformedError
from medlocker.tracing._fingerprint import Fingerprint
from medlocker.tracing._search import Candidate

_VERSION = 1


def remember(
    ledger: Ledger,
    candidates: Iterable[Candidate],
    *,
    files: Mapping[int, str],
    kept: Container[tuple[int, str]] = (),
) -> Iterator[Candidate]:
    """Yield candidates of one release on, and keep their fingerprints with the ledger, sealed for its owner.

    Args:
        candidates: The frames of one image one after the other.
        files: SHA-256 of the marked files by their number: what is known of another file does not count.
        kept: Numbers and digests of what is remembered already.
    """
    for (release, index), frames in groupby(candidates, key=lambda one: (one.release, one.index)):
        found = list(frames)
        if (index, files[index]) in kept:
            yield from found
            continue
        head = {
            "version": _VERSION,
            "release": release,
            "index": index,
            "name": found[0].name,
            "file": files[index],
            "lengths": [len(one.fingerprint.points) for one in found],
        }
        body = b"".join(one.fingerprint.to_bytes() for one in found)
        ledger.keep_trace(f"{release} {index}", json.dumps(head).encode("ascii") + b"\n" + body)
        yield from found


def remembered(ledger: Ledger) -> Iterator[tuple[str, Candidate]]:
    """Yield the SHA-256 of the marked file and the candidate for every picture that a ledger remembers.

    Raises:
        MalformedError: If an entry is not the owner's, or was changed.
    """
    for data in ledger.traces():
        line, _, body = data.partition(b"\n")
        try:
            head = json.loads(line)
            place = 0
            for frame, count in enumerate(head["lengths"]):
                fingerprint = Fingerprint.from_bytes(body[place : place + 20 * count])
                place += 20 * count
                found = Candidate(head["release"], head["index"], head["name"], frame, fingerprint)
                yield head["file"], found
        except (ValueError, KeyError, TypeError) as error:
            raise MalformedError("ledger: expected what is remembered of a marked picture") from error
