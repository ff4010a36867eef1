"""What of a release was pushed already: one name a line, appended once the server has stored it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from medlocker.errors import WriteError

_MODE = 0o600


class PushLog:
    """An append-only list that a kill at any moment leaves readable; a torn last line does not count.

    Args:
        path: The file; its folder must exist.
        release: Identifies the release; a list of another one is begun again.

    Raises:
        WriteError: If the system refuses.
    """

    def __init__(self, path: Path, *, release: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        head = f"{release}\n".encode()
        try:
            data = path.read_bytes() if path.exists() else b""
            whole = data[: data.rfind(b"\n") + 1]
            if not whole.startswith(head):
                whole = head
            if whole != data:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(whole)
        except OSError as error:
            raise self._refused(error) from error
        self.names = set(whole.decode("utf-8", "surrogateescape").split("\n")[1:-1])
        """Names of the images that the server has."""

    def add(self, name: str) -> None:
        """Note one image.

        Raises:
            WriteError: If the system refuses.
        """
        line = f"{name}\n".encode("utf-8", "surrogateescape")
        try:
            with self._lock, self._path.open("ab") as stream:
                stream.write(line)
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> WriteError:
        return WriteError(
            f"cannot write {self._path.name}: {(error.strerror or '').lower()}", subject=self._path.name
        )
