"""Regions that the caller holds in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medlocker.errors import InputError
from medlocker.geometry import Box
from medlocker.regions._regions import Regions
from medlocker.regions._table import TableBuilder


def regions_of(boxes: Mapping[str, Sequence[Box]]) -> Regions:
    """Return boxes of some images as regions.

    Args:
        boxes: By the image's name; an image without boxes is known to have none.

    Raises:
        InputError: If a box has no sound numbers.

    >>> regions_of({"eye": [Box(4, 5, 6, 7)]}).boxes_for("eye", width=64, height=64)
    (Box(x=4, y=5, width=6, height=7),)
    """
    builder = TableBuilder()
    for name, found in boxes.items():
        builder.add_image(name)
        if isinstance(found, Box | str) or not isinstance(found, Sequence):
            raise InputError(f"keep out: expected a list of boxes, got {type(found).__name__}")
        for number, box in enumerate(found):
            if not isinstance(box, Box):
                raise InputError(f"keep out: expected boxes, got {type(box).__name__}")
            if not all(isinstance(side, int | float) for side in (box.x, box.y, box.width, box.height)):
                raise InputError(f"keep out of {box}: expected numbers")
            try:
                builder.add(name, "region", (box.x, box.y, box.width, box.height), line=number)
            except ValueError as error:
                raise InputError(f"keep out of {box}: {error}") from None
    return Regions(builder.build(_place), 0, 0, _every)


def _place(name: str, line: int) -> str:
    return f"regions of {name}, box {line + 1}"


def _every(kind: str) -> bool:
    return True
