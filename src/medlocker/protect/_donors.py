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

from medlocker._files import read_limited
from medlocker.errors import MedlockerError
from medlocker.geometry import Box
from medlocker.images import LIMITS, read_image
from medlocker.regions import Regions

MOST_DONORS = 64
FEWEST_DONORS = 8
"""From fewer, decoys would repeat themselves and be known by that."""
_ONE = 65536

RelativeBox = tuple[int, int, int, int]
"""Left, top, width and height in 1/65536 of the image's sides."""


@dataclass(frozen=True)
class Donors:
    """Regions of several images.

    Args:
        sets: Of each image that has any.
    """

    sets: tuple[tuple[RelativeBox, ...], ...]

    @classmethod
    def of(cls, images: Iterable[tuple[Sequence[Box], int, int]]) -> Donors | None:
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
    def among(cls, regions: Regions, images: Sequence[tuple[str, Path]]) -> Donors | None:
        """Take the regions of at most 64 images that have any, by a hash of their names: the same ones each
        time.

        Args:
            regions: Of the data set.
            images: Name and file of each; the files tell the sizes. Those that cannot be used are left out.

        Returns:
            See :meth:`of`.
        """
        missing = set(regions.missing([name for name, _ in images]))
        known = [(name, path) for name, path in images if name not in missing]
        known.sort(key=lambda one: hashlib.sha256(one[0].encode("utf-8", "surrogatepass")).digest())
        return cls.of(islice(_with_regions(regions, known), MOST_DONORS))

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


def _with_regions(
    regions: Regions, images: Sequence[tuple[str, Path]]
) -> Iterator[tuple[tuple[Box, ...], int, int]]:
    """Yield boxes and size of each image that has any; reads at most four times as many as are wanted."""
    for name, path in images[: 4 * MOST_DONORS]:
        try:
            image = read_image(read_limited(path, max_bytes=LIMITS.max_file_bytes, what="image"), name=name)
            boxes = regions.boxes_for(name, width=image.width, height=image.height)
        except MedlockerError:  # said when the image's own turn comes
            continue
        if boxes:
            yield boxes, image.width, image.height
