"""Files beside marked ones that say where these come from, where the files themselves have no place for it.

They are written when all images are done: from the run alone, never from what lies in its folder. Each is
listed among the release's files beside the images, so it is signed; restoring leaves it out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from medlocker.certificates import CREDENTIALS_ENDING, CompanionEntry, ContentCredentials, IndexEntry
from medlocker.errors import InputError
from medlocker.files import check_relative_name, read_limited, write_atomic
from medlocker.formats import glance_image
from medlocker.images import LIMITS
from medlocker.provenance import PROGRAM, Provenance
from medlocker.release._credentials import CredentialsWriter
from medlocker.release._journal import Journal

_NIFTI_ENDINGS = (".nii.gz", ".nii")


@dataclass(frozen=True)
class _Planned:
    """A file to write.

    Args:
        name: Relative to the images.
        content: Makes its bytes; nothing where it is not needed after all.
        index: Of the image that it is about.
    """

    name: str
    content: Callable[[], bytes]
    index: int


@dataclass(frozen=True, eq=False)
class SidecarWriter:
    """Writes the sidecars of a run.

    Args:
        images: Folder of the marked files.
        provenance: What they say.
        credentials: Signs for files that hold no credentials themselves, or None.
        holding: Digests of marked files that are known to hold some.
        workers: Threads.
    """

    images: Path
    provenance: Provenance
    credentials: ContentCredentials | None
    holding: Collection[str]
    workers: int

    def write(
        self, marked: Iterable[IndexEntry], *, taken: Collection[str]
    ) -> tuple[list[CompanionEntry], int]:
        """Write them.

        Args:
            marked: All marked files of the release.
            taken: Names of other files of the release.

        Returns:
            What to list, by ascending name, and how many could not be written: another file has the name, or
            the name would be too long.

        Raises:
            WriteError: If the system refuses.
        """
        entries = list(marked)
        others = {*taken, *(entry.name for entry in entries)}
        others |= {name[:end] for name in others for end, letter in enumerate(name) if letter == "/"}
        planned = [one for entry in entries for one in self._plan(entry)]
        fitting: dict[str, _Planned] = {}
        for one in planned:
            if one.name not in others and one.name not in fitting and _is_good(one.name):
                fitting[one.name] = one
        with ThreadPoolExecutor(self.workers, thread_name_prefix="sidecars") as threads:
            made = list(threads.map(self._write, (fitting[name] for name in sorted(fitting))))
        return [entry for entry in made if entry is not None], len(planned) - len(fitting)

    def _plan(self, entry: IndexEntry) -> Iterator[_Planned]:
        ending = next((end for end in _NIFTI_ENDINGS if entry.name.lower().endswith(end)), "")
        if ending:
            yield _Planned(f"{entry.name[: -len(ending)]}.json", self._description, entry.index)
        if self.credentials is not None and entry.file not in self.holding:
            yield _Planned(entry.name + CREDENTIALS_ENDING, partial(self._credentials_of, entry), entry.index)

    def _write(self, planned: _Planned) -> CompanionEntry | None:
        content = planned.content()
        if not content:
            return None
        write_atomic(self.images.joinpath(*planned.name.split("/")), content, overwrite=True)
        digest = hashlib.sha256(content).hexdigest()
        return CompanionEntry(planned.name, digest, "sidecar", ((planned.index, planned.index),))

    def _description(self) -> bytes:
        """Return what BIDS calls a sidecar, with the metadata of derivatives."""
        program = {"Name": PROGRAM, "Version": self.provenance.version}
        value = {"Description": self.provenance.description, "GeneratedBy": [program]}
        return (json.dumps(value, indent=2) + "\n").encode("ascii")

    def _credentials_of(self, entry: IndexEntry) -> bytes:
        """Return credentials for a file without any inside; nothing for one that somebody changed."""
        path = self.images.joinpath(*entry.name.split("/"))
        try:
            data = read_limited(path, max_bytes=LIMITS.max_file_bytes, what="marked file")
        except InputError:
            return b""
        if self.credentials is None or hashlib.sha256(data).hexdigest() != entry.file:
            return b""
        kind = glance_image(data, name=entry.name).format
        if self.credentials.signed(data, kind=kind):
            return b""
        return self.credentials.detach(data)


def write_sidecars(
    journal: Journal,
    *,
    images: Path,
    provenance: Provenance | None,
    credentials: CredentialsWriter | None,
    taken: Collection[str],
    workers: int,
    say: Callable[[str], None],
) -> list[CompanionEntry]:
    """Write what says where marked files come from that have no place for it themselves.

    Args:
        journal: Of the run; all images are done.
        images: Folder of the marked files.
        provenance: What is said; None for nothing.
        credentials: What signed the marked files, or None.
        taken: Names of other files of the release.
        workers: Threads.
        say: Called with a sentence if some could not be written.

    Returns:
        What to list, by ascending name.

    Raises:
        WriteError: If the system refuses.
    """
    if provenance is None:
        return []
    signer, holding = (None, ()) if credentials is None else (credentials.credentials, credentials.holding)
    writer = SidecarWriter(images, provenance, signer, holding, workers)
    entries = (journal.done[index].entry for index in sorted(journal.done))
    made, missing = writer.write((entry for entry in entries if entry is not None), taken=taken)
    if missing:
        say(f"{missing} files beside marked ones could not be written: others have their names")
    return made


def _is_good(name: str) -> bool:
    try:
        check_relative_name(name, what="sidecar")
    except InputError:
        return False
    return True
