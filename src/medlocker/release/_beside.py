"""Writing the files that travel beside the marked images: companions and copies."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medlocker.certificates import CompanionEntry
from medlocker.errors import Code, Failure, InputError, MedlockerError, WriteError
from medlocker.files import make_folder, opened_regular, write_atomic
from medlocker.formats import Keep
from medlocker.release._companions import Travelling, TravellingObject, edited
from medlocker.release._copies import Copied

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Beside:
    """What travels beside the marked images.

    Args:
        travelling: DICOM objects.
        copied: Files that travel as they are.
        left_out: Why other files do not.
        entries: What is public of each that was written, by name.
    """

    travelling: Travelling = field(default_factory=Travelling)
    copied: tuple[Copied, ...] = ()
    left_out: tuple[Failure, ...] = ()
    entries: tuple[CompanionEntry, ...] = field(default=(), repr=False)

    @property
    def kinds(self) -> dict[str, int]:
        """How many DICOM objects of each kind travel."""
        return dict(sorted(Counter(one.word for one in self.travelling.objects).items()))

    def to_json(self) -> dict[str, Any]:
        """Return what ``protect --json`` tells."""
        return {
            "companions": len(self.travelling.objects),
            "kinds": self.kinds,
            "of_several_studies": sum(one.studies > 1 for one in self.travelling.objects),
            "copies": len(self.copied),
            "left_out": [one.to_json("file") for one in self.left_out],
        }

    def sealed(
        self, *, keep: Keep, sidecars: Iterable[CompanionEntry] = ()
    ) -> Iterator[tuple[CompanionEntry, bytes | None]]:
        """Yield each entry, by name, with the original to seal, None of a copy and of a sidecar.

        Args:
            keep: What else than harmless elements passes.
            sidecars: What the program itself wrote beside the images.

        Raises:
            InputError: If an original was changed meanwhile.
        """
        objects = {one.file.name: one for one in self.travelling.objects}
        for entry in sorted((*self.entries, *sidecars), key=lambda entry: entry.name):
            one = objects.get(entry.name)
            yield entry, None if one is None else edited(one, self.travelling, keep=keep)[0]


def write_beside(
    images: Path,
    travelling: Travelling,
    copies: Sequence[Copied],
    *,
    originals: Callable[[Sequence[Copied]], set[str]],
    keep: Keep,
) -> Beside:
    """Write what travels into the folder of the marked images.

    Args:
        images: That folder.
        travelling: DICOM objects.
        copies: Files as they are.
        originals: From these files to the names of those that are unmarked originals: they are left out.
        keep: What else than harmless elements passes.

    Raises:
        InputError: If a file was changed meanwhile, or cannot be read.
        WriteError: If the system refuses.
    """
    left_out = list(travelling.left_out)
    for failure in left_out:  # an earlier, interrupted run may have let it travel
        _remove(images, failure.name)
    entries = [_write_object(images, one, travelling, keep=keep) for one in travelling.objects]
    unmarked = originals(copies)
    copied = []
    for copy in copies:
        if copy.name in unmarked:
            reason = f"{copy.name}: it is the unmarked original of an image, so it is not copied"
            left_out.append(Failure(copy.name, reason, Code.UNMARKED_ORIGINAL, copy.name))
            _remove(images, copy.name)
            continue
        try:
            entries.append(_write_copy(images, copy))
        except InputError as error:
            left_out.append(Failure.of(error, copy.name))
            continue
        copied.append(copy)
    entries.sort(key=lambda entry: entry.name)
    return Beside(travelling, tuple(copied), tuple(sorted(left_out)), tuple(entries))


def _write_object(
    images: Path, one: TravellingObject, travelling: Travelling, *, keep: Keep
) -> CompanionEntry:
    _, data = edited(one, travelling, keep=keep)
    write_atomic(_target(images, one.file.name), data, overwrite=True)
    digest = hashlib.sha256(data).hexdigest()
    return CompanionEntry(one.file.name, digest, "companion", one.images)


def _write_copy(images: Path, copy: Copied) -> CompanionEntry:
    digest = hashlib.sha256()
    write_atomic(_target(images, copy.name), _pieces(copy, digest.update), overwrite=True)
    return CompanionEntry(copy.name, digest.hexdigest(), "copy")


def _pieces(copy: Copied, seen: Callable[[bytes], None]) -> Iterator[bytes]:
    try:
        with opened_regular(copy.path) as stream:
            while piece := stream.read(_PIECE_BYTES):
                seen(piece)
                yield piece
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise InputError(f"{copy.name}: {reason}", subject=copy.name) from error


def _target(images: Path, name: str) -> Path:
    """Return where a file goes, its folder made; a link on the way would lead out of the release.

    Raises:
        WriteError: If there is one, or the system refuses.
    """
    target = images.joinpath(*name.split("/"))
    for folder in (parent for parent in target.parents if parent.is_relative_to(images)):
        if folder.is_symlink():
            raise WriteError(f"{name}: expected a folder of the release, got a link", subject=name)
    make_folder(target.parent)
    return target


def _remove(images: Path, name: str) -> None:
    with suppress(MedlockerError, OSError):
        os.unlink(_target(images, name))
