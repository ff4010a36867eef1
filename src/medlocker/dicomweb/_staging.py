"""The private folder beside a release in which a transfer lives until it is complete.

``instances/`` and ``plan.json`` hold patient data: they go when the run over them has ended.
``job.json`` (digests of addresses) and ``pushed-*.txt`` (names in the release) go when all is pushed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medlocker.dicomweb._address import is_uid
from medlocker.dicomweb._plan import Planned
from medlocker.errors import InputError, WriteError
from medlocker.files import check_relative_name, make_folder, write_atomic

_PLAN, _JOB = "plan.json", "job.json"
PRIVATE = 0o600


class Staging:
    """The folder of one release's transfers.

    Args:
        release: The release's folder, which need not exist.
    """

    def __init__(self, release: Path) -> None:
        release = Path(os.path.abspath(release))  # "." has no name to stand beside
        self.folder = release.with_name(f".{release.name}.medlocker-transfer")
        self.instances = self.folder / "instances"

    def make(self) -> None:
        """Make the folder, readable by this user alone.

        Raises:
            InputError: If something else, or somebody else's folder, is in its place.
            WriteError: If the system refuses.
        """
        make_folder(self.folder.parent)
        with suppress(FileExistsError), _writing(self.folder):
            self.folder.mkdir(mode=0o700)
        status = os.lstat(self.folder)
        # Windows tells nothing by these: there a folder is as private as the one around it
        shared = os.name == "posix" and (status.st_uid != os.geteuid() or status.st_mode & 0o077)
        if not stat.S_ISDIR(status.st_mode) or shared:
            raise InputError(
                f"{self.folder.name}: expected a folder that only this user can read",
                subject=self.folder.name,
                hint="it is for patient data: remove what is there, or choose another --out",
            )

    def write_plan(self, planned: Iterable[Planned], *, source: str, passed_over: int) -> None:
        """Remember what is fetched, so that names stay the same if the study grows meanwhile.

        Raises:
            WriteError: If the system refuses.
        """
        value = {
            "source": source,
            "passed_over": passed_over,
            "closed": False,
            "instances": [asdict(one) for one in planned],
        }
        self._write(_PLAN, value)

    def read_plan(self, *, source: str) -> tuple[list[Planned], int, bool] | None:
        """Return what an earlier run planned, how much it passed over, and whether fetching has ended.

        Raises:
            InputError: If it was for another address, or is damaged.
        """
        value = self._read(_PLAN)
        if value is None:
            return None
        if value.get("source") != source:
            raise InputError(
                "there is an unfinished transfer of another study or series beside the release",
                hint=f"repeat its command, choose another --out, or remove {self.folder.name}",
            )
        try:
            planned = [Planned(**one) for one in value["instances"]]
            for one in planned:
                check_relative_name(one.name, what=_PLAN)
                if not (is_uid(one.series) and is_uid(one.uid)):
                    raise ValueError
            return planned, int(value["passed_over"]), bool(value["closed"])
        except (KeyError, TypeError, ValueError, AttributeError, InputError):
            raise self._damaged(_PLAN) from None

    def close_plan(self) -> None:
        """Note that nothing more is fetched: the run works on what is there, also when resumed.

        Raises:
            WriteError: If the system refuses.
        """
        value = self._read(_PLAN)
        if value is not None and not value.get("closed"):
            self._write(_PLAN, {**value, "closed": True})

    def write_job(self, source: str, target: str) -> None:
        """Note that what comes from ``source`` is to be pushed to ``target``.

        Raises:
            WriteError: If the system refuses.
        """
        self._write(_JOB, {"source": _digest(source), "target": _digest(target)})

    def has_job(self, source: str, target: str) -> bool:
        """Tell whether an earlier run of the same command is still to be pushed."""
        try:
            return self._read(_JOB) == {"source": _digest(source), "target": _digest(target)}
        except InputError:
            return False

    def log_path(self, target: str) -> Path:
        """Return where the names of what was pushed to ``target`` are kept."""
        return self.folder / f"pushed-{_digest(target)[:16]}.txt"

    def discard_patient_data(self) -> None:
        """Remove all that was fetched.

        Raises:
            WriteError: If the system refuses.
        """
        with _writing(self.folder):
            if os.path.lexists(self.instances):
                shutil.rmtree(self.instances)
            (self.folder / _PLAN).unlink(missing_ok=True)
            self._remove_if_empty()

    def discard_job(self, target: str) -> None:
        """Remove what was noted about pushing.

        Raises:
            WriteError: If the system refuses.
        """
        with _writing(self.folder):
            (self.folder / _JOB).unlink(missing_ok=True)
            self.log_path(target).unlink(missing_ok=True)
            self._remove_if_empty()

    def _remove_if_empty(self) -> None:
        with suppress(OSError):  # another transfer of this release may still be under way
            self.folder.rmdir()

    def _write(self, name: str, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode("ascii")
        write_atomic(self.folder / name, data, overwrite=True, mode=PRIVATE)

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            value = json.loads((self.folder / name).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, RecursionError):
            raise self._damaged(name) from None
        if not isinstance(value, dict):
            raise self._damaged(name)
        return value

    def _damaged(self, name: str) -> InputError:
        return InputError(
            f"{self.folder.name}: {name} is damaged",
            subject=self.folder.name,
            hint=f"remove {self.folder.name} to begin again",
        )


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise WriteError(
            f"cannot write {folder.name}: {(error.strerror or '').lower()}", subject=folder.name
        ) from error


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
