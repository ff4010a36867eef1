"""Sending the marked instances of a release to a server; the certificate stays.

Only what the owner signed is sent: a file that is not the signed one could be an original. What the server
has, by its own word or by our list, is not sent again.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pydicom

from medlocker.certificates import CompanionEntry, IndexEntry, Release
from medlocker.dicomweb._address import is_uid
from medlocker.dicomweb._http import ForbiddenError, Server, ServerGoneError
from medlocker.dicomweb._parallel import run_parallel
from medlocker.dicomweb._pushlog import PushLog
from medlocker.dicomweb._qido import find_instances
from medlocker.dicomweb._stow import store
from medlocker.errors import (
    CertificateError,
    Failure,
    InputError,
    MedlockerError,
    TransferError,
    WrongImageError,
)
from medlocker.files import read_limited
from medlocker.formats.dicom import has_dicom_name, is_dicom_file, quiet
from medlocker.images import LIMITS

_STUDY, _SERIES, _INSTANCE = 0x0020000D, 0x0020000E, 0x00080018
_Entry = IndexEntry | CompanionEntry
_REMEMBERED = 16
"""Series whose instances on the server are remembered; images come series by series."""


@dataclass(frozen=True)
class Marked:
    """What of a release is pushed.

    Args:
        other: How many files are of other formats, which a DICOM server does not take.
    """

    entries: tuple[_Entry, ...]
    other: int


@dataclass(frozen=True)
class Pushed:
    """What was pushed.

    Args:
        instances: DICOM files of the release.
        sent: How many of them the server has stored in this run.
        already: How many it had.
        changed: How many of those sent it says it has changed.
        failed: Why the others are not.
        untrusted: Whether a file was not the one that the owner signed.
    """

    instances: int
    sent: int
    already: int
    changed: int
    failed: tuple[Failure, ...]
    untrusted: bool

    @property
    def exit_code(self) -> int:
        """0 if the server has all, 3 if a file is not the signed one, else 1."""
        return 3 if self.untrusted else int(bool(self.failed))


def find_marked(release: Release) -> Marked:
    """List the DICOM files of a release, by their names or their first bytes; companions too.

    Raises:
        CertificateError: If the index is not the signed one.
    """
    entries: list[_Entry] = []
    other = 0
    for line in release.lines():
        if _may_be_dicom(release, line.entry):
            entries.append(line.entry)
        else:
            other += 1
    for companion in release.companions():
        if companion.entry.kind == "companion":
            entries.append(companion.entry)
        else:  # a copy that is DICOM was not made for this release
            other += companion.entry.kind == "copy"
    return Marked(tuple(entries), other)


def push(
    release: Release,
    marked: Marked,
    server: Server,
    log: PushLog,
    *,
    progress: Callable[[str, Failure | None], None] = lambda name, failure: None,
) -> Pushed:
    """Send what the server does not have yet.

    Args:
        release: With its statement checked.
        marked: From :func:`find_marked`.
        log: What was pushed there before.
        progress: Called with each name and, if it failed, why.

    Raises:
        MedlockerError: If the server is gone or refuses all. What is stored stays noted.
    """
    missing: list[_Entry] = []
    for entry in marked.entries:
        if entry.name in log.names:
            progress(entry.name, None)
        else:
            missing.append(entry)
    already = len(marked.entries) - len(missing)
    sent = changed = 0
    failed: list[Failure] = []
    untrusted = False
    one = _Pusher(release, server, log)
    try:
        for entry, result in run_parallel(missing, one.push):
            failure = None
            if isinstance(result, MedlockerError):
                failure = Failure.of(result, entry.name)
                failed.append(failure)
                untrusted |= isinstance(result, CertificateError)
            elif result is None:
                already += 1
            else:
                sent += 1
                changed += not result
            progress(entry.name, failure)
    except MedlockerError as error:
        if not already + sent:
            raise
        raise TransferError(
            f"the server has {already + sent} of {len(marked.entries)} instances, then: {error}",
            hint="; ".join(text for text in (error.hint, "repeat the command to push the rest") if text),
        ) from error
    return Pushed(len(marked.entries), sent, already, changed, tuple(failed), untrusted)


class _Pusher:
    """Pushes single instances, from several threads."""

    def __init__(self, release: Release, server: Server, log: PushLog) -> None:
        self._release = release
        self._server = server
        self._log = log
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], frozenset[str]] = OrderedDict()

    def push(self, entry: _Entry) -> bool | None:
        """Send one instance.

        Returns:
            None if the server had it, else whether it stored it unchanged.
        """
        path = self._release.image_path(entry)
        try:
            data = read_limited(path, max_bytes=LIMITS.max_file_bytes, what="marked file")
        except InputError as error:  # a signed file that cannot be read costs only itself
            raise WrongImageError(str(error), subject=error.subject) from error
        if hashlib.sha256(data).hexdigest() != entry.file:
            raise WrongImageError(
                f"{entry.name}: it is not the file that the owner signed", subject=entry.name
            )
        study, series, instance = _uids(data)
        unchanged = None
        if instance not in self._on_server(study, series):
            unchanged = store(self._server, data)
        self._log.add(entry.name)
        return unchanged

    def _on_server(self, study: str, series: str) -> frozenset[str]:
        """Return which instances of a series the server has; none if it does not say."""
        key = study, series
        with self._lock:  # the other threads want to know the same
            if key not in self._known:
                try:
                    found = find_instances(self._server, study, series)
                except ServerGoneError:
                    raise
                except (TransferError, ForbiddenError):
                    found = []  # sending an instance twice does no harm
                self._known[key] = frozenset(one.uid for one in found)
                while len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
            return self._known[key]


def _may_be_dicom(release: Release, entry: _Entry) -> bool:
    if has_dicom_name(Path(entry.name)):
        return True  # pushing it tells what is wrong if it is none
    try:
        return is_dicom_file(release.image_path(entry))
    except WrongImageError:
        return False


def _uids(data: bytes) -> tuple[str, str, str]:
    """Return the UIDs of study, series and instance."""
    tags = [_STUDY, _SERIES, _INSTANCE]
    try:
        with quiet():
            dataset = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, specific_tags=list(tags))
        # as stored: converting values may warn, and warnings quote them
        values = [dataset.get_item(tag).value.decode("ascii").strip("\0 ") for tag in tags]
    except Exception:
        values = []
    if len(values) != len(tags) or not all(map(is_uid, values)):
        raise TransferError("expected a DICOM file with UIDs of study, series and instance")
    return values[0], values[1], values[2]
