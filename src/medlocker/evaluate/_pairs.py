"""Which marked file belongs to which original; decided by names, before anything is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from medlocker.errors import InputError

CLEAN, RANDOM, PANEL, PROTECTED = "clean", "random", "panel", "protected"
"""The conditions every evaluation has: the originals, two controls, and the (first) release."""


@dataclass(frozen=True)
class Original:
    """One unmarked image.

    Args:
        name: Relative name with forward slashes.
        marked_name: What ``protect`` calls its marked version: another ending where the format changes.
    """

    name: str
    path: Path
    marked_name: str


@dataclass(frozen=True)
class Release:
    """The marked images of one release, or of a plain folder of marked images.

    Args:
        folder: The folder's name, for tables.
        files: From relative name to path.
        surrogates: (name, SHA-256 of the weights) of the models it was searched on; empty if not known.
    """

    folder: str
    files: Mapping[str, Path]
    surrogates: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Pair:
    """One original and its marked versions.

    Args:
        marked: The marked file in each release, None where a release has none.
    """

    name: str
    clean: Path
    marked: tuple[Path | None, ...]


@dataclass(frozen=True)
class Pairs:
    """All pairs, in the originals' order.

    Args:
        pairs: At least one.
        only_clean: Originals without a marked version in any release.
        only_marked: For each release, marked files without an original.
    """

    pairs: tuple[Pair, ...]
    only_clean: tuple[str, ...]
    only_marked: tuple[tuple[str, ...], ...]


def pair_up(originals: Sequence[Original], releases: Sequence[Release]) -> Pairs:
    """Find each original's marked versions.

    The name that ``protect`` gives goes first; then, among the files that belong to no other original, the
    same name, the name with the ending ``.png``, and the name followed by ``.png``.

    Raises:
        InputError: If nothing pairs.
    """
    found = [_matches(originals, release.files) for release in releases]
    pairs, alone = [], []
    for original in originals:
        marked = tuple(matches.get(original.name) for matches in found)
        if any(marked):
            files = [
                release.files[name] if name else None for release, name in zip(releases, marked, strict=True)
            ]
            pairs.append(Pair(original.name, original.path, tuple(files)))
        else:
            alone.append(original.name)
    if not pairs:
        folders = ", ".join(release.folder for release in releases)
        raise InputError(
            f"expected marked versions of the originals in {folders}, found none",
            hint="names are compared by their path below --clean and below RELEASE/images",
        )
    strangers = [
        tuple(sorted(set(release.files) - set(matches.values())))
        for release, matches in zip(releases, found, strict=True)
    ]
    return Pairs(tuple(pairs), tuple(alone), tuple(strangers))


def _matches(originals: Sequence[Original], files: Mapping[str, Path]) -> dict[str, str]:
    """Return from the name of an original to that of its marked version."""
    found = {item.name: item.marked_name for item in originals if item.marked_name in files}
    taken = set(found.values())
    for item in originals:
        if item.name in found:
            continue
        for name in _other_names(item.name):
            if name in files and name not in taken:
                found[item.name] = name
                taken.add(name)
                break
    return found


def _other_names(name: str) -> Iterator[str]:
    yield name
    yield str(PurePosixPath(name).with_suffix(".png"))
    yield f"{name}.png"


def condition_keys(folders: Sequence[str]) -> tuple[str, ...]:
    """Name the releases' conditions: ``protected`` for one, else their folders' names, made different."""
    if len(folders) == 1:
        return (PROTECTED,)
    return different_names(folders, taken=(CLEAN, RANDOM, PANEL, PROTECTED))


def panel_keys(keys: Sequence[str]) -> tuple[str, ...]:
    """Name the conditions in which a grey panel stands for a release's marks: ``panel`` if there is one."""
    if len(keys) == 1:
        return (PANEL,)
    return different_names(
        [f"{PANEL}: {key}" for key in keys], taken=(CLEAN, RANDOM, PANEL, PROTECTED, *keys)
    )


def different_names(names: Sequence[str], *, taken: Sequence[str] = ()) -> tuple[str, ...]:
    """Return names of which no two are equal, nor equal to a taken one: ``a``, ``a (2)``."""
    seen = set(taken)
    different = []
    for name in names:
        candidate, number = name, 2
        while candidate in seen:
            candidate, number = f"{name} ({number})", number + 1
        seen.add(candidate)
        different.append(candidate)
    return tuple(different)
