"""The regions of a data set's other images: what the decoys of one image are made like.

Where holes lie, how many and how large they are tells the diagnosis, unless images without lesions have the
same holes as those with. So decoys repeat what regions of the same data set look like.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from medlocker.errors import MedlockerError
from medlocker.files import read_limited
from medlocker.formats import read_image
from medlocker.geometry import Box
from medlocker.images import LIMITS, Image, viewed
from medlocker.regions import Finder, Regions

MOST_DONORS = 64
MOST_LOOKED_AT = 32
"""Images in which a finder looks for donors: a look may take a second."""
FEWEST_DONORS = 8
"""From fewer, decoys would repeat themselves and be known by that."""
_ONE = 65536

RelativeBox = tuple[int, int, int, int]
"""Left, top, width and height in 1/65536 of the image's sides."""


@dataclass(frozen=True)
class DecoySource:
    """Regions of several images.

    Args:
        sets: Of each image that has any.
    """

    sets: tuple[tuple[RelativeBox, ...], ...]

    @classmethod
    def of(cls, images: Iterable[tuple[Sequence[Box], int, int]]) -> DecoySource | None:
        """Take the regions of images.

        Args:
            images: Boxes, width and height of each.

        Returns:
            None if fewer than 8 images have any.
        """
        found = []
        for boxes, width, height in images:
            if boxes:
                found.append(
                    tuple(
                        (
                            _share(box.x, width),
                            _share(box.y, height),
                            max(_share(box.width, width), 1),
                            max(_share(box.height, height), 1),
                        )
                        for box in boxes
                    )
                )
        return cls(tuple(found)) if len(found) >= FEWEST_DONORS else None

    @classmethod
    def among(cls, regions: Regions, images: Sequence[tuple[str, Path]]) -> DecoySource | None:
        """Take the regions of at most 64 images that have any, by a hash of their names: the same ones each
        time.

        Args:
            regions: Of the data set.
            images: Name and file of each; the files tell the sizes. Those that cannot be used are left out.

        Returns:
            See :meth:`of`.
        """
        missing = set(regions.missing([name for name, _ in images]))
        known = _in_fixed_order([(name, path) for name, path in images if name not in missing])
        return cls.of(islice(_with_regions(regions, known), MOST_DONORS))

    @classmethod
    def found_by(cls, finder: Finder, images: Sequence[tuple[str, Path]]) -> DecoySource | None:
        """Take what a finder finds in at most 32 images, drawn by a hash of their names.

        Args:
            finder: Of lesions, or of candidates.
            images: See :meth:`among`.

        Returns:
            See :meth:`of`.
        """
        if len(images) < FEWEST_DONORS:
            return None
        chosen = _in_fixed_order(images)[:MOST_LOOKED_AT]
        return cls.of(_with_findings(finder, chosen))

    def boxes(self, number: int, *, width: int, height: int) -> list[Box]:
        """Return one image's regions on an image of another size."""
        return [
            Box(_of(x, width), _of(y, height), max(_of(w, width), 1), max(_of(h, height), 1))
            for x, y, w, h in self.sets[number]
        ]


def _share(length: int, side: int) -> int:
    return (length * _ONE + side // 2) // side


def _of(share: int, side: int) -> int:
    return (share * side + _ONE // 2) // _ONE


def _in_fixed_order(images: Sequence[tuple[str, Path]]) -> list[tuple[str, Path]]:
    return sorted(images, key=lambda one: hashlib.sha256(one[0].encode("utf-8", "surrogatepass")).digest())


def _read(name: str, path: Path) -> Image:
    return read_image(read_limited(path, max_bytes=LIMITS.max_file_bytes, what="image"), name=name)


def _with_findings(
    finder: Finder, images: Sequence[tuple[str, Path]]
) -> Iterator[tuple[tuple[Box, ...], int, int]]:
    """Yield boxes and size of each image in which something is found."""
    for name, path in images:
        try:
            image = _read(name, path)
            boxes = finder.find(viewed(image)).boxes
        except (MedlockerError, MemoryError):  # said when the image's own turn comes
            continue
        if boxes:
            yield boxes, image.width, image.height


def _with_regions(
    regions: Regions, images: Sequence[tuple[str, Path]]
) -> Iterator[tuple[tuple[Box, ...], int, int]]:
    """Yield boxes and size of each image that has any; reads at most four times as many as are wanted."""
    for name, path in images[: 4 * MOST_DONORS]:
        try:
            image = _read(name, path)
            boxes = regions.boxes_for(
                name, width=image.width, height=image.height, orientation=image.orientation
            )
        except MedlockerError:  # said when the image's own turn comes
            continue
        if boxes:
            yield boxes, image.width, image.height
