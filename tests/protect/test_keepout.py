"""Keeping out what a finder finds: never overlapped, given up only where it may be, always told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medlocker.certificates import Owner, open_release
from medlocker.errors import InputError, NoRoomError
from medlocker.formats import read_image
from medlocker.geometry import Box
from medlocker.protect import find_placement_avoiding, make_finder, source_of
from medlocker.protect._keepout import GIVEN_UP
from medlocker.regions import CANDIDATES, Findings, load_regions
from medlocker.testing import LinearClassifier
from runs import check_release, fill, protect


class Found:
    """Finds the same boxes in every image."""

    def __init__(self, *boxes: Box, droppable: bool) -> None:
        self.boxes = boxes
        self.droppable = droppable
        self.source = CANDIDATES if droppable else f"segmenter:{'0' * 64}"
        self.fingerprint = f"{self.source} {boxes}"

    def find(self, colors: Any) -> Findings:
        return Findings(self.boxes)


WHOLE = Box(0, 0, 48, 48)
MIDDLE = Box(12, 12, 24, 24)


def unchanged(source: Path, out: Path, box: Box) -> bool:
    window = (slice(box.y, box.bottom), slice(box.x, box.right))
    return all(
        np.array_equal(
            read_image(path.read_bytes(), name="a").pixels[window],
            read_image((out / "images" / path.name).read_bytes(), name="b").pixels[window],
        )
        for path in sorted(source.iterdir())
    )


@pytest.mark.parametrize("droppable", [False, True])
def test_marks_keep_out_of_what_is_found(tmp_path: Path, owner: Owner, droppable: bool) -> None:
    source = fill(tmp_path / "in", 3)
    finder = Found(MIDDLE, droppable=droppable)
    result = protect(source, tmp_path / "out", owner, finder=finder)
    assert result.summary.marked == 3
    assert result.summary.with_found == 3
    assert unchanged(source, tmp_path / "out", MIDDLE)
    check_release(source, tmp_path / "out", owner, tmp_path / "back")
    statement = open_release(tmp_path / "out", owner.signing.public).statement
    assert statement.regions == finder.source
    assert result.json["regions"] == {
        "source": finder.source,
        "clinician": False,
        "marked_with_findings": 3,
    }


def test_given_regions_and_findings_are_united(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 2)
    table = tmp_path / "boxes.csv"
    table.write_text("image,region,x,y,width,height\n00.png,a,0,0,48,20\n")
    regions = load_regions(table).among(["00.png", "01.png"])
    below = Box(0, 34, 48, 14)
    finder = Found(below, droppable=False)
    result = protect(source, tmp_path / "out", owner, regions=regions, finder=finder)
    assert result.summary.marked == 2
    assert unchanged(source, tmp_path / "out", below)
    (source / "01.png").unlink()
    assert unchanged(source, tmp_path / "out", Box(0, 0, 48, 20))
    statement = open_release(tmp_path / "out", owner.signing.public).statement
    assert statement.regions == f"given + {finder.source}"


def test_a_segmenter_that_marks_everything_skips_every_image(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 2)
    result = protect(source, tmp_path / "out", owner, finder=Found(WHOLE, droppable=False))
    assert result.summary.marked == 0
    assert [one.reason for one in result.summary.skipped] == [
        "48 x 48 pixels leave no room for the logo beside 1 regions, down to 0.125 of the shorter side; "
        "the segmenter keeps out 100% of the image"
    ] * 2


def test_candidates_over_everything_are_given_up_in_part_and_told(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 2)
    corner = Box(0, 0, 20, 20)
    finder = Found(corner, WHOLE, droppable=True)
    result = protect(source, tmp_path / "out", owner, finder=finder)
    assert result.summary.marked == 2
    assert result.json["notes"] == {GIVEN_UP: 2}
    assert unchanged(source, tmp_path / "out", corner)


def test_without_regions_it_is_said_that_there_are_none(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 1)
    result = protect(source, tmp_path / "out", owner)
    assert open_release(tmp_path / "out", owner.signing.public).statement.regions == "none"
    assert result.json["regions"] == {"source": "none", "clinician": False, "marked_with_findings": 0}


@given(
    st.lists(st.builds(Box, st.integers(0, 40), st.integers(0, 40), st.integers(1, 8), st.integers(1, 8))),
    st.integers(0, 12),
)
def test_as_many_candidates_are_kept_as_leave_room(boxes: list[Box], most: int) -> None:
    def room(*, boxes: Sequence[Box]) -> int:
        if len(boxes) > most:
            raise NoRoomError("full")
        return len(boxes)

    finder = Found(*boxes, droppable=True)
    kept_room, kept, notes = find_placement_avoiding(
        (), Findings(finder.boxes), size=(48, 48), finder=finder, room=room
    )
    assert kept_room == len(kept) <= most
    assert kept == tuple(boxes[: len(kept)])
    assert notes == ((GIVEN_UP,) if len(kept) < len(boxes) else ())


def test_given_regions_are_never_given_up() -> None:
    def room(*, boxes: Sequence[Box]) -> int:
        raise NoRoomError("full")

    finder = Found(MIDDLE, droppable=True)
    with pytest.raises(NoRoomError, match="full"):
        find_placement_avoiding((WHOLE,), Findings(finder.boxes), size=(48, 48), finder=finder, room=room)


def test_what_lesions_can_be_asked_for() -> None:
    plain = [LinearClassifier(size=8)]
    assert make_finder("none", plain) is None
    for lesions in ("auto", "fundus", "skin"):
        finder = make_finder(lesions, plain)
        assert finder is not None
        assert finder.source == CANDIDATES
        assert finder.droppable
    with pytest.raises(InputError, match="lesions attention: expected a model with gradients"):
        make_finder("attention", plain)


def test_how_certificates_name_regions() -> None:
    segmenter = Found(droppable=False)
    assert source_of(given=True, finder=None) == "given"
    assert source_of(given=False, finder=None) == "none"
    assert source_of(given=False, finder=segmenter) == f"segmenter:{'0' * 64}"
    assert source_of(given=True, finder=segmenter) == f"given + segmenter:{'0' * 64}"
