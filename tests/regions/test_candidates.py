"""Candidates where nobody gave regions: found on synthetic photographs, whose lesions are known."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from medlocker.demo.paint import synthesise
from medlocker.errors import InputError
from medlocker.formats import read_image
from medlocker.geometry import Box
from medlocker.images import viewed
from medlocker.regions import CANDIDATES, CandidateFinder, Findings, load_regions
from medlocker.regions._candidates import look, strongest
from medlocker.regions._skin import without_hair
from medlocker.regions.scale import covered


def skin(*, lesion: bool = True, hair: bool = False, side: int = 256) -> NDArray[np.uint8]:
    """Rosy noise, perhaps with a brown spot at (0.55, 0.45) of the side and dark hairs."""
    rng = np.random.default_rng(0)
    pixels = np.clip(rng.normal((214, 170, 150), 4, (side, side, 3)), 0, 255).astype(np.uint8)
    if lesion:
        centre = (round(0.55 * side), round(0.45 * side))
        cv2.ellipse(pixels, centre, (side // 6, side // 8), 0, 0, 360, (110, 70, 50), -1)
    if hair:
        for start in range(0, side, 40):
            cv2.line(pixels, (start, 0), (min(start + 90, side - 1), side - 1), (40, 30, 25), 1)
    return pixels


@pytest.mark.parametrize(("width", "height"), [(512, 512), (700, 500)])
def test_most_lesions_of_a_fundus_photograph_are_among_the_candidates(width: int, height: int) -> None:
    inside, lesions, areas = 0, 0, []
    for seed in range(4):
        sample = synthesise(seed, grade="severe", width=width, height=height)
        found = CandidateFinder("auto").find(sample.image)
        assert found.notes == ("regions: candidates of a fundus photograph",)
        kept = covered(found.boxes, height=height, width=width)
        count, labels = cv2.connectedComponents(sample.mask, connectivity=8)
        areas.append(kept.mean())
        lesions += count - 1
        for label in range(1, count):
            inside += kept[labels == label].mean() >= 0.5
    assert inside / lesions > 0.6
    assert np.mean(areas) < 0.5


def test_candidates_come_strongest_first_and_always_alike() -> None:
    sample = synthesise(1, grade="severe").image
    first, second = (CandidateFinder("fundus").find(sample) for _ in range(2))
    assert first == second
    # the optic disc and large lesions are stronger than noise
    assert first.boxes[0].width * first.boxes[0].height > 100


def test_a_16_bit_photograph_has_the_same_candidates() -> None:
    sample = synthesise(2, grade="mild").image
    wide = sample.astype(np.uint16) * 257
    assert CandidateFinder("fundus").find(wide) == CandidateFinder("fundus").find(sample)


@pytest.mark.parametrize("hair", [False, True])
@pytest.mark.parametrize("side", [256, 600])
def test_the_lesion_of_a_dermoscopy_image_is_the_candidate(hair: bool, side: int) -> None:
    found = CandidateFinder("auto").find(skin(hair=hair, side=side))
    assert found.notes == ("regions: candidate of a dermoscopy image",)
    (box,) = found.boxes
    truth = Box(round(0.55 * side) - side // 6, round(0.45 * side) - side // 8, side // 3, side // 4)
    assert box.x <= truth.x
    assert box.y <= truth.y
    assert box.right >= truth.right
    assert box.bottom >= truth.bottom
    assert box.width * box.height < 1.9 * truth.width * truth.height


def test_hair_is_taken_away_before_a_lesion_is_looked_for() -> None:
    plain, hairy = skin(lesion=False), skin(lesion=False, hair=True)
    assert np.abs(without_hair(hairy).astype(int) - plain).max() < 60
    assert np.abs(hairy.astype(int) - plain).max() > 120


@pytest.mark.parametrize(
    ("pixels", "kind"),
    [
        (synthesise(3, grade="none", width=400, height=300).image, "fundus"),
        (skin(), "skin"),
        (np.repeat(skin()[..., :1], 3, axis=2), "other"),  # a grey slice
        (np.zeros((64, 64, 3), np.uint8), "other"),
        (np.full((3, 500, 3), 200, np.uint8), "other"),
        (np.full((40, 40, 3), (120, 60, 160), np.uint8), "other"),  # a violet stain
    ],
)
def test_the_kind_of_an_image_is_seen(pixels: NDArray[np.uint8], kind: str) -> None:
    assert look(pixels) == kind


class Everything:
    """A fallback."""

    source = CANDIDATES
    fingerprint = "everything"
    droppable = True

    def find(self, colors: NDArray[np.uint8]) -> Findings:
        return Findings((Box(0, 0, colors.shape[1], colors.shape[0]),))


def test_other_images_go_to_the_fallback() -> None:
    grey = np.full((20, 30, 3), 90, np.uint8)
    assert CandidateFinder("auto", fallback=Everything()).find(grey).boxes == (Box(0, 0, 30, 20),)
    nothing = CandidateFinder("auto").find(grey)
    assert nothing == Findings((), ("regions: none, neither a fundus photograph nor dermoscopy",))
    assert CandidateFinder("auto", fallback=Everything()).fingerprint != CandidateFinder("auto").fingerprint


@pytest.mark.parametrize("kind", ["fundus", "skin"])
@pytest.mark.parametrize("shape", [(1, 1), (2, 900), (8, 8), (64, 64)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_pictures_without_anything_have_no_candidates(kind: str, shape: tuple[int, int], level: int) -> None:
    assert CandidateFinder(kind).find(np.full((*shape, 3), level, np.uint8)).boxes == ()


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match="expected candidates of auto, fundus or skin, got 'brain'"):
        CandidateFinder("brain")


@given(
    st.lists(st.builds(Box, st.integers(0, 30), st.integers(0, 20), st.integers(1, 9), st.integers(1, 9))),
    st.floats(0.05, 1),
)
def test_the_strongest_stay_within_their_share(boxes: list[Box], share: float) -> None:
    clipped = [box.grown(0, within=(39, 29)) for box in boxes]
    kept = strongest(clipped, height=29, width=39, share=share)
    assert covered(kept, height=29, width=39).mean() <= share
    assert not boxes or kept
    if len(kept) > 1:
        assert list(kept) == clipped[: len(kept)]
    if len(kept) < len(boxes):
        beyond = covered(clipped[: len(kept) + 1], height=29, width=39).mean()
        assert beyond > share or kept != tuple(clipped[:1])


@pytest.mark.slow
@pytest.mark.skipif("MEDLOCKER_DATA" not in os.environ, reason="needs real photographs")
def test_most_lesions_of_real_photographs_are_among_the_candidates() -> None:
    folder = Path(os.environ["MEDLOCKER_DATA"]) / "idrid" / "segmentation"
    files = sorted((folder / "images").iterdir())[::6]
    assert files, "expected photographs"
    masks = load_regions(folder / "masks").among([file.name for file in files])
    hit = total = 0
    areas = []
    for file in files:
        image = read_image(file.read_bytes(), name=file.name)
        found = CandidateFinder("auto").find(viewed(image))
        assert found.notes == ("regions: candidates of a fundus photograph",)
        kept = covered(found.boxes, height=image.height, width=image.width)
        areas.append(kept.mean())
        for mask in masks.masks_for(file.name, width=image.width, height=image.height).values():
            hit += int(kept[mask].sum())
            total += int(mask.sum())
    assert hit / total > 0.6
    assert np.mean(areas) < 0.4
