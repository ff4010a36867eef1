"""What of a release was pushed already: one name a line, appended once the server has stored it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medlocker.store import Store

PRIVATE = 0o600


class PushLog:
    """The names of what a server has, and whose job it was to push them; safe for several threads.

    Args:
        path: The file; its folder must exist.
        release: Identifies the release; a list of another one is begun again. None only notes jobs.

    Raises:
        WriteError: If the system refuses.
    """

    def __init__(self, path: Path, *, release: str | None = None) -> None:
        self.names: set[str] = set()
        """Names of the images that the server has."""
        self.jobs: set[str] = set()
        """What is to be pushed, as :meth:`add_job` was told."""
        self._release: Any = None
        self._store = Store(path, {"pushed": True}, take=self._take, mode=PRIVATE)
        if release is not None and release != self._release:
            self.names.clear()
            self._store.add({"release": release})

    def _take(self, value: dict[str, Any], mark: int) -> None:
        if "release" in value:
            self._release = value["release"]
            self.names.clear()
        elif "job" in value:
            self.jobs.add(str(value["job"]))
        else:
            self.names.add(str(value["name"]))

    def add(self, name: str) -> None:
        """Note one image.

        Raises:
            WriteError: If the system refuses.
        """
        self._store.add({"name": name})

    def add_job(self, source: str) -> None:
        """Note that what comes from a source is to be pushed.

        Raises:
            WriteError: If the system refuses.
        """
        self._store.add({"job": source})

    def close(self) -> None:
        """Close the file."""
        self._store.close()
