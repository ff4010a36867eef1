"""What the owner's ledger remembers of marked pictures, so that they are found without their release."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from medlocker.certificates import Ledger
from medlocker.errors import InputError, MalformedError
from medlocker.tracing._fingerprint import Fingerprint
from medlocker.tracing._search import Candidate

_VERSION = 1
_POINT_BYTES = 20


class _Remembered(NamedTuple):
    file: str
    candidates: tuple[Candidate, ...]


class Memory:
    """Fingerprints of one release's images, kept with the ledger and sealed for its owner.

    Args:
        release: Its id.
    """

    def __init__(self, ledger: Ledger, release: str) -> None:
        self._traces = ledger.traces
        self._release = release

    def known(self, index: int, file: str) -> list[Fingerprint] | None:
        """Return the fingerprints of an image's frames, None if they are not known of this very file.

        Args:
            index: Of the image.
            file: SHA-256 of the marked file.

        Raises:
            MalformedError: If an entry is not the owner's, or was changed.
        """
        data = self._traces.find(self._name(index))
        found = None if data is None else _read(data)
        if found is None or found.file != file:
            return None
        return [one.fingerprint for one in found.candidates]

    def keep(self, index: int, file: str, name: str, frames: Sequence[Fingerprint]) -> None:
        """Remember an image.

        Raises:
            WriteError: If the system refuses.
        """
        head = {
            "version": _VERSION,
            "release": self._release,
            "index": index,
            "name": name,
            "file": file,
            "lengths": [len(one.points) for one in frames],
        }
        body = b"".join(one.to_bytes() for one in frames)
        self._traces.keep(self._name(index), json.dumps(head).encode("ascii") + b"\n" + body)

    def _name(self, index: int) -> str:
        return f"{self._release} {index}"


def remembered(ledger: Ledger) -> Iterator[Candidate]:
    """Yield every picture that a ledger remembers, of whatever release.

    Raises:
        MalformedError: If an entry is not the owner's, or was changed.
    """
    for data in ledger.traces:
        yield from _read(data).candidates


def _read(data: bytes) -> _Remembered:
    line, _, body = data.partition(b"\n")
    try:
        head, place, found = json.loads(line), 0, []
        for frame, count in enumerate(head["lengths"]):
            fingerprint = Fingerprint.from_bytes(body[place : place + _POINT_BYTES * count])
            place += _POINT_BYTES * count
            found.append(Candidate(head["release"], head["index"], head["name"], frame, fingerprint))
        return _Remembered(head["file"], tuple(found))
    except (ValueError, KeyError, TypeError, InputError) as error:
        raise MalformedError("ledger: expected what is remembered of a marked picture") from error
