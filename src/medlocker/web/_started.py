"""Runs of `protect` that a browser started: each is the real command in a process of its own.

So a run outlives the server, and the server a run. What was asked for is kept beside the release, as the
fields of the form: they are checked again before the same command goes on. No option that loads code can be
among them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from medlocker.errors import InputError, WriteError
from medlocker.files import make_folder, read_limited, write_atomic
from medlocker.options import MissingRegions, Preset
from medlocker.release import IMAGE_SUFFIXES
from medlocker.strictjson import from_json
from medlocker.web._roots import Roots

_ASKED, _TOLD, _MESSAGES = "asked.json", "result.json", "messages.txt"
_MOST_BYTES = 1 << 20
_SHOWN_BYTES = 20_000


@dataclass(frozen=True)
class Asked:
    """What a form asked for; places are names below the roots.

    Args:
        images: File or folder.
        owner: ``NAME.sign.key``.
        out: Folder of the release.
        labels: Table, or empty.
        regions: File or folder, or empty.
        logo: Picture, or empty.
        model: File or folder, or empty.
        needs_review: Let only approved images be granted.
        keep_original: Seal the original files too.
        anatomy: Keep optic disc and macula free.
        missing_regions: What images are of which the regions say nothing, or empty.
        redo: An earlier release whose review asked for other marks, or empty.
    """

    images: str
    owner: str
    out: str
    preset: Preset = "veil"
    labels: str = ""
    regions: str = ""
    logo: str = ""
    model: str = ""
    needs_review: bool = False
    keep_original: bool = False
    anatomy: bool = False
    redo: str = ""
    missing_regions: str = ""

    def command(self, roots: Roots) -> list[str]:
        """Return the command line.

        Raises:
            InputError: If a place is not below the roots, or a name is unknown.
        """
        if self.preset not in get_args(Preset):
            raise InputError("expected a preset of paper, strong or veil")
        if self.missing_regions not in ("", *get_args(MissingRegions)):
            raise InputError("images without regions: expected refuse, none or candidates")
        images, out = roots.path(self.images), roots.path(self.out)
        if images.is_file() and not images.name.lower().endswith(tuple(IMAGE_SUFFIXES)):
            # a list could name files elsewhere
            raise InputError(f"{images.name}: expected a folder or an image", subject=images.name)
        if out in roots.folders:
            raise InputError("expected a new folder below a folder of this server for the release")
        given = {
            "--labels": self.labels,
            "--regions": self.regions,
            "--logo": self.logo,
            "--model": self.model,
            "--redo": self.redo,
        }
        flags = {
            "--needs-review": self.needs_review,
            "--keep-original": self.keep_original,
            "--anatomy": self.anatomy,
        }
        line = [str(images), "--owner", str(owner_name(roots.file(self.owner)))]
        line += ["--out", str(out), "--preset", self.preset]
        for option, place in given.items():
            if place:
                line += [option, str(_there(roots, place))]
        if self.missing_regions and self.regions:
            line += ["--missing-regions", self.missing_regions]
        line += [flag for flag, is_on in flags.items() if is_on]
        return [sys.executable, "-P", "-m", "medlocker", "protect", *line, "--json"]


def owner_name(signing: Path) -> Path:
    """Return NAME of an owner's keys from the file ``NAME.sign.key``.

    Raises:
        InputError: If the file is not called so.
    """
    ending = ".sign.key"
    if not signing.name.endswith(ending) or signing.name == ending:
        raise InputError(f"{signing.name}: expected an owner's key NAME{ending}", subject=signing.name)
    return signing.with_name(signing.name[: -len(ending)])


class StartedRuns:
    """Starts and stops runs.

    Args:
        roots: Folders below which they work.
    """

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._lock = threading.Lock()
        self._processes: dict[Path, subprocess.Popen[bytes]] = {}

    def start(self, asked: Asked) -> None:
        """Begin a run, or go on with it.

        Raises:
            InputError: If it is running already, or something asked for cannot be used.
            WriteError: If the system refuses.
        """
        command = asked.command(self._roots)
        release = self._roots.path(asked.out)
        with self._lock:
            if self.is_running(release):
                raise InputError(f"{release.name}: a run is at work there already", subject=release.name)
            folder = notes_folder(release)
            make_folder(folder)
            folder.chmod(0o700)
            write_atomic(folder / _ASKED, json.dumps(asdict(asked)).encode(), overwrite=True, mode=0o600)
            try:
                with (folder / _TOLD).open("wb") as told, (folder / _MESSAGES).open("wb") as messages:
                    self._processes[release] = subprocess.Popen(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=told,
                        stderr=messages,
                        cwd=sys.prefix,  # nothing below the roots may be taken for a library
                        start_new_session=True,  # an interrupt of the server is none of the run
                        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "PYTHONSAFEPATH": "1"},
                    )
            except OSError as error:
                reason = (error.strerror or "the system refuses").lower()
                raise WriteError(f"cannot start a run: {reason}") from error

    def is_running(self, release: Path) -> bool:
        """Tell whether a run that this server started is at work."""
        process = self._processes.get(release)
        return process is not None and process.poll() is None

    def stop(self, release: Path) -> None:
        """Interrupt a run; what is done is kept.

        Raises:
            InputError: If this server did not start it.
        """
        with self._lock:
            process = self._processes.get(release)
            if process is None or process.poll() is not None:
                raise InputError(
                    f"{release.name}: no run that this server started is at work there",
                    hint="interrupt it where it was started",
                    subject=release.name,
                )
            process.send_signal(signal.SIGINT)


def notes_folder(release: Path) -> Path:
    """Return where what was asked for and told of a run lies: ``RELEASE.run`` beside the release."""
    return release.with_name(f"{release.name}.run")


def read_asked(release: Path) -> Asked | None:
    """Return what was asked for, None if no browser started the run.

    Raises:
        InputError: If it cannot be read.
    """
    path = notes_folder(release) / _ASKED
    if not path.is_file() or path.is_symlink():
        return None
    try:
        return from_json(Asked, json.loads(read_limited(path, max_bytes=_MOST_BYTES, what="run")))
    except (ValueError, RecursionError):
        raise InputError(f"{path.parent.name}/{path.name}: expected what was asked for") from None


def result_of(release: Path) -> dict[str, Any]:
    """Return what a run told at its end, nothing if it has not ended or nobody started it here."""
    try:
        found = json.loads(read_limited(notes_folder(release) / _TOLD, max_bytes=_MOST_BYTES, what="run"))
    except (InputError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def messages_of(release: Path) -> list[str]:
    """Return the last lines that a run said."""
    path = notes_folder(release) / _MESSAGES
    try:
        with path.open("rb") as stream:
            stream.seek(max(path.stat().st_size - _SHOWN_BYTES, 0))
            lines = stream.read(_SHOWN_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return [line for line in lines if line.strip()][-30:]


def _there(roots: Roots, place: str) -> Path:
    path = roots.path(place)
    if not path.exists():
        raise InputError(f"{path.name}: there is no such file or folder", subject=path.name)
    return path
