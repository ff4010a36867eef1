"""Which images of a folder can be trained on: labelled, not held out, of classes with enough images."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from medlocker.errors import InputError
from medlocker.files import TEMPORARY_PREFIX, read_limited
from medlocker.labels import Labels, order_classes
from medlocker.regions.names import IMAGE_SUFFIXES, normal_name, split_name, without_suffix

MAX_LIST_BYTES = 64 << 20


@dataclass(frozen=True)
class Sample:
    """One labelled image.

    Args:
        name: Path inside the folder, forward slashes.
        label: Index into the classes.
    """

    name: str
    path: Path
    label: int


@dataclass(frozen=True)
class Found:
    """What a folder and its labels have in common.

    Args:
        samples: Sorted by name.
        classes: Labels in the order of the model's outputs.
        unlabelled: Images without a label.
        unknown: Labels without an image.
        excluded: Images left out on demand.
        unmatched: Names on the list of exclusions that no image has.
    """

    samples: tuple[Sample, ...]
    classes: tuple[str, ...]
    unlabelled: tuple[str, ...]
    unknown: tuple[str, ...]
    excluded: tuple[str, ...]
    unmatched: tuple[str, ...]


def find_samples(
    folder: Path, labels: Labels, *, exclude: Collection[str] = (), limit: int | None = None, seed: int = 0
) -> Found:
    """List the images of a folder (walked) that have a label and are not excluded.

    Args:
        exclude: Names to leave out: relative paths, file names, or file names without ending.
        limit: Take at most about this many, each class in proportion and at least 2.

    Raises:
        InputError: If there are fewer than two classes, or a class has fewer than two images.
    """
    if not folder.is_dir():
        raise InputError(f"images {folder.name}: no such folder", subject=folder.name)
    files = dict(walk_images(folder))
    if not files:
        raise InputError(f"images {folder.name}: expected images, found none", subject=folder.name)
    names = sorted(files)
    left_out, unmatched = names_left_out(names, exclude)
    labelled = {name: label for name in names if (label := labels.for_name(name)) is not None}
    used = {name: label for name, label in labelled.items() if name not in left_out}
    if not used:
        raise InputError(
            f"labels {labels.file}: none of the {len(names)} images in {folder.name} can be used",
            hint="the first column holds file names, with or without folder and ending",
        )
    classes = order_classes(set(used.values()))
    check_classes(list(used.values()), classes, what=f"labels {labels.file}")
    index = {label: k for k, label in enumerate(classes)}
    samples = [Sample(name, files[name], index[label]) for name, label in used.items()]
    if limit is not None and limit < len(samples):
        chosen = stratified([s.label for s in samples], limit / len(samples), seed=seed, at_least=2)
        samples = [samples[i] for i in chosen]
    return Found(
        samples=tuple(samples),
        classes=classes,
        unlabelled=tuple(name for name in names if name not in labelled),
        unknown=labels.unknown(names),
        excluded=tuple(name for name in names if name in left_out),
        unmatched=unmatched,
    )


def check_classes(labels: Sequence[str], classes: tuple[str, ...], *, what: str) -> None:
    """Refuse labels that nothing can be learned from.

    Raises:
        InputError: If there is one class, or one of them has a single image.
    """
    if len(classes) < 2:
        raise InputError(
            f"{what}: expected at least two classes, got only {', '.join(classes)!s:.40}", subject=what
        )
    counts = Counter(labels)
    few = [name for name in classes if counts[name] < 2]
    if few:
        raise InputError(
            f"{what}: expected at least two images of every class, got {counts[few[0]]} of {few[0]!r:.40}",
            subject=what,
            hint="one image for training and one for validation is the least",
        )


def stratified(labels: Sequence[int], share: float, *, seed: int, at_least: int = 1) -> list[int]:
    """Choose positions, ascending, so that every class gives the same share, at least ``at_least``."""
    by_class: dict[int, list[int]] = {}
    for position, label in enumerate(labels):
        by_class.setdefault(label, []).append(position)
    rng = random.Random(seed)
    chosen: list[int] = []
    for label in sorted(by_class):
        members = by_class[label]
        rng.shuffle(members)
        chosen += members[: max(at_least, round(share * len(members)))]
    return sorted(chosen)


def read_names(path: Path) -> tuple[str, ...]:
    """Read a list file: one name a line, ``#`` starts a comment line.

    Raises:
        InputError: If it is no text.
    """
    data = read_limited(path, max_bytes=MAX_LIST_BYTES, what="list")
    try:
        lines = [line.strip() for line in data.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise InputError(
            f"list {path.name}: expected UTF-8 text, one name a line", subject=path.name
        ) from error
    return tuple(normal_name(line) for line in lines if line and not line.startswith("#"))


def names_left_out(names: Sequence[str], exclude: Collection[str]) -> tuple[set[str], tuple[str, ...]]:
    """Return the excluded images, and the entries that fit none; an entry leaves out all that it may mean."""
    by_key: dict[str, set[str]] = {}
    for name in names:
        own = split_name(name)[1]
        for key in (name, own, without_suffix(own), without_suffix(name)):
            by_key.setdefault(key, set()).add(name)
    left_out: set[str] = set()
    unmatched: list[str] = []
    for entry in exclude:
        # a held-out image under another ending is still the same image
        hits = by_key.get(entry) or by_key.get(without_suffix(entry))
        hits = hits or by_key.get(without_suffix(split_name(entry)[1]))
        if hits:
            left_out |= hits
        else:
            unmatched.append(entry)
    return left_out, tuple(unmatched)


def walk_images(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield (name, path) of all images below a folder, links out of it left out."""
    resolved = root.resolve()
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(files):
            path = Path(folder, file)
            if file.startswith((".", TEMPORARY_PREFIX)) or path.suffix.lower() not in IMAGE_SUFFIXES:
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(resolved):
                continue
            yield path.relative_to(root).as_posix(), path
