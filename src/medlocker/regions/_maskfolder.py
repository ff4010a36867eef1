"""A folder of mask images: which mask belongs to which image, and of which kind of lesion it is."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import InputError
from medlocker.geometry import Box
from medlocker.regions._masks import boxes_from_mask, mask_share, read_mask
from medlocker.regions.names import Settled, by_path, split_name, without_suffix

MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg", ".nii", ".nii.gz")
DOUBTFUL = 0.9
"""A mask of more than this share of its picture may have lesions and background the wrong way round."""
UNNAMED = "mask"
"""The kind of a mask whose name tells none."""

_SEPARATORS = "_-. "
_GENERIC = frozenset({"mask", "masks", "segmentation", "seg", "gt", "groundtruth", "label", "labels"})
_BESIDE = re.compile(
    r"(.+?)[_\-. ](mask|masks|segmentation|seg|groundtruth|superpixels)([_\-. ]?\d+)?", re.IGNORECASE
)
"""The name of a mask that lies beside its picture."""
_FAMILY = re.compile(r"(.+)[_\-. ](?:mask|masks|segmentation|seg|label|labels)", re.IGNORECASE | re.DOTALL)
"""The name of a mask for several pictures of one thing: ``p1_seg`` beside ``p1_t1`` and ``p1_flair``."""
_PREFIXED = re.compile(r"([A-Za-z]+)[_\-. ](.+)", re.DOTALL)
_NONE_LEFT_OUT = ""


@dataclass(frozen=True, order=True)
class _Mask:
    stem: str
    name: str


@dataclass(frozen=True, eq=False)
class MaskFolder:
    """Masks in a folder, found by name and read one at a time.

    Args:
        names: Relative paths of all masks, with forward slashes.
    """

    root: Path
    names: Sequence[str]
    _masks: Sequence[_Mask] = field(init=False, repr=False)
    _stems: Sequence[tuple[str, int]] = field(init=False, repr=False)
    """Sorted stems by which masks are found, and whose; ``mask_x`` is found by ``x`` as well."""

    _families: Mapping[str, Sequence[int]] = field(init=False, repr=False)
    """By what they begin with, the masks of several pictures of one thing."""

    def is_exclusive(self, index: int, images: Sequence[str]) -> bool:
        """Tell whether a mask belongs to only one of some images; else they are pictures of one thing."""
        return not all(index in self._of_family(image) for image in images)

    def __post_init__(self) -> None:
        masks = sorted(_Mask(without_suffix(split_name(name)[1]), name) for name in self.names)
        object.__setattr__(self, "_masks", masks)
        object.__setattr__(self, "names", tuple(mask.name for mask in masks))
        stems = [(mask.stem, index) for index, mask in enumerate(masks)]
        stems += [(stem, index) for index, mask in enumerate(masks) if (stem := _without_prefix(mask.stem))]
        object.__setattr__(self, "_stems", sorted(stems))
        known = {mask.stem for mask in masks}
        families: dict[str, list[int]] = {}
        for index, mask in enumerate(masks):
            if (match := _FAMILY.fullmatch(mask.stem)) and match[1] not in known:
                families.setdefault(match[1], []).append(index)
        object.__setattr__(self, "_families", families)

    @property
    def kinds(self) -> Mapping[str, int]:
        """Kinds with their number of masks, as far as file names alone tell them."""
        counts: dict[str, int] = {}
        for mask in self._masks:
            kind = _guessed_kind(mask)
            counts[kind] = counts.get(kind, 0) + 1
        return counts

    def check_kind(self, kind: str) -> bool:
        """Tell whether a mask could be of this kind."""
        return any(
            kind in mask.name.split("/")[:-1]
            or any(mask.stem.endswith(separator + kind) for separator in _SEPARATORS)
            or kind == UNNAMED == _guessed_kind(mask)
            for mask in self._masks
        )

    def candidates(self, name: str) -> Iterator[tuple[int, int]]:
        """Yield (index, rank) of the masks that may belong to an image; lower ranks fit better.

        Ranks: 0 the image's own relative path, 1 the same with a suffix; 2 and 3 likewise, but one folder
        of the mask's path (the lesion type) left out; 4 the image's stem in any folder, 5 with a suffix;
        6 in the same folder a mask of several pictures of one thing.
        """
        return self._ranked(self._stems, name)

    def settled(self, names: Iterable[str]) -> Settled:
        """Return the masks of an image's own path, and the candidates among the others."""
        images = by_path(names)
        found = {
            index: list(same)
            for index, name in enumerate(self.names)
            if (same := images.get(without_suffix(name)))
        }
        rest = [one for one in self._stems if one[1] not in found]
        return found, partial(self._ranked, rest, settled=frozenset(found))

    def _of_family(self, name: str) -> Iterator[int]:
        """Yield the masks of several pictures of one thing, of which an image is one."""
        folder, file = split_name(name)
        for base in _beginnings(without_suffix(file)):
            for index in self._families.get(base, ()):
                if split_name(self._masks[index].name)[0] == folder:
                    yield index

    def _ranked(
        self, stems: Sequence[tuple[str, int]], name: str, *, settled: Container[int] = ()
    ) -> Iterator[tuple[int, int]]:
        folder, file = split_name(name)
        stem = without_suffix(file)
        for index in _of_stem(stems, stem):
            mask = self._masks[index]
            has_suffix = mask.stem != stem
            own_folder = split_name(mask.name)[0]
            if own_folder == folder:
                yield index, 0 + has_suffix
            elif _left_out(own_folder, folder) is not None:
                yield index, 2 + has_suffix
            else:
                yield index, 4 + has_suffix
        yield from ((index, 6) for index in self._of_family(name) if index not in settled)

    def alone(self, name: str) -> tuple[int, ...]:
        """Return every mask that may belong to an image whose siblings are not known."""
        return tuple(index for index, _ in self.candidates(name))

    def label(self, index: int) -> str:
        """Return a mask's name for messages."""
        return self.names[index]

    def kind(self, index: int, image: str) -> str:
        """Return a mask's kind, given the image it belongs to."""
        mask = self._masks[index]
        folder, file = split_name(image)
        own = without_suffix(file)
        stem = mask.stem if mask.stem.startswith(own) else _without_prefix(mask.stem)
        suffix = stem[len(own) :].strip(_SEPARATORS)
        own_folder = split_name(mask.name)[0]
        left_out = _left_out(own_folder, folder)
        if left_out is None and own_folder != folder:
            left_out = own_folder.rpartition("/")[2]
        return _kind(suffix, left_out or _NONE_LEFT_OUT)

    def boxes(
        self,
        index: int,
        image: str,
        *,
        size: tuple[int, int],
        min_area_px: int,
        wanted: Callable[[str], bool],
    ) -> Sequence[Box]:
        """Return one mask's boxes in an image of (width, height); the mask is read now."""
        if not wanted(self.kind(index, image)):
            return ()
        return boxes_from_mask(self.read(index, size=size), min_area_px=min_area_px)

    def read(self, index: int, *, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Read one mask of an image of (width, height); returns (height, width) bool."""
        name = self.names[index]
        return read_mask(self.root / name, name=name, width=size[0], height=size[1])

    def nearly_all(self, indices: Sequence[int]) -> tuple[str, ...]:
        """Return those of some masks that cover more than :data:`DOUBTFUL` of their picture; reads them."""
        found = []
        for index in indices:
            name = self.names[index]
            try:
                share = mask_share(self.root / name, name=name)
            except InputError:  # said when the image's own turn comes
                continue
            found += [name] if share > DOUBTFUL else []
        return tuple(found)


def masks_beside(names: Set[str]) -> frozenset[str]:
    """Return the files that are masks of others: ``a/x_mask.png``, ``a/mask_x.png`` beside ``a/x.png``.

    So is ``a/x_seg.nii`` beside ``a/x_t1.nii`` and ``a/x_flair.nii``.

    Args:
        names: Relative paths with forward slashes.
    """
    stems = {without_suffix(name) for name in names}
    plain = {stem for stem in stems if not _FAMILY.fullmatch(stem)}
    begun = {base for stem in plain for base in _beginnings(stem)}
    return frozenset(
        name
        for name in names
        if _picture_of(stem := without_suffix(name)) & stems
        or ((match := _FAMILY.fullmatch(stem)) and match[1] in begun)
    )


def _beginnings(stem: str) -> Iterator[str]:
    """Yield what comes before each separator of a file's name, the longest first."""
    for place in range(len(stem) - 1, 0, -1):
        if stem[place] in _SEPARATORS and "/" not in stem[place:]:
            yield stem[:place]


def _picture_of(stem: str) -> set[str]:
    """Return the names, endings left out, of the picture whose mask a file is by its own name."""
    folder, file = split_name(stem)
    found = {match[1]} if (match := _BESIDE.fullmatch(stem)) else set()
    if own := _without_prefix(file):
        found.add(f"{folder}/{own}" if folder else own)
    return found


def _of_stem(stems: Sequence[tuple[str, int]], stem: str) -> Iterator[int]:
    seen: set[int] = set()
    for start in (stem, *(stem + separator for separator in _SEPARATORS)):
        place = bisect_left(stems, start, key=lambda one: one[0])
        while place < len(stems):
            found, index = stems[place]
            if found != stem if start == stem else not found.startswith(start):
                break
            if index not in seen:
                yield index
            seen.add(index)
            place += 1


def _without_prefix(stem: str) -> str:
    """Return what follows ``mask_``, ``seg-`` and the like; empty if nothing of that kind is before."""
    found = _PREFIXED.fullmatch(stem)
    return found[2] if found and found[1].lower() in _GENERIC else ""


def _kind(suffix: str, folder: str) -> str:
    if suffix and suffix.lower() not in _GENERIC:
        return suffix
    return folder or suffix or UNNAMED


def _guessed_kind(mask: _Mask) -> str:
    """What the name tells without the image's: words after the last number, or the last of several words."""
    words = [word for word in re.split(r"([_\-. ])", mask.stem) if word]
    numbered = [place for place, word in enumerate(words) if any(c.isdigit() for c in word)]
    first = numbered[-1] + 1 if numbered else max(len(words) - 1, 1)
    suffix = "".join(words[first:]).strip(_SEPARATORS)
    return _kind(suffix, split_name(mask.name)[0].rpartition("/")[2])


def _left_out(longer: str, shorter: str) -> str | None:
    """The one folder that a path has more than another, None if they differ otherwise."""
    more, less = longer.split("/"), shorter.split("/") if shorter else []
    if not longer or len(more) != len(less) + 1:
        return None
    for place in reversed(range(len(more))):
        if more[:place] + more[place + 1 :] == less:
            return more[place]
    return None
