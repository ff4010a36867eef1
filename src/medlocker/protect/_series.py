"""One placement per series: near copies of one image carry the same marks.

Adjacent slices of a scan differ little. Marked in different ways they give each other away: what is hidden
in one is open in the next. So one image of a series, its leader, is searched, with the regions of all of them
kept out, and the others get its very marks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

from medlocker.errors import AlreadyMarkedError, Code, InputError, MedlockerError, NoRoomError
from medlocker.formats import influence_box
from medlocker.geometry import Box
from medlocker.images import Image
from medlocker.logo import Logo, render
from medlocker.placements import FreePlacements
from medlocker.regions import Findings, Regions
from medlocker.search import BackgroundTask
from medlocker.veil import AnyMark, Veil


@dataclass(frozen=True, eq=False)
class Series:
    """Images that carry the same marks.

    Args:
        key: What only they have in common; stays in memory.
        members: Relative input name and file of every image, in their order.
        findings: What a finder found, by name, as far as it is known; filled while the leader is worked on.
    """

    key: str
    members: Mapping[str, Path]
    findings: dict[str, Findings] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """What the ledger knows the series by, as it knows an original by the digest of its pixels."""
        return hashlib.sha256(f"medlocker-series-v1 {self.key}".encode("utf-8", "replace")).hexdigest()


@dataclass(frozen=True)
class SharedMarks:
    """What the other images of a series take over from the one that was searched.

    Args:
        marks: Its parameter list, keys of hardening included.
        seed: What its randomness came from, at least 6 bytes.
    """

    marks: tuple[AnyMark, ...]
    seed: bytes


def marks_digest(marks: Sequence[AnyMark]) -> str:
    """Return the SHA-256 of a parameter list, as hex."""
    text = json.dumps([mark.to_json() for mark in marks], sort_keys=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


_OF_SERIES = {
    Code.ALREADY_MARKED: "an image of its series was marked in another way in release {release}",
    Code.ALREADY_MARKED_UNFINISHED: "an image of its series was marked in another way by a run that has not "
    "finished, release {release}",
    Code.ALREADY_MARKED_HERE: "an image of its series is in this run already, marked in another way",
}


@contextmanager
def series_error() -> Iterator[None]:
    """Say of a series what the ledger says of an image.

    Raises:
        AlreadyMarkedError: If another release has marked an image of it: it would get other marks here.
    """
    try:
        yield
    except AlreadyMarkedError as error:
        text = _OF_SERIES[error.code].format(release=error.subject)
        raise AlreadyMarkedError(text, hint=error.hint, code=error.code, subject=error.subject) from None


def find_series_regions(
    series: Series, find: Callable[[str, Path], Findings], *, beside: str
) -> Generator[BackgroundTask, Any, None]:
    """Fill in the findings of every member but one; one image is in memory at a time.

    A member that cannot be read keeps nothing out: it will say so itself, and gets no mark.

    Args:
        series: Images that carry the same marks.
        find: From a name and a file to what is found in it; called in a thread.
        beside: Name of the member that needs no look.
    """
    for name, path in series.members.items():
        if name != beside and name not in series.findings:
            found = yield BackgroundTask(partial(_found, find, name, path), "read")
            if found is not None:
                series.findings[name] = found


def _found(find: Callable[[str, Path], Findings], name: str, path: Path) -> Findings | None:
    try:
        return find(name, path)
    except (MedlockerError, MemoryError):
        return None


def given_boxes(regions: Regions | None, image: Image, names: Sequence[str]) -> tuple[Box, ...]:
    """Return the given regions of images of one size, grown by what marking next to them would change.

    Args:
        regions: All that are given, or None.
        image: The first of the images.
        names: Relative input names; of all but the first, regions that cannot be read are passed over: that
            image will say so itself, and gets no mark.

    Raises:
        InputError: If those of the first cannot be read.
    """
    boxes: dict[Box, None] = {}
    seen = {"width": image.width, "height": image.height, "orientation": image.orientation}
    for number, name in enumerate(names if regions is not None else ()):
        try:
            found = regions.boxes_for(name, **seen) if regions else ()
        except InputError:
            if number == 0:
                raise
            continue
        boxes.update(dict.fromkeys(found))
    return tuple(influence_box(image, box) for box in boxes)


def merge_findings(findings: Sequence[Findings]) -> Findings:
    """Return the boxes of several images, the strongest of each first; the notes are those of the first."""
    firm = dict.fromkeys(box for found in findings for box in found.firm)
    ranks = zip_longest(*(found.boxes for found in findings))
    boxes = dict.fromkeys(box for rank in ranks for box in rank if box is not None)
    return Findings(tuple(boxes), findings[0].notes, tuple(firm))


def check_marks(lead: SharedMarks, image: Image, boxes: Sequence[Box], *, logo: Logo) -> None:
    """Refuse marks that would touch a region of this image.

    They do only where a region was not yet known, or not readable, when the series' marks were searched.

    Raises:
        NoRoomError: If one does, or leaves the image.
    """
    for mark in lead.marks if boxes else ():
        if isinstance(mark, Veil):
            _check_veil(mark, boxes)
            continue
        raster = render(
            logo, mark.size_px, rotation=mark.rotation, hardening=mark.hardening, overlay=mark.overlay
        )
        free = FreePlacements(image=(image.width, image.height), support=raster.support, boxes=boxes)
        if not free.contains(mark.x, mark.y):
            raise NoRoomError("the marks of its series would touch a region of this image")


def _check_veil(veil: Veil, boxes: Sequence[Box]) -> None:
    """Refuse a veil that would touch a box: each must lie within one that the veil keeps out of."""
    for box in boxes:
        if not any(
            kept.x <= box.x and kept.y <= box.y and box.right <= kept.right and box.bottom <= kept.bottom
            for kept in veil.keep_out
        ):
            raise NoRoomError("the veil of its series would touch a region of this image")
