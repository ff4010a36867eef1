"""What of a run's files travels beside the marked images, looked for when all of these are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from medlocker.certificates import Ledger
from medlocker.errors import CertificateError
from medlocker.formats import Keep
from medlocker.formats.dicom import is_dicom_file
from medlocker.release._beside import Beside, write_beside
from medlocker.release._companions import MarkedImage, find_travelling
from medlocker.release._copies import Copied
from medlocker.release._inputs import Input
from medlocker.release._journal import Journal
from medlocker.release._originals import find_originals
from medlocker.release._sealer import Sealer


def find_beside(
    files: Sequence[Copied],
    items: Sequence[Input],
    *,
    images: Path,
    journal: Journal,
    sealer: Sealer,
    ledger: Ledger | None,
    keep: Keep,
    workers: int,
) -> Beside:
    """Write what travels beside the marked images.

    Args:
        files: DICOM objects, which travel if they are about marked images, and others, which are copied.
        items: All inputs.
        images: Folder of the marked files.
        journal: Of the run, with all images done.
        sealer: Opens what it sealed.
        ledger: Knows the originals of other releases, or None.
        keep: What else than harmless metadata passes.
        workers: Threads that read.

    Raises:
        InputError: If a file was changed meanwhile.
        WriteError: If the system refuses.
    """
    objects: list[Copied] = []
    copies: list[Copied] = []
    for file in sorted(files, key=lambda one: one.name):
        (objects if is_dicom_file(file.path) else copies).append(file)

    def marked() -> Iterator[MarkedImage]:
        for index in sorted(journal.done):
            entry = journal.done[index].entry
            if entry is not None:
                yield index, items[index].path, images.joinpath(*entry.name.split("/"))

    def known(done: set[int]) -> Iterator[tuple[str, str]]:
        for index in sorted(done):
            with suppress(
                CertificateError
            ):  # a changed record ends the run soon, and its image is made again
                record = sealer.opened(journal.done[index])
                yield record.original_file, record.original_pixels

    def originals(some: Sequence[Copied]) -> set[str]:
        if not some:
            return set()
        done = {index for index in journal.done if journal.done[index].entry is not None}
        rest = (item.path for index, item in enumerate(items) if index not in done)
        return find_originals(some, known(done), rest, ledger=ledger, workers=workers)

    travelling = find_travelling(objects, marked, secret=journal.secret, keep=keep, workers=workers)
    return write_beside(images, travelling, copies, originals=originals, keep=keep)
