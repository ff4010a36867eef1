"""Optic disc and macula are kept out of whatever else is found, and never given up."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from medlocker.certificates import Owner, open_release
from medlocker.demo.paint import synthesise
from medlocker.demo.samples import write_samples
from medlocker.errors import NoRoomError
from medlocker.formats import read_image
from medlocker.geometry import Box
from medlocker.images import viewed
from medlocker.logo import builtin_logo
from medlocker.protect import Settings, find_placement_avoiding, make_finder
from medlocker.protect._decoys import draw_decoys
from medlocker.protect._keepout import GIVEN_UP
from medlocker.protect._series import merge_findings
from medlocker.protect.veiled import draw
from medlocker.regions import ANATOMY, CANDIDATES, Findings, WithAnatomy
from medlocker.regions._anatomy import NO_FUNDUS, find_anatomy
from runs import check_release, fill, protect

DISC, MACULA, SPOT = Box(2, 2, 8, 8), Box(20, 4, 8, 8), Box(30, 30, 4, 4)
KEY = bytes(range(16))


def test_firm_boxes_stay_where_candidates_are_given_up() -> None:
    def room(*, boxes: Sequence[Box]) -> int:
        if SPOT in boxes:
            raise NoRoomError("full")
        return len(boxes)

    finder = WithAnatomy(make_finder("fundus", ()))
    findings = Findings((SPOT,), firm=(DISC, MACULA))
    found, kept, notes = find_placement_avoiding((), findings, size=(48, 48), finder=finder, room=room)
    assert (found, kept, notes) == (2, (DISC, MACULA), (GIVEN_UP,))


def test_without_room_beside_firm_boxes_the_reason_names_them() -> None:
    def room(*, boxes: Sequence[Box]) -> int:
        raise NoRoomError("full")

    for finder in (WithAnatomy(), WithAnatomy(make_finder("fundus", ()))):
        with pytest.raises(NoRoomError, match=r"^full; optic disc and macula are kept clear$"):
            find_placement_avoiding((), Findings((), firm=(DISC,)), size=(48, 48), finder=finder, room=room)


def test_firm_boxes_of_several_images_are_united() -> None:
    several = [Findings((SPOT,), ("a",), (DISC,)), Findings((), ("b",), (DISC, MACULA))]
    assert merge_findings(several) == Findings((SPOT,), ("a",), (DISC, MACULA))


@pytest.mark.parametrize("preset", ["strong", "veil"])
@pytest.mark.parametrize("lesions", ["none", "fundus"])
def test_no_pixel_of_disc_and_macula_changes(tmp_path: Path, owner: Owner, preset: str, lesions: str) -> None:
    samples = write_samples(tmp_path / "eyes", count=2, width=200, height=200)
    finder = WithAnatomy(make_finder("fundus" if lesions == "fundus" else "none", ()))
    settings = Settings(preset="veil" if preset == "veil" else "strong", budget=6, seed=1)
    result = protect(samples.images, tmp_path / "out", owner, finder=finder, settings=settings)
    assert result.summary.marked == 2
    assert result.summary.with_found == (2 if lesions == "fundus" else 0)
    for path in sorted(samples.images.iterdir()):
        before, after = (
            read_image(file.read_bytes(), name="x") for file in (path, tmp_path / "out/images" / path.name)
        )
        boxes, note = find_anatomy(viewed(before))
        assert len(boxes) == 2
        assert result.json["notes"][note] == 2
        for box in boxes:
            window = (slice(box.y, box.bottom), slice(box.x, box.right))
            assert np.array_equal(before.pixels[window], after.pixels[window])
        assert not np.array_equal(before.pixels, after.pixels)
    check_release(samples.images, tmp_path / "out", owner, tmp_path / "back")
    named = f"{CANDIDATES} + {ANATOMY}" if lesions == "fundus" else ANATOMY
    assert open_release(tmp_path / "out", owner.signing.public).statement.regions == named
    assert result.json["regions"]["clinician"] is False


def test_other_pictures_are_marked_as_ever(tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 2)
    result = protect(source, tmp_path / "out", owner, finder=WithAnatomy())
    assert result.summary.marked == 2
    assert result.json["notes"] == {NO_FUNDUS: 2}


def test_disc_and_macula_take_no_decoys_away_from_lesions() -> None:
    """They would fill the share of holes, and a lesion's hole would be the only one left."""
    pixels = synthesise(1, grade="mild", width=256, height=256).image
    stream = io.BytesIO()
    Pillow.fromarray(pixels).save(stream, "PNG")
    image = read_image(stream.getvalue(), name="eye.png")
    boxes, _ = find_anatomy(viewed(image))
    veiled = partial(draw, Settings(preset="veil", seed=1), builtin_logo(), image, key=KEY, with_decoys=True)
    lesion = Box(100, 60, 6, 6)
    with_both = veiled((lesion, *boxes), telling_nothing=boxes)
    alone = veiled((lesion,))
    assert set(with_both.keep_out) == {*alone.keep_out, *boxes}
    assert len(alone.keep_out) > 1
    # what would be without
    assert draw_decoys((lesion, *boxes), width=256, height=256, key=KEY) == ()
