"""Who saw what: a file of JSON lines, written before anything is shown.

It names releases and numbers of images and companions, never a patient, a UID or what was searched for. What
cannot be written down is not shown.
"""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from medlocker.errors import InputError, WriteError
from medlocker.proxy._members import Member

_PRIVATE = 0o600
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True)
class Seen:
    """One instance that somebody is shown, or refused.

    Args:
        shown: ``restored``, ``marked``, ``not of a release``, ``refused``, or ``list`` for other answers.
        member: What it is of a release, or None.
        code: Of the error, where it is refused.
    """

    shown: str
    member: Member | None = None
    code: str = ""


class AccessLog:
    """Appends lines; several threads and processes may.

    Args:
        path: Made if missing, readable by this user alone.

    Raises:
        InputError: If others can read it, or it is no regular file.
        WriteError: If the system refuses.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._name = path.name
        self._lock = threading.Lock()
        self._file, self._is_torn = self._open()

    def _open(self) -> tuple[int, bool]:
        """Return the file, and whether a kill in the middle of a line left it: the next one begins anew."""
        try:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | _NO_LINKS
            file = os.open(self._path, flags, _PRIVATE)
            status = os.fstat(file)
        except OSError as error:
            raise self._refused(error) from error
        shared = os.name == "posix" and status.st_mode & 0o077
        if not stat.S_ISREG(status.st_mode) or shared:
            os.close(file)
            raise InputError(
                f"log {self._name}: expected a file that only this user can read",
                subject=self._name,
                hint=f"chmod 600 {self._name}, or choose another --log",
            )
        if not status.st_size:
            return file, False
        os.lseek(file, -1, os.SEEK_END)
        return file, os.read(file, 1) != b"\n"

    def _follow(self) -> None:
        """Go on in a new file where the old one was renamed or deleted: nobody would find its lines."""
        try:
            if os.path.samestat(os.fstat(self._file), os.lstat(self._path)):
                return
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._refused(error) from error
        try:
            fresh, is_torn = self._open()
        except InputError as error:
            raise WriteError(
                str(error), subject=self._name, hint="nothing is shown without the log"
            ) from error
        os.close(self._file)
        self._file, self._is_torn = fresh, is_torn

    def write(self, who: str, asked: str, seen: Iterable[Seen]) -> None:
        """Append a line for each instance; they are with the system when this returns.

        Args:
            who: Name of the caller.
            asked: ``instance``, ``frames``, ``metadata``, ``bulkdata``, ``search``.

        Raises:
            WriteError: If the system refuses: then nothing may be shown.
        """
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        lines = []
        for one in seen:
            line: dict[str, object] = {"time": time, "who": who, "asked": asked, "shown": one.shown}
            if one.member is not None:
                line |= {"release": one.member.release, one.member.word: one.member.number}
            if one.code:
                line["code"] = one.code
            lines.append(json.dumps(line) + "\n")
        if lines:
            self._append("".join(lines).encode("ascii"))

    def _append(self, data: bytes) -> None:
        with self._lock:
            self._follow()
            if self._is_torn:
                data = b"\n" + data
            try:
                while data:
                    written = os.write(self._file, data)
                    data = data[written:]
                    self._is_torn = True
            except OSError as error:
                raise self._refused(error) from error
            self._is_torn = False

    def _refused(self, error: OSError) -> WriteError:
        reason = (error.strerror or "cannot be written").lower()
        return WriteError(
            f"log {self._name}: {reason}", subject=self._name, hint="nothing is shown without the log"
        )

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
