"""The private folder beside a release in which a transfer lives until it is complete.

``instances/`` and ``plan`` hold patient data: they go when the run over them has ended.
``pushed-*`` (digests of addresses, names in the release) goes when all is pushed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medlocker.dicomweb._address import is_uid
from medlocker.dicomweb._plan import PlannedInstance
from medlocker.dicomweb._pushlog import PRIVATE, PushLog
from medlocker.errors import InputError, MedlockerError, WriteError
from medlocker.files import check_relative_name, make_folder
from medlocker.store import Store, read_head
from medlocker.strictjson import from_json

_PLAN = "plan"


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

    def write_plan(self, planned: Iterable[PlannedInstance], *, source: str, passed_over: int) -> None:
        """Remember what is fetched, so that names stay the same if the study grows meanwhile.

        Raises:
            WriteError: If the system refuses.
        """
        self._discard(_PLAN)  # a half one
        plan = Store(self.folder / _PLAN, {"source": source}, mode=PRIVATE)
        with closing(plan):
            for one in planned:
                plan.add(asdict(one))
            plan.add({"passed_over": passed_over})

    def read_plan(self, *, source: str) -> tuple[list[PlannedInstance], int, bool] | None:
        """Return what an earlier run planned, how much it passed over, and whether fetching has ended.

        Raises:
            InputError: If it was for another address, or is damaged.
        """
        path = self.folder / _PLAN
        planned: list[PlannedInstance] = []
        ends: dict[str, Any] = {}

        def take(value: dict[str, Any], mark: int) -> None:
            if value.keys() & {"passed_over", "closed"}:
                ends.update(value)
            else:
                planned.append(_checked(from_json(PlannedInstance, value)))

        try:
            head = read_head(path)
            if head is None:
                return None
            if head["source"] == source:
                plan = Store(path, head, take=take)
                plan.close()
        except (MedlockerError, KeyError):
            raise self._damaged(_PLAN) from None
        if head["source"] != source:
            raise InputError(
                "there is an unfinished transfer of another study or series beside the release",
                hint=f"repeat its command, choose another --out, or remove {self.folder.name}",
            )
        if plan.lost:
            raise self._damaged(_PLAN)
        if "passed_over" not in ends:  # killed while it was written: nothing was fetched by it yet
            return None
        return planned, int(ends["passed_over"]), "closed" in ends

    def close_plan(self) -> None:
        """Note that nothing more is fetched: the run works on what is there, also when resumed.

        Raises:
            WriteError: If the system refuses.
        """
        if (self.folder / _PLAN).exists():
            with closing(Store(self.folder / _PLAN, {})) as plan:
                plan.add({"closed": True})

    def write_job(self, source: str, target: str) -> None:
        """Note that what comes from ``source`` is to be pushed to ``target``.

        Raises:
            WriteError: If the system refuses.
        """
        with closing(PushLog(self.log_path(target))) as log:
            log.add_job(_digest(source))

    def has_job(self, source: str, target: str) -> bool:
        """Tell whether an earlier run of the same command is still to be pushed."""
        path = self.log_path(target)
        try:
            if not path.exists():
                return False
            with closing(PushLog(path)) as log:
                return _digest(source) in log.jobs
        except (OSError, MedlockerError):
            return False

    def log_path(self, target: str) -> Path:
        """Return where the names of what was pushed to ``target`` are kept."""
        return self.folder / f"pushed-{_digest(target)[:16]}"

    def discard_patient_data(self) -> None:
        """Remove all that was fetched.

        Raises:
            WriteError: If the system refuses.
        """
        with _writing(self.folder):
            if os.path.lexists(self.instances):
                shutil.rmtree(self.instances)
            self._discard(_PLAN)
            self._remove_if_empty()

    def discard_job(self, target: str) -> None:
        """Remove what was noted about pushing.

        Raises:
            WriteError: If the system refuses.
        """
        with _writing(self.folder):
            self.log_path(target).unlink(missing_ok=True)
            self._remove_if_empty()

    def _remove_if_empty(self) -> None:
        with suppress(OSError):  # another transfer of this release may still be under way
            self.folder.rmdir()

    def _discard(self, name: str) -> None:
        with _writing(self.folder):
            (self.folder / name).unlink(missing_ok=True)

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


def _checked(one: PlannedInstance) -> PlannedInstance:
    check_relative_name(one.name, what=_PLAN)
    if not (is_uid(one.series) and is_uid(one.uid)):
        raise ValueError("expected UIDs")
    return one


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
