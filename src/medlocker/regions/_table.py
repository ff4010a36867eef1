"""Boxes written down in a table (CSV, COCO, YOLO), held in compact arrays."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from medlocker.errors import InputError
from medlocker.geometry import Box
from medlocker.regions.names import Settled, by_path, split_name, without_suffix

MAX_ROWS = 10_000_000
MAX_COORDINATE = 1e7
"""Pixels; no image is that large, so a larger number is a mistake."""

_EXACT_PATH, _SAME_PATH, _SAME_FILE, _SAME_STEM = range(4)


class TableBuilder:
    """Collects rows one by one and checks each.

    Args:
        normalized: The numbers are shares of the image's width and height, not pixels.
    """

    def __init__(self, *, normalized: bool = False) -> None:
        self._normalized = normalized
        self._edges = array("d")
        self._images, self._kinds, self._lines = array("l"), array("l"), array("l")
        self._image_codes: dict[str, int] = {}
        self._kind_codes: dict[str, int] = {}

    def add_image(self, name: str) -> None:
        """Make an image known, whether or not it gets rows."""
        self._image_codes.setdefault(name, len(self._image_codes))

    def add(self, image: str, kind: str, box: tuple[float, float, float, float], *, line: int) -> None:
        """Add the row (x, y, width, height).

        Raises:
            ValueError: With the rule that the numbers break, for the caller to add the place.
        """
        x, y, width, height = box
        limit = 1.01 if self._normalized else MAX_COORDINATE
        if not all(math.isfinite(value) for value in box):
            raise ValueError("expected finite numbers")
        if width <= 0 or height <= 0:
            raise ValueError(f"expected a width and height above 0, got {width:g} x {height:g}")
        if max(abs(x), abs(y), width, height) > limit:
            rule = "shares of the image from 0 to 1" if self._normalized else f"at most {limit:.0f} pixels"
            raise ValueError(f"expected {rule}, got {x:g}, {y:g}, {width:g}, {height:g}")
        if len(self._lines) >= MAX_ROWS:
            raise ValueError(f"expected at most {MAX_ROWS} regions")
        self.add_image(image)
        self._edges.extend((x, y, x + width, y + height))
        self._images.append(self._image_codes[image])
        self._kinds.append(self._kind_codes.setdefault(kind, len(self._kind_codes)))
        self._lines.append(line)

    def build(
        self, place: Callable[[str, int], str], *, sizes: Mapping[str, tuple[int, int]] | None = None
    ) -> Table:
        """Return the finished table.

        Args:
            place: Turns a row's image name and line into words for messages.
            sizes: (width, height) that the source itself states of an image.
        """
        images = np.frombuffer(self._images, dtype=np.dtype("l"))
        order = np.argsort(images, kind="stable")
        names = tuple(self._image_codes)
        return Table(
            names=names,
            starts=np.searchsorted(images[order], np.arange(len(names) + 1)),
            edges=np.frombuffer(self._edges, dtype=np.float64).reshape(-1, 4)[order],
            codes=np.frombuffer(self._kinds, dtype=np.dtype("l"))[order],
            lines=np.frombuffer(self._lines, dtype=np.dtype("l"))[order],
            kind_names=tuple(self._kind_codes),
            normalized=self._normalized,
            place=place,
            sizes=sizes or {},
        )


@dataclass(frozen=True, eq=False)
class Table:
    """All rows of a source, grouped by image.

    Args:
        names: The images' names as the source writes them.
        starts: (len(names) + 1) first row of each image.
        edges: (N, 4) left, top, right, bottom.
        codes: (N) index into ``kind_names``.
        lines: (N) where the row was written.
        normalized: Whether the edges are shares of width and height.
        place: See :meth:`TableBuilder.build`.
        sizes: (width, height) stated by the source.
    """

    names: tuple[str, ...]
    starts: NDArray[np.int64]
    edges: NDArray[np.float64]
    codes: NDArray[np.int64]
    lines: NDArray[np.int64]
    kind_names: tuple[str, ...]
    normalized: bool
    place: Callable[[str, int], str]
    sizes: Mapping[str, tuple[int, int]]
    _by_stem: dict[str, list[int]] = field(init=False, repr=False)

    def is_exclusive(self, index: int, images: Sequence[str]) -> bool:
        """Return False: a row that fits several images applies to all of them, a box too many is safe."""
        return False

    def __post_init__(self) -> None:
        by_stem: dict[str, list[int]] = {}
        for index, name in enumerate(self.names):
            by_stem.setdefault(without_suffix(split_name(name)[1]), []).append(index)
        object.__setattr__(self, "_by_stem", by_stem)

    @property
    def kinds(self) -> Mapping[str, int]:
        """Kinds with their number of rows."""
        counts = np.bincount(self.codes, minlength=len(self.kind_names))
        return {name: int(count) for name, count in zip(self.kind_names, counts, strict=True)}

    def check_kind(self, kind: str) -> bool:
        """Tell whether the source knows this kind."""
        return kind in self.kind_names

    def candidates(self, name: str) -> Iterator[tuple[int, int]]:
        """Yield (index, rank) of the source's images that may mean this one; lower ranks fit better."""
        return self._ranked(self._by_stem, name)

    def settled(self, names: Iterable[str]) -> Settled:
        """Return the entries that have a folder and an image's path, and the candidates among the others.

        Such an entry fits no other image as well; one without a folder may mean images in any.
        """
        images = by_path(names)
        found: dict[int, list[str]] = {}
        for index, name in enumerate(self.names):
            if "/" in name and (same := images.get(without_suffix(name))):
                found[index] = [name] if name in same else list(same)
        rest: dict[str, list[int]] = {}
        for stem, indices in self._by_stem.items():
            if left := [index for index in indices if index not in found]:
                rest[stem] = left
        return found, partial(self._ranked, rest)

    def _ranked(self, by_stem: Mapping[str, Sequence[int]], name: str) -> Iterator[tuple[int, int]]:
        folder, file = split_name(name)
        for index in by_stem.get(without_suffix(file), ()):
            own_folder, own_file = split_name(self.names[index])
            if own_file == file:
                # a bare file name says nothing of the folder, so it means every file of that name
                yield index, _EXACT_PATH if own_folder in ("", folder) else _SAME_FILE
            elif own_folder == folder or (own_folder == "" and own_file == without_suffix(file)):
                yield index, _SAME_PATH
            else:
                yield index, _SAME_STEM

    def alone(self, name: str) -> tuple[int, ...]:
        """Return the best fitting entries for an image whose siblings are not known."""
        found = list(self.candidates(name))
        best = max(min((rank for _, rank in found), default=0), _SAME_PATH)
        return tuple(index for index, rank in found if rank <= best)

    def label(self, index: int) -> str:
        """Return an entry's name for messages."""
        return self.names[index]

    def boxes(
        self,
        index: int,
        image: str,
        *,
        size: tuple[int, int],
        min_area_px: int,
        wanted: Callable[[str], bool],
    ) -> list[Box]:
        """Return one entry's boxes, grown outwards to whole pixels, in an image of (width, height)."""
        name = self.names[index]
        stated = self.sizes.get(name)
        if stated is not None and stated != size:
            raise InputError(
                f"regions of {image}: expected an image of {stated[0]} x {stated[1]} pixels, "
                f"got {size[0]} x {size[1]}"
            )
        boxes = []
        for row in range(int(self.starts[index]), int(self.starts[index + 1])):
            if not wanted(self.kind_names[self.codes[row]]):
                continue
            left, top, right, bottom = (float(value) for value in self.edges[row])
            if self.normalized:
                left, right, top, bottom = left * size[0], right * size[0], top * size[1], bottom * size[1]
            x, y = math.floor(left), math.floor(top)
            box = Box(x, y, max(math.ceil(right) - x, 1), max(math.ceil(bottom) - y, 1))
            if not box.overlaps(Box(0, 0, *size)):
                place = self.place(name, int(self.lines[row]))
                raise InputError(
                    f"{place}: expected a region inside {image} of {size[0]} x {size[1]} pixels, "
                    f"got x {box.x}, y {box.y}, width {box.width}, height {box.height}"
                )
            if box.width * box.height >= min_area_px:
                boxes.append(box)
        return boxes


Wanted = Callable[[str], bool]


def wanting(only: Collection[str] | None, exclude: Collection[str]) -> Wanted:
    """Return the test whether a kind is asked for."""
    return partial(_is_wanted, None if only is None else frozenset(only), frozenset(exclude))


def _is_wanted(only: frozenset[str] | None, exclude: frozenset[str], kind: str) -> bool:
    """A function of the module: regions go to other processes, and only such ones can."""
    return (only is None or kind in only) and kind not in exclude
