"""DICOM objects that travel with the marked images: which can, and what their references become.

An object travels only if all that it refers to does: no reference may lead to an original, or to nothing.
All is decided from the files themselves, so that a run that was killed comes to the same end.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medlocker.certificates import CompanionEntry, ReleaseSecret, to_ranges
from medlocker.errors import Code, Failure, InputError, MedlockerError
from medlocker.files import read_limited
from medlocker.formats import Keep
from medlocker.formats.dicom import Companion, edited_companion, instance_and_study, read_companion
from medlocker.release._copies import Copied
from medlocker.search import file_threads

_AT_ONCE = 1024
_MOST_RANGES = 4096
_MOST_BYTES = 1 << 31
"""What a sealed original may have; docs/FORMAT.md, section 19."""
MarkedImage = tuple[int, Path, Path]
"""Number, original file, marked file."""


@dataclass(frozen=True)
class TravellingObject:
    """One DICOM object that travels.

    Args:
        file: Where the original lies, and its name.
        word: What it is, for messages.
        instance: Its SOP Instance UID.
        sha256: Of the original file.
        images: Numbers of the marked images that it is about, itself or through other objects: pairs.
        studies: Of how many studies these images are.
    """

    file: Copied
    word: str
    instance: str = field(repr=False)
    sha256: str
    images: tuple[tuple[int, int], ...]
    studies: int


@dataclass(frozen=True)
class Travelling:
    """What travels and what does not.

    Args:
        objects: By name.
        uids: From old to new SOP Instance UIDs, of images that are referred to and of the objects.
        left_out: Why others do not travel.
    """

    objects: tuple[TravellingObject, ...] = ()
    uids: Mapping[str, str] = field(default_factory=dict, repr=False)
    left_out: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class _Candidate:
    file: Copied
    sha256: str
    told: Companion


@dataclass(frozen=True)
class _Image:
    index: int
    uid: str
    study: str


def find_travelling(
    candidates: Sequence[Copied],
    marked: Callable[[], Iterable[MarkedImage]],
    *,
    secret: ReleaseSecret,
    keep: Keep,
    workers: int,
) -> Travelling:
    """Decide which objects travel with the marked images.

    Args:
        candidates: DICOM files that are no images, by name.
        marked: Returns the marked DICOM images; only asked if something refers to any.
        secret: Of the release.
        keep: What else than harmless elements passes.
        workers: Threads that read headers.
    """
    left_out: list[Failure] = []
    known = _readable(candidates, left_out, keep=keep)
    wanted = {uid for one in known.values() for uid in (one.told.instance, *one.told.references)}
    images = _find_images(marked, wanted, workers=workers) if wanted else {}
    about = _settle(known, images, left_out)
    studies = {image.index: image.study for image in images.values()}
    objects = []
    for instance, numbers in about.items():
        one, ranges = known[instance], to_ranges(sorted(numbers))
        if len(ranges) > _MOST_RANGES:  # fewer people may open it then, not more
            ranges = [[ranges[0][0], ranges[-1][1]]]
        pairs = tuple((first, last) for first, last in ranges)
        count = len({studies[number] for number in numbers})
        objects.append(TravellingObject(one.file, one.told.word, instance, one.sha256, pairs, count))
    objects.sort(key=lambda one: one.file.name)
    uids = {uid: image.uid for uid, image in images.items()}
    uids |= {one.instance: _new_uid(one.sha256, secret) for one in objects}
    return Travelling(tuple(objects), uids, tuple(sorted(left_out)))


def edited(one: TravellingObject, travelling: Travelling, *, keep: Keep) -> tuple[bytes, bytes]:
    """Return an object's original bytes, and those that travel.

    Raises:
        InputError: If it was changed meanwhile.
    """
    data = _read(one.file)
    if hashlib.sha256(data).hexdigest() != one.sha256:
        raise InputError(
            f"{one.file.name}: it was changed while the run went on",
            hint="repeat the command",
            subject=one.file.name,
        )
    return data, edited_companion(data, travelling.uids, name=one.file.name, keep=keep)


def _new_uid(sha256: str, secret: ReleaseSecret) -> str:
    """Return the SOP Instance UID of an object in one release, the same whenever it is made."""
    return f"2.25.{uuid.UUID(bytes=secret.derive('companion', sha256, length=16), version=4).int}"


def _read(file: Copied) -> bytes:
    return read_limited(file.path, max_bytes=_MOST_BYTES, what="DICOM object")


def _readable(candidates: Sequence[Copied], left_out: list[Failure], *, keep: Keep) -> dict[str, _Candidate]:
    """Return the objects that can be read, each once, by SOP Instance UID."""
    known: dict[str, _Candidate] = {}
    for file in candidates:
        try:
            data = _read(file)
            told = read_companion(data, name=file.name, keep=keep)
            digest = hashlib.sha256(data).hexdigest()
            CompanionEntry(file.name, digest, "companion", ((0, 0),))  # refuses names that cannot be signed
        except (MedlockerError, MemoryError) as error:
            left_out.append(Failure.of(error, file.name))
            continue
        first = known.setdefault(told.instance, _Candidate(file, digest, told))
        if first.file is not file:
            left_out.append(_because(file, f"the same instance as {first.file.name}", Code.SAME_INSTANCE))
    return known


def _find_images(
    marked: Callable[[], Iterable[MarkedImage]], wanted: set[str], *, workers: int
) -> dict[str, _Image]:
    """Return the images that are referred to, by the SOP Instance UIDs of their originals."""

    def look(one: MarkedImage) -> tuple[str, _Image] | None:
        index, original, path = one
        old = instance_and_study(original)
        if old is None or old[0] not in wanted:
            return None
        new = instance_and_study(path)
        return None if new is None else (old[0], _Image(index, new[0], old[1]))

    found: dict[str, _Image] = {}
    with file_threads(workers) as threads:
        for some in _batches(marked()):
            found.update(pair for pair in threads.map(look, some) if pair is not None)
    return found


def _batches(images: Iterable[MarkedImage]) -> Iterator[list[MarkedImage]]:
    some: list[MarkedImage] = []
    for one in images:
        some.append(one)
        if len(some) == _AT_ONCE:
            yield some
            some = []
    yield some


def _settle(
    known: Mapping[str, _Candidate], images: Mapping[str, _Image], left_out: list[Failure]
) -> dict[str, set[int]]:
    """Return which objects travel, each with the numbers of the images that it is about.

    Objects may refer to each other in a circle. What refers to something that stays behind stays behind too,
    until nothing changes any more.
    """
    alive = dict(known)
    while True:
        about = _about(alive, images)
        staying: dict[str, str] = {}
        for instance, one in alive.items():
            lost = sum(uid not in images and uid not in alive for uid in one.told.references)
            if instance in images:
                staying[instance] = "it is the same instance as an image"
            elif not about[instance]:
                staying[instance] = "it refers to no image of the release"
            elif lost:
                what = "an instance that is" if lost == 1 else f"{lost} instances that are"
                staying[instance] = f"it refers to {what} not in the release"
        if not staying:
            return about
        for instance, reason in staying.items():
            left_out.append(_because(alive.pop(instance).file, reason, Code.REFERENCE_LOST))


def _about(alive: Mapping[str, _Candidate], images: Mapping[str, _Image]) -> dict[str, set[int]]:
    about = {
        instance: {images[uid].index for uid in one.told.references if uid in images}
        for instance, one in alive.items()
    }
    changed = True
    while changed:
        changed = False
        for instance, one in alive.items():
            numbers = about[instance]
            before = len(numbers)
            for uid in one.told.references:
                numbers |= about.get(uid, set())
            changed = changed or len(numbers) != before
    return about


def _because(file: Copied, reason: str, code: Code) -> Failure:
    return Failure(file.name, f"{file.name}: {reason}", code, file.name)
