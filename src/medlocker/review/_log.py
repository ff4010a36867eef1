"""The decisions about a release: signed lines in a folder beside it, each chained to the one before.

They are the owner's private notes: reasons tell of images. So they lie beside the release, not in it, and are
readable by their owner alone. A line that was changed, put in or taken out is found by the chain; that lines
were cut off at the end is found by the owner's ledger, which remembers how many there were, and which images
are to be marked again: that is final, even if the folder is lost.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from medlocker.certificates import Ledger, Release, SigningKey, VerifyKey, check_line, sign_line
from medlocker.errors import InputError, MalformedError, WriteError
from medlocker.files import opened_regular
from medlocker.locks import open_lock, try_lock
from medlocker.review._decision import Decision

PAYLOAD_TYPE = "application/vnd.medlocker.review+json"
_NAME = "decisions.jsonl"
_MOST_BYTES = 1 << 30
_MOST_LINE_BYTES = 1 << 16
_WAIT_S, _STEP_S = 30.0, 0.02


def review_folder(release: Path) -> Path:
    """Return where what is decided about a release lies: ``RELEASE.review`` beside it."""
    real = Path(os.path.realpath(release))
    return real.with_name(f"{real.name}.review")


class DecisionLog:
    """Reads and appends decisions; several processes may do so at once.

    Args:
        release: Whose images are decided about.
        memory: Opens the owner's ledger; None where only the public key is at hand.
    """

    def __init__(self, release: Release, *, memory: Callable[[], Ledger] | None = None) -> None:
        self._memory = memory
        self._is_checked = memory is None
        self._release = release.statement.release
        self._owner: VerifyKey = release.owner
        self._folder = review_folder(release.path)
        self._path = self._folder / _NAME
        self._size = 0
        self._previous = ""
        self._latest: dict[int, Decision] = {}
        self._approved: set[int] = set()
        """Images that were ever approved: they may have been given away."""
        self._news: set[int] = set()

    @property
    def latest(self) -> dict[int, Decision]:
        """The last decision about each image, by its number, as far as they were read."""
        return self._latest

    def news(self) -> set[int]:
        """Return the numbers of the images that were decided about since this was asked last."""
        news, self._news = self._news, set()
        return news

    def read(self) -> dict[int, Decision]:
        """Read what was added since, and return the last decision about each image.

        Raises:
            SignatureError: If a line is not signed by the owner.
            MalformedError: If a line is of another form or release, or not in its place.
            InputError: If the file cannot be read.
        """
        try:
            with opened_regular(self._path) as stream:
                if os.fstat(stream.fileno()).st_size > _MOST_BYTES:
                    raise MalformedError(f"{self._name}: expected at most {_MOST_BYTES >> 20} MiB")
                if os.fstat(stream.fileno()).st_size < self._size:
                    raise self._shortened()
                stream.seek(self._size)
                for line in iter(lambda: stream.readline(_MOST_LINE_BYTES), b""):
                    if not line.endswith(b"\n") and len(line) < _MOST_LINE_BYTES:
                        break  # what a kill left of a line
                    self._take(line)
        except FileNotFoundError:
            if self._size:
                raise self._shortened() from None
        except OSError as error:
            reason = (error.strerror or "cannot be read").lower()
            raise InputError(f"{self._name}: {reason}", subject=self._name) from error
        if not self._is_checked and self._memory is not None:
            with closing(self._memory()) as ledger:
                self._check(ledger)
            self._is_checked = True
        return self._latest

    def _check(self, ledger: Ledger) -> None:
        """Compare with what the owner's ledger remembers.

        Raises:
            MalformedError: If lines are missing at the end.
        """
        data = ledger.notes.find(self._note_name)
        if data is None:
            return
        try:
            known = json.loads(data)
            final = [Decision.read(value) for value in known["final"]]
            approved = {index for index in known["approved"] if type(index) is int}
        except (ValueError, KeyError, TypeError) as error:
            raise MalformedError("ledger: expected what is remembered of a review") from error
        lost = self._size < known["size"] or (self._size == known["size"] and self._previous != known["last"])
        if lost and self._size:
            raise self._shortened()
        self._approved |= approved
        for decision in final:
            self._latest.setdefault(decision.index, decision)
            self._news.add(decision.index)

    def _shortened(self) -> MalformedError:
        return MalformedError(
            f"{self._name}: decisions are missing at the end, or it is an earlier copy",
            hint=f"put back what was there, or remove {self._folder.name} to review everything anew",
            subject=self._name,
        )

    @property
    def _note_name(self) -> str:
        return f"review {self._release}"

    def _remember(self) -> None:
        if self._memory is None:
            return
        final = [one.to_json() for one in self._latest.values() if one.verdict == "another mark"]
        approved = sorted(self._approved)
        value = {"size": self._size, "last": self._previous, "final": final, "approved": approved}
        with closing(self._memory()) as ledger:
            ledger.notes.keep(self._note_name, json.dumps(value).encode("ascii"))

    @property
    def _name(self) -> str:
        return f"{self._folder.name}/{_NAME}"

    def _take(self, line: bytes) -> None:
        value = check_line(line, PAYLOAD_TYPE, owner=self._owner, what=self._name)
        try:
            if type(value) is not dict or value.pop("previous", None) != self._previous:
                raise ValueError("expected the digest of the line before")
            decision = Decision.read(value)
        except ValueError as error:
            raise MalformedError(
                f"{self._name}: a line was changed, or lines are missing before it", subject=self._name
            ) from error
        if decision.release != self._release:
            raise MalformedError(f"{self._name}: it is about another release", subject=self._name)
        self._keep(decision, line)

    def _keep(self, decision: Decision, line: bytes) -> None:
        self._previous = hashlib.sha256(line).hexdigest()
        self._size += len(line)
        self._latest[decision.index] = decision
        if decision.verdict == "approved":
            self._approved.add(decision.index)
        self._news.add(decision.index)

    def add(self, decisions: Sequence[Decision], *, key: SigningKey) -> None:
        """Append decisions; all of them are on the disk when this returns.

        Raises:
            InputError: If another mark was asked for before: that decision is final.
            WriteError: If the system refuses.
            CertificateError: See :meth:`read`.
        """
        with self._locked(), self._errors():
            self.read()
            for decision in decisions:
                before = self._latest.get(decision.index)
                if before is not None and before.verdict == "another mark":
                    raise InputError(
                        f"{decision.name}: another mark was asked for, this version stays out for good",
                        hint="two versions of one image that are both given away reveal the original",
                        subject=decision.name,
                    )
                if decision.verdict == "another mark" and decision.index in self._approved:
                    raise InputError(
                        f"{decision.name}: it was approved before, so it may have been given away",
                        hint="a second mark would reveal the original; reject it instead",
                        subject=decision.name,
                    )
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _NO_LINKS, 0o600)
            try:
                os.ftruncate(descriptor, self._size)  # half a line that a kill left
                lines, previous = [], self._previous
                for decision in decisions:
                    value: dict[str, Any] = {**decision.to_json(), "previous": previous}
                    lines.append(sign_line(value, PAYLOAD_TYPE, key=key))
                    previous = hashlib.sha256(lines[-1]).hexdigest()
                _write_all(descriptor, b"".join(lines), back_to=self._size)
            finally:
                os.close(descriptor)
            for decision, line in zip(decisions, lines, strict=True):
                self._keep(decision, line)
            self._remember()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._errors():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = open_lock(self._folder, make=True)
        try:
            ends = time.monotonic() + _WAIT_S
            while not try_lock(descriptor):
                if time.monotonic() > ends:
                    raise WriteError(f"{self._folder.name}: another process is writing decisions")
                time.sleep(_STEP_S)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = (error.strerror or "the system refuses").lower()
            raise WriteError(f"cannot write {self._name}: {reason}", subject=self._name) from error


_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)


def _write_all(descriptor: int, data: bytes, *, back_to: int) -> None:
    """Write everything or nothing."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, back_to)
        raise
