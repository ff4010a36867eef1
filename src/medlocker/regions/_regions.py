"""Keep-out boxes of each image, whatever the source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import InputError
from medlocker.geometry import Box
from medlocker.regions._maskfolder import MaskFolder
from medlocker.regions._orientation import UPRIGHT, shown_size, stored_box
from medlocker.regions._table import Table
from medlocker.regions.names import Settled, split_name


class Source(Protocol):
    """What a kind of source (table, folder of masks) has to offer. Entries are listed by their index."""

    def is_exclusive(self, index: int, images: Sequence[str]) -> bool:
        """Tell whether an entry belongs to only one of some images, so that it is refused for all."""

    @property
    def names(self) -> Sequence[str]:
        """The entries' names as the source writes them."""

    @property
    def kinds(self) -> Mapping[str, int]:
        """Kinds of regions with how often they occur."""

    def check_kind(self, kind: str) -> bool:
        """Tell whether the source knows a kind."""

    def candidates(self, name: str) -> Iterator[tuple[int, int]]:
        """Yield (index, rank) of the entries that may mean an image."""

    def settled(self, names: Iterable[str]) -> Settled:
        """Return the entries whose images an equal path tells, and the candidates among the others."""

    def alone(self, name: str) -> tuple[int, ...]:
        """Return the entries of an image whose siblings are not known."""

    def label(self, index: int) -> str:
        """Return an entry's name for messages."""

    def boxes(
        self,
        index: int,
        image: str,
        *,
        size: tuple[int, int],
        min_area_px: int,
        wanted: Callable[[str], bool],
    ) -> Sequence[Box]:
        """Return an entry's boxes, before the margin."""


@dataclass(frozen=True, eq=False)
class Regions:
    """Keep-out boxes of many images; make one with :func:`load_regions`.

    Args:
        source: Where the boxes come from.
        margin_px: Added on every side of every box.
        min_area_px: Smaller regions are left out.
        wanted: Tells which kinds count.
        stand_in: What finds regions looks only into images that the source does not list.
    """

    source: Source = field(repr=False)
    margin_px: int
    min_area_px: int
    wanted: Callable[[str], bool] = field(repr=False)
    stand_in: bool = False
    _owned: Mapping[str, tuple[int, ...]] | None = field(default=None, repr=False)
    _shared: Mapping[int, tuple[str, ...]] = field(default_factory=dict, repr=False)

    @property
    def kinds(self) -> Mapping[str, int]:
        """Kinds with their number of regions; for a folder of masks, of masks, judged by file name alone."""
        return self.source.kinds

    @property
    def has_listed(self) -> bool:
        """Whether any image is listed; taken for true before :meth:`among`."""
        return self._owned is None or any(self._owned.values())

    @property
    def has_unlisted(self) -> bool:
        """Whether the source says nothing of some image; taken for false before :meth:`among`."""
        return self._owned is not None and not all(self._owned.values())

    def lists(self, name: str) -> bool:
        """Tell whether the source says anything of an image, be it that it has no regions."""
        return bool(self.source.alone(name) if self._owned is None else self._owned.get(name))

    def among(self, names: Iterable[str]) -> Regions:
        """Return the same regions for a known set of images, which settles whose each entry is.

        Each entry then goes to the image that it fits best. A mask that fits two images equally well is
        refused when one of them is asked for; a row of a table goes to both.

        Args:
            names: Relative paths of all images, with forward slashes.
        """
        names = tuple(names)
        owned: dict[str, tuple[int, ...]] = dict.fromkeys(names, ())
        shared: dict[int, tuple[str, ...]] = {}
        for index, owners in self._owners(names).items():
            for name in owners:
                owned[name] = (*owned[name], index)
            if len(owners) > 1 and self.source.is_exclusive(index, owners):
                shared[index] = tuple(owners)
        return replace(self, _owned=owned, _shared=shared)

    def boxes_for(self, name: str, *, width: int, height: int, orientation: int = 1) -> tuple[Box, ...]:
        """Return an image's keep-out boxes, margin added and clipped to the image.

        Labelling tools draw on a picture as its EXIF orientation turns it, others on the pixels as stored,
        and a table does not tell which. So of a turned picture both readings are kept out, where they fit.

        A table's entries are found by exact relative path, else by file name, else by stem; one that gives
        no folder applies to every image of that file name, and several that fit equally well all apply: a
        box too many is safe, a missing one is not. For masks see :func:`load_regions`. Without
        :meth:`among`, every mask that may be this image's own is taken.

        Args:
            name: The image's relative path with forward slashes.
            width: Its columns, as stored.
            height: Its rows, as stored.
            orientation: Of EXIF, 1 to 8: how viewers turn it.

        Returns:
            Sorted, without duplicates, in pixels as stored; empty if the source has no entry.

        Raises:
            InputError: If a box lies wholly outside the image, a mask is unreadable or of another size, or
                a mask could belong to another image too, or the image was not given to :meth:`among`.
        """
        if orientation == UPRIGHT:
            return self._boxes(name, width, height)
        across, down = shown_size(width, height, orientation)
        found: list[tuple[Box, ...]] = []
        refusals: list[InputError] = []
        for size, is_shown in (((width, height), False), ((across, down), True)):
            try:
                boxes = self._boxes(name, *size)
            except InputError as error:
                refusals.append(error)
                continue
            if is_shown:
                turn = partial(stored_box, width=width, height=height, orientation=orientation)
                boxes = tuple(map(turn, boxes))
            found.append(boxes)
        if not found:
            raise refusals[0]
        return tuple(sorted({box for boxes in found for box in boxes}))

    def _boxes(self, name: str, width: int, height: int) -> tuple[Box, ...]:
        """Return the boxes in a picture of one size."""
        boxes: set[Box] = set()
        for index in self._entries(name):
            found = self.source.boxes(
                index, name, size=(width, height), min_area_px=self.min_area_px, wanted=self.wanted
            )
            boxes.update(box.grown(self.margin_px, within=(width, height)) for box in found)
        return tuple(sorted(boxes))

    def masks_for(self, name: str, *, width: int, height: int) -> dict[str, NDArray[np.bool_]]:
        """Return an image's masks by kind, several of one kind united, without any margin.

        Args:
            name: The image's relative path with forward slashes.

        Returns:
            (height, width) bool each; empty if the image has none, and no lesion is not the same as no mask.

        Raises:
            InputError: As :meth:`boxes_for`, and if the regions are no folder of masks.
        """
        if not isinstance(self.source, MaskFolder):
            raise InputError("expected a folder of masks, got boxes")
        masks: dict[str, NDArray[np.bool_]] = {}
        for index in self._entries(name):
            kind = self.source.kind(index, name)
            if self.wanted(kind):
                mask = self.source.read(index, size=(width, height))
                masks[kind] = masks[kind] | mask if kind in masks else mask
        return masks

    def doubtful_masks(self, *, most: int = 8) -> tuple[str, ...]:
        """Return masks that cover nearly all of their picture, of a few that belong to images."""
        if not isinstance(self.source, MaskFolder) or self._owned is None:
            return ()
        used = sorted({index for indices in self._owned.values() for index in indices})
        return self.source.nearly_all(used[:: max(len(used) // most, 1)][:most])

    def _entries(self, name: str) -> Iterator[int]:
        """Yield the source's entries of one image."""
        if self._owned is None:
            indices = self.source.alone(name)
        elif name in self._owned:
            indices = self._owned[name]
        else:
            # no boxes would look like no lesions
            raise InputError(f"regions of {name}: expected one of the images given before", subject=name)
        for index in indices:
            if index in self._shared:
                first, second = self._shared[index][:2]
                raise InputError(
                    f"mask {self.source.label(index)}: expected a name that fits one image, "
                    f"got one that fits {first} and {second}",
                    hint="name the mask after the image's relative path",
                )
            yield index

    def from_elsewhere(self, names: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """Return images whose entry in a table has their file name, but another folder; and that entry."""
        if not isinstance(self.source, Table):
            return ()
        found = []
        for name in names:
            folder = split_name(name)[0].rpartition("/")[2]
            for index in (self._owned or {}).get(name, ()):
                entry = self.source.names[index]
                other = split_name(entry)[0].rpartition("/")[2]
                if folder and other and folder != other:
                    found.append((name, entry))
        return tuple(found)

    def unknown(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the source's own names that match none of these images."""
        names = list(names)
        if self._owned is not None and self._owned.keys() == set(names):
            matched = {index for owned in self._owned.values() for index in owned}
            return tuple(name for index, name in enumerate(self.source.names) if index not in matched)
        matched = {index for name in names for index, _ in self.source.candidates(name)}
        return tuple(name for index, name in enumerate(self.source.names) if index not in matched)

    def missing(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the images that the source says nothing of, not even that they have no regions."""
        names = list(names)
        if self._owned is not None and self._owned.keys() >= set(names):
            return tuple(name for name in names if not self._owned[name])
        known = {name for owners in self._owners(names).values() for name in owners}
        return tuple(name for name in names if name not in known)

    def _owners(self, names: Iterable[str]) -> Mapping[int, list[str]]:
        """Give each entry to the images that it fits best."""
        best: dict[int, int] = {}
        names = tuple(dict.fromkeys(names))
        # of a file name that is the same in every folder all rows would be candidates of all images
        owners, others = self.source.settled(names)
        for name in names:
            for index, rank in others(name):
                if index not in best or rank < best[index]:
                    best[index], owners[index] = rank, [name]
                elif rank == best[index]:
                    owners[index].append(name)
        return owners
